//! The program on a terminal, which is that of `script` of util-linux: progress, colours, and a terminal that is closed.

use std::fs;
use std::time::Duration;

use testkit::{ProduceOptions, Record, unique};

use crate::support::load::Load;
use crate::support::process::{Installation, WAIT_MAX, signal, wait_until};

/// What begins and ends a progress line, and what erases it.
const BEGIN: &str = "\r\u{1b}[?7l";
const END: &str = "\u{1b}[K\u{1b}[?7h";
const ERASE: &str = "\r\u{1b}[K";

/// An installation whose program runs on a terminal of its own, which `script` copies to the file `terminal`.
fn on_terminal(servers: &str, topic: &str) -> Installation {
    let mut installation = Installation::new(servers, topic);
    installation.set("TERM", "xterm").set("LOG_LEVEL", "INFO").set("SHELL", "/bin/sh");
    // `script` takes a command line as one word.
    installation.wrap(&["sh", "-c", "exec script --quiet --flush --return --command \"exec $*\" terminal", "sh"]);
    installation
}

fn shown(installation: &Installation) -> String {
    String::from_utf8_lossy(&fs::read(installation.path().join("terminal")).unwrap_or_default()).into_owned()
}

/// The progress lines, and what is on the terminal without them.
fn split(shown: &str) -> (Vec<String>, String) {
    let (mut lines, mut rest, mut from) = (Vec::new(), String::new(), shown);
    while let Some((before, behind)) = from.split_once(BEGIN) {
        let (line, behind) = behind.split_once(END).unwrap();
        lines.push(line.to_owned());
        rest.push_str(before);
        from = behind;
    }
    rest.push_str(from);
    (lines, rest.replace(ERASE, ""))
}

/// A topic that takes the service a few seconds: each record is a transaction.
fn slow(installation: &mut Installation, topic: &str) -> i64 {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let kafka = cluster.client().unwrap();
    kafka.create_topic(topic, 1, &[]).unwrap();
    let load = Load::of(6000, 1, 200);
    kafka.produce(topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    installation.set("BATCH_MAX_RECORDS", "1");
    6000
}

#[test]
fn progress_is_shown_while_the_service_catches_up() {
    let topic = unique("progress");
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let mut installation = on_terminal(&cluster.bootstrap_servers(), &topic);
    installation.set("NO_COLOR", "1");
    let records = slow(&mut installation, &topic);
    installation.run_to_end();
    assert_eq!(installation.stored(), records);
    let (progress, rest) = split(&shown(&installation));
    assert!(progress.iter().any(|line| line.starts_with("catching up: ") && line.contains("/s, lag ")), "{progress:?}");
    assert!(!rest.contains('\u{1b}'), "colours in spite of NO_COLOR, or a torn progress line: {rest:?}");
    let log: Vec<&str> = rest.lines().filter(|line| line.contains(" [")).collect();
    for message in ["service started", "partition assigned", "reached the end of every partition", "service stopped"] {
        let is_line = |line: &&&str| line.starts_with("20") && line.contains(message);
        assert_eq!(log.iter().filter(is_line).count(), 1, "{message}: {rest}");
    }

    // The same without a terminal, and with colours.
    let stderr = |installation: &Installation| installation.stderr();
    assert_eq!(stderr(&installation), "", "everything is on the terminal");
    installation.wrap(&[]);
    installation.run_to_end();
    assert!(!stderr(&installation).contains('\u{1b}') && stderr(&installation).contains("service stopped"));
}

#[test]
fn commands_on_a_terminal_have_colours_and_print_their_output_once() {
    let topic = unique("colours");
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    cluster.client().unwrap().create_topic(&topic, 1, &[]).unwrap();
    let record = Record::value(r#"{"event_id":"opp_1","name":"n","stage":"won"}"#).partition(0);
    cluster.client().unwrap().produce(&topic, &ProduceOptions::default(), [record]).unwrap();
    let installation = on_terminal(&cluster.bootstrap_servers(), &topic);
    installation.run_to_end();
    assert!(shown(&installation).contains("\u{1b}[3"), "{:?}", shown(&installation));
    fs::remove_file(installation.path().join("terminal")).unwrap();
    installation.start(&["verify"]).ends_with(0);
    let (_, rest) = split(&shown(&installation));
    for rule in ["integrity ", "counters ", "rows ", "unidentified "] {
        assert_eq!(rest.lines().filter(|line| line.starts_with(rule) && line.contains("  ok  ")).count(), 1, "{rest}");
    }
}

/// The window is closed: the service stops, as everything that runs in it.
#[test]
fn a_closed_terminal_stops_the_service() {
    let installation = on_terminal("127.0.0.1:1", "nowhere");
    let mut script = installation.start(&["run"]);
    let logged = |message: &str| installation.log().iter().filter(|line| line["message"] == message).count();
    installation.wait_for("the start", |_| logged("service started") == 1);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", script.pid())).unwrap();
    let service: u32 = children.split_whitespace().next().unwrap().parse().unwrap();
    // A request while the terminal is open.
    signal(service, "HUP");
    installation.wait_for("the reload", |installation| {
        installation.log().iter().any(|line| line["message"].as_str().unwrap().starts_with("reloaded: "))
    });
    script.kill();
    installation.wait_for("the stop", |_| logged("service stopped") == 1);
    let is_running = || fs::exists(format!("/proc/{service}/stat")).unwrap() && !is_zombie(service);
    wait_until("the end", WAIT_MAX.max(Duration::from_secs(1)), || !is_running());
}

fn is_zombie(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('Z'))
}
