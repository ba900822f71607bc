//! The cache of jars, filled by several processes at the same time, and the error on a machine without Java.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The kit's program with a separate build directory, in which nothing is cached.
fn testkit(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testkit"));
    command.args(arguments).env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn several_processes_fill_the_cache_at_once_over_the_leftovers_of_a_killed_one() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("filled-at-once");
    if target.exists() {
        fs::remove_dir_all(&target).unwrap();
    }
    let leftover = target.join("testkit/partial-kafka-4.3.1-1");
    fs::create_dir_all(&leftover).unwrap();
    fs::write(leftover.join("kafka-clients-4.3.1.jar"), "half of it").unwrap();
    let fetch = || testkit("filled-at-once", &["fetch"]).spawn().unwrap();
    let mut killed = fetch();
    killed.kill().unwrap();
    killed.wait().unwrap();
    for process in [fetch(), fetch(), fetch()] {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    assert!(!leftover.exists());
    assert!(target.join("testkit/kafka-4.3.1/kafka-clients-4.3.1.jar").metadata().unwrap().len() > 1_000_000);
    fs::remove_dir_all(&target).unwrap();
}

#[test]
fn the_error_without_java_says_what_to_install_in_one_line() {
    let output = testkit("without-java", &["fetch"]).env("PATH", "").env_remove("JAVA_HOME").output().unwrap();
    assert!(!output.status.success());
    let line = said(&output);
    assert_eq!(line.lines().count(), 1, "{line}");
    for expected in ["java and javac and mvn", "apt install openjdk-17-jdk-headless maven"] {
        assert!(line.contains(expected), "{line}");
    }
}
