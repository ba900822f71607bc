//! Nothing outlives the process that started it, however that process ends.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of a test fail the test")]

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use testkit::NEWEST;

/// Tells the child how to end.
const END: &str = "TESTKIT_LIFETIME_END";

#[test]
fn brokers_die_with_the_process_that_started_them() {
    if let Ok(end) = env::var(END) {
        return be_the_child(&end);
    }
    thread::scope(|scope| {
        for end in ["return", "panic", "kill", "kill paused"] {
            scope.spawn(move || watch_a_child(end));
        }
    });
}

fn watch_a_child(end: &str) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "brokers_die_with_the_process_that_started_them", "--nocapture"])
        .env(END, end)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test harness prints lines of its own.
    let line = lines.find_map(|line| line.unwrap().split_once("cluster ").map(|(_, rest)| rest.to_owned()));
    let line = line.unwrap_or_else(|| panic!("{end}: the child has started no broker"));
    let (port, data) = line.split_once(' ').unwrap();
    let (port, data): (u16, PathBuf) = (port.parse().unwrap(), data.into());
    assert!(data.is_dir() && accepts(port), "{end}");
    if end.starts_with("kill") {
        child.kill().unwrap();
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    // A paused broker that lives still accepts connections: the kernel does it.
    wait_until(&format!("{end}: the broker's end"), || !accepts(port));
    wait_until(&format!("{end}: the end of {}", data.display()), || !data.parent().unwrap().exists());
}

fn be_the_child(end: &str) {
    // In a static, which nobody drops; with a client, which is a process too.
    let cluster = testkit::shared(NEWEST).unwrap();
    cluster.client().unwrap().create_topic("t", 1, &[]).unwrap();
    let node = cluster.node(1).unwrap();
    if end == "kill paused" {
        node.pause().unwrap();
    }
    println!("cluster {} {}", node.port(), node.data_dir().display());
    // Until the parent has looked.
    io::stdin().lock().read_to_end(&mut Vec::new()).unwrap();
    assert!(end != "panic", "as asked");
}

fn accepts(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "no sign of {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
