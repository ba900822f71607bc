//! Nothing outlives the process that started it, however that process ends.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "helpers of a test fail the test")]

mod support;

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use support::wait_until;
use testkit::{Cluster, NEWEST};

/// The variable that tells the child how to end.
const END: &str = "TESTKIT_LIFETIME_END";

#[test]
fn nothing_outlives_the_process_that_started_it() {
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
        .args(["--exact", "nothing_outlives_the_process_that_started_it", "--nocapture"])
        .env(END, end)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test harness prints lines of its own.
    let line = lines.find_map(|line| line.unwrap().split_once("started ").map(|(_, rest)| rest.to_owned()));
    let line = line.unwrap_or_else(|| panic!("{end}: the child has started no broker"));
    let [pids @ .., directory] = &*line.split(' ').collect::<Vec<_>>() else { panic!("{line}") };
    assert_eq!(pids.len(), 2, "{line}");
    assert!(pids.iter().all(|pid| is_alive(pid)), "{end}");
    assert!(Path::new(directory).is_dir(), "{end}");
    if end.starts_with("kill") {
        child.kill().unwrap();
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    for pid in pids {
        wait_until(&format!("{end}: the end of process {pid}"), || !is_alive(pid));
    }
    wait_until(&format!("{end}: the end of {directory}"), || !Path::new(directory).exists());
}

fn be_the_child(end: &str) {
    // In a static, which is never dropped.
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    // Kept data: a broker whose data is removed ends for that reason.
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lifetime {end}"));
    let cluster = CLUSTER.get_or_init(|| Cluster::builder(NEWEST).data_dir(data).start().unwrap());
    let (node, client) = (cluster.node(1).unwrap(), cluster.client().unwrap());
    client.topic_exists("t").unwrap();
    if end == "kill paused" {
        node.pause().unwrap();
    }
    println!("started {} {} {}", node.pid().unwrap(), client.pid(), cluster.run_dir().display());
    // Until the parent has checked.
    io::stdin().lock().read_to_end(&mut Vec::new()).unwrap();
    assert!(end != "panic", "as asked");
}

/// A zombie process has no command line.
fn is_alive(pid: &str) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty())
}
