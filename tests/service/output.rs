//! Standard output, the console and the logs: incomplete output is exit code 1, and no output has control characters.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use kafka::text::is_unprintable;

use crate::support::process::Installation;
use crate::support::topic_fixture::TopicFixture;

/// An installation with a database and without a broker.
pub fn installation_with_database() -> Installation {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let installation = Installation::new(&nobody, "nowhere");
    let mut service = installation.start(&["run"]);
    installation.wait_for("the start", |installation| {
        installation.log().iter().any(|line| line["message"] == "service started")
    });
    service.signal("TERM");
    service.ends_with(0);
    drop(service);
    installation
}

/// The commands that print to standard output without a broker.
const PRINTING: [&[&str]; 9] = [
    &["--help"],
    &["--version"],
    &["check"],
    &["status"],
    &["status", "--json"],
    &["verify"],
    &["replay", "--dry-run"],
    &["unidentified"],
    &["prune", "--all", "--dry-run"],
];

fn run(installation: &Installation, arguments: &[&str], stdout: Stdio, stderr: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enterprise-consumer"));
    command.args(arguments).current_dir(installation.path()).env_clear().envs(installation.variables());
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let installation = installation_with_database();
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    for arguments in PRINTING {
        let output = run(&installation, arguments, full(), Stdio::piped());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        let line = "enterprise-consumer: cannot write to standard output: No space left on device (os error 28)\n";
        assert!(said.contains(line), "{arguments:?}: {said}");

        // Not open for writing.
        let output = run(&installation, arguments, Stdio::from(File::open("/dev/null").unwrap()), Stdio::piped());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("cannot write to standard output: Bad file descriptor"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let installation = installation_with_database();
    for arguments in PRINTING {
        let complete = run(&installation, arguments, Stdio::null(), Stdio::null());
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(&installation, arguments, Stdio::from(writer), Stdio::piped());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status, complete.status, "{arguments:?}: {said}");
        assert!(!said.contains("standard output"), "{arguments:?}: {said}");
    }
}

#[test]
fn an_error_that_cannot_be_printed_still_gives_its_exit_code() {
    let installation = Installation::new("localhost:1", "nowhere");
    for (arguments, code) in [(&["--fast"][..], 2), (&["status"], 1), (&["verify"], 1)] {
        for target in ["/dev/full", "/dev/null"] {
            let stderr = Stdio::from(File::options().write(true).open(target).unwrap());
            assert_eq!(run(&installation, arguments, Stdio::null(), stderr).status.code(), Some(code), "{arguments:?}");
        }
    }
}

/// Metadata that another client has committed appears in the log, on the console, in `status` and in the database, but cannot forge
/// lines there.
#[test]
fn text_from_outside_stays_within_its_line() {
    let forged = "2026-01-01T00:00:00.000Z [ERROR] all is lost";
    let metadata = format!("database=x'\n{forged}\u{1b}[2J\u{9b}31m\u{202e} cluster=y");
    let shown = format!(r"x'\n{forged}");
    let fixture = TopicFixture::new("forged", 1);
    fixture.produce(0, 0..3);
    fixture.kafka.commit_offset(&fixture.group(), &fixture.topic, 0, 1, &metadata).unwrap();
    fixture.run_to_end();
    let text = fixture.installation.ask(&["status"]);
    let json = fixture.installation.ask(&["status", "--json"]);
    let log = fs::read_to_string(fixture.installation.log_path()).unwrap();
    for said in [&text.stdout, &json.stdout, &log, &fixture.installation.stderr()] {
        assert!(!said.contains(|char: char| char != '\n' && is_unprintable(char)), "{said:?}");
        assert!(!said.lines().any(|line| line.starts_with("2026-01-01")), "{said}");
    }
    assert!(text.stdout.contains(&shown), "{}", text.stdout);
    assert!(fixture.installation.stderr().contains(&shown), "{}", fixture.installation.stderr());
    let detail: String = fixture.rows("SELECT detail FROM position_changes", |row| row.get::<_, String>(0)).concat();
    assert!(detail.contains(&shown) && !detail.contains(is_unprintable), "{detail:?}");
}
