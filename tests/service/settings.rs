//! Settings and usage as an operator meets them: a refusal is exit code 2 and one line, and leaves nothing behind. The tables of all
//! variables are in `src/settings/tests`. Needs no broker.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs the program in a directory, with these variables and no others.
fn run(directory: &Path, arguments: &[&str], variables: &[(&str, &OsStr)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enterprise-consumer"));
    command.current_dir(directory).args(arguments).env_clear();
    command.envs(variables.iter().copied()).output().unwrap()
}

/// Runs the program and returns the line of its refusal: exit code 2, nothing else printed, no file created.
fn refusal(directory: &Path, arguments: &[&str], variables: &[(&str, &OsStr)]) -> String {
    let files = || fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>();
    let before = files();
    let output = run(directory, arguments, variables);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{variables:?} {arguments:?}: {line}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{variables:?} {arguments:?}");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "not one line: {line:?}");
    assert_eq!(files(), before, "a refused start leaves files behind: {variables:?}");
    line
}

/// Checks that the program refuses text variables with a line that has every one of these parts.
fn assert_refused(variables: &[(&str, &str)], parts: &[&str]) {
    let directory = TempDir::new().unwrap();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, OsStr::new(value))).collect();
    let line = refusal(directory.path(), &[], &variables);
    for part in parts {
        assert!(line.contains(part), "{variables:?}: {part:?} is missing in: {line}");
    }
}

/// The variables that `.env.example` lists.
fn variables_of_the_example() -> Vec<String> {
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")).unwrap();
    let variables = example.lines().filter_map(|line| Some(line.strip_prefix('#')?.split_once('=')?.0));
    let is_name = |name: &&str| name.chars().all(|char| char.is_ascii_uppercase() || char == '_');
    variables.filter(is_name).map(str::to_owned).collect()
}

#[test]
fn a_damaged_value_of_any_variable_is_refused_by_name() {
    let variables = variables_of_the_example();
    assert!(variables.len() > 30, "{variables:?}");
    for variable in variables {
        assert_refused(&[(&variable, "x\u{1b}[2J")], &[&variable, "allowed: ", "without control"]);
    }
}

#[test]
fn the_example_file_is_accepted() {
    let directory = TempDir::new().unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");
    // `status` fails for want of a database, not of settings.
    let output = run(directory.path(), &["status", "--env-file", example], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_command_refuses_a_bad_setting_but_help_is_printed() {
    let directory = TempDir::new().unwrap();
    let bad = [("LOG_LEVEL", OsStr::new("LOUD"))];
    for arguments in [
        &["run"][..],
        &["run", "--exit-at-end"],
        &["check"],
        &["status"],
        &["status", "--json"],
        &["replay"],
        &["reset", "--to-earliest"],
        &["verify"],
    ] {
        assert!(refusal(directory.path(), arguments, &bad).contains("LOG_LEVEL is 'LOUD'"));
    }
    for arguments in [&["--help"][..], &["--version"], &["status", "-h"]] {
        let output = run(directory.path(), arguments, &bad);
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn a_refusal_is_one_short_line() {
    assert_refused(&[("LOG_LEVEL", "LOUD\nLOUDER\u{1b}[31m")], &[r"LOG_LEVEL is 'LOUD\nLOUDER\u{1b}[31m'"]);
    let directory = TempDir::new().unwrap();
    let long = "x".repeat(100_000);
    for variable in
        ["LOG_LEVEL", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "DATABASE_URL", "BATCH_MAX_RECORDS", "KAFKA_BOOTSTRAP_SERVERS"]
    {
        let line = refusal(directory.path(), &[], &[(variable, OsStr::new(&long))]);
        assert!(line.len() < 400 && line.contains(variable), "{} bytes", line.len());
    }
    let not_utf8 = OsString::from_vec(b"caf\xe9".to_vec());
    for variable in ["LOG_LEVEL", "KAFKA_TOPIC", "DATABASE_URL", "SHUTDOWN_TIMEOUT_MS"] {
        let line = refusal(directory.path(), &[], &[(variable, &not_utf8)]);
        assert!(line.contains(variable) && line.contains("'caf\u{fffd}'") && line.contains("UTF-8"), "{line}");
    }
}

#[test]
fn contradicting_variables_are_refused() {
    assert_refused(
        &[("KAFKA_GROUP_PROTOCOL", "none"), ("KAFKA_GROUP_INSTANCE_ID", "a")],
        &["KAFKA_GROUP_INSTANCE_ID needs a KAFKA_GROUP_PROTOCOL other than none"],
    );
}

#[test]
fn secrets_are_never_shown() {
    let directory = TempDir::new().unwrap();
    for (file, content) in [("password", "hush\nhush\n"), ("empty", "\n")] {
        fs::write(directory.path().join(file), content).unwrap();
    }
    let not_utf8 = OsString::from_vec(b"hush\xff".to_vec());
    let cases: [(&str, &OsStr, &[&str]); 5] = [
        ("KAFKA_SASL_PASSWORD", &not_utf8, &["UTF-8"]),
        ("KAFKA_SASL_PASSWORD", OsStr::new("hu\nsh"), &["without control"]),
        ("KAFKA_SASL_PASSWORD_FILE", OsStr::new("password"), &["without control"]),
        ("KAFKA_SASL_PASSWORD_FILE", OsStr::new("empty"), &["is 'empty'", "not empty"]),
        ("KAFKA_SASL_PASSWORD_FILE", OsStr::new("nowhere"), &["'nowhere'", "No such file"]),
    ];
    for (variable, value, parts) in cases {
        let sasl =
            [("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"), ("KAFKA_SASL_MECHANISM", "PLAIN"), ("KAFKA_SASL_USERNAME", "me")];
        let mut variables = sasl.map(|(name, value)| (name, OsStr::new(value))).to_vec();
        variables.push((variable, value));
        let line = refusal(directory.path(), &[], &variables);
        assert!(line.contains(variable) && parts.iter().all(|part| line.contains(part)), "{line}");
        assert!(!line.contains("hush") && !line.contains("sh;"), "{line}");
    }
}

#[test]
fn wrong_usage_is_refused() {
    let directory = TempDir::new().unwrap();
    for (arguments, part) in [
        (&["start"][..], "'start'"),
        (&["run", "fast"], "fast"),
        (&["--fast"], "--fast"),
        (&["run", "--json"], "--json"),
        (&["--env-file"], "--env-file"),
        (&["run", "check"], "check"),
        (&["a\nb"], r"'a\nb'"),
    ] {
        let line = refusal(directory.path(), arguments, &[]);
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
}

#[test]
fn a_settings_file_that_is_named_must_be_readable() {
    let directory = TempDir::new().unwrap();
    for (file, part) in [("nowhere", "No such file"), (".", "directory")] {
        let line = refusal(directory.path(), &["--env-file", file], &[]);
        assert!(line.contains(&format!("'{file}'")) && line.contains(part), "{line}");
    }
    fs::write(directory.path().join("env"), "KAFKA_SASL_PASSWORD='hush\nLOG_LEVEL=INFO\n").unwrap();
    let line = refusal(directory.path(), &["--env-file", "env"], &[]);
    assert!(line.contains("'env'") && line.contains("line 1") && !line.contains("hush"), "{line}");
}

#[test]
fn the_environment_wins_over_the_named_file_and_that_over_the_found_file() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join(".env"), "APP_ENV=found\nLOG_LEVEL=found\n").unwrap();
    fs::write(directory.path().join("env"), "APP_ENV=named\n").unwrap();
    for (arguments, variables, refused) in [
        (&[][..], &[][..], "APP_ENV is 'found'"),
        (&["--env-file", "env"], &[], "APP_ENV is 'named'"),
        (&[], &[("APP_ENV", "environment")], "APP_ENV is 'environment'"),
        (&[], &[("APP_ENV", "production")], "LOG_LEVEL is 'found'"),
        (&[], &[("APP_ENV", "production"), ("LOG_LEVEL", "")], "LOG_LEVEL is ''"),
        (&[], &[("LOG_LEVEL", "INFO")], "APP_ENV is 'found'"),
    ] {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, OsStr::new(*value))).collect();
        let line = refusal(directory.path(), arguments, &variables);
        assert!(line.contains(refused), "{variables:?}: {line}");
    }
}
