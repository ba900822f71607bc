//! Command lines, with the command that each gives or the line that refuses it.

use super::*;

fn parse_line(line: &str) -> Result<CommandLine, String> {
    parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
}

fn command(command: Command) -> CommandLine {
    CommandLine::Command(Invocation { env_file: None, command })
}

#[test]
fn commands_with_their_options() {
    let run = |exit_at_end| command(Command::Run { exit_at_end });
    let check = |verbose| command(Command::Check { verbose });
    let status = |json, lag_max| command(Command::Status(StatusOptions { json, lag_max }));
    let replay = |dry_run| command(Command::Replay { dry_run });
    let reset = |target, scope: &[&str], dry_run| {
        let scope = scope.iter().map(|text| TopicScope::parse(text).unwrap()).collect();
        command(Command::Reset(ResetOptions { target, scope, dry_run }))
    };
    for (line, expected) in [
        ("", run(false)),
        ("run", run(false)),
        ("--exit-at-end", run(true)),
        ("check", check(false)),
        ("check --verbose", check(true)),
        ("health", command(Command::Health { ready: false })),
        ("health --ready", command(Command::Health { ready: true })),
        ("status", status(false, None)),
        ("status --json", status(true, None)),
        ("status --max-lag-seconds 1.5 --json", status(true, Some(Duration::from_millis(1_500)))),
        ("replay", replay(false)),
        ("replay --dry-run", replay(true)),
        ("reset --to-earliest", reset(Target::Earliest, &[], false)),
        ("reset --to-latest --topic a", reset(Target::Latest, &["a"], false)),
        ("--to-offset=7 reset --topic a:1,2 --topic b --dry-run", reset(Target::Offset(7), &["a:1,2", "b"], true)),
        ("reset --to-datetime 1970-01-02", reset(Target::Timestamp(86_400_000), &[], false)),
        ("verify", command(Command::Verify)),
        ("views a.db b/c.db", CommandLine::Views(vec!["a.db".into(), "b/c.db".into()])),
        ("--help", CommandLine::Text(HELP)),
        ("status -V", CommandLine::Text(VERSION)),
    ] {
        assert_eq!(parse_line(line), Ok(expected), "{line}");
    }
}

#[test]
fn the_settings_file_may_be_named_anywhere() {
    for (line, path, command) in [
        ("run --exit-at-end --env-file a/b", "a/b", Command::Run { exit_at_end: true }),
        ("--env-file=x check", "x", Command::Check { verbose: false }),
    ] {
        let invocation = Invocation { env_file: Some(PathBuf::from(path)), command };
        assert_eq!(parse_line(line), Ok(CommandLine::Command(invocation)), "{line}");
    }
}

#[test]
fn wrong_usage() {
    let one_target =
        "reset takes exactly one of --to-earliest, --to-latest, --to-offset N and --to-datetime T; see --help";
    for (line, expected) in [
        ("start", "unknown command 'start': run, check, health, status, replay, reset, verify or views; see --help"),
        ("run now", "unexpected argument \"now\"; see --help"),
        ("--fast", "invalid option '--fast'; see --help"),
        ("--env-file", "missing argument for option '--env-file'; see --help"),
        ("check --json", "'--json' belongs to the command 'status'; see --help"),
        ("verify --json", "'--json' belongs to the command 'status'; see --help"),
        ("views --json a.db", "'--json' belongs to the command 'status'; see --help"),
        ("check --max-lag-seconds 1", "'--max-lag-seconds' belongs to the command 'status'; see --help"),
        ("status --verbose", "'--verbose' belongs to the command 'check'; see --help"),
        ("status --exit-at-end", "'--exit-at-end' belongs to the command 'run'; see --help"),
        ("verify --dry-run", "'--dry-run' belongs to the command 'replay'; see --help"),
        ("run --to-earliest", "'--to-earliest' belongs to the command 'reset'; see --help"),
        ("status --topic a", "'--topic' belongs to the command 'reset'; see --help"),
        ("reset", one_target),
        ("reset --to-earliest --to-offset 1", one_target),
        ("reset --to-offset -1", "--to-offset is '-1'; allowed: a whole number from 0; see --help"),
        ("reset --to-latest --topic a:", "--topic is 'a:'; allowed: TOPIC or TOPIC:PARTITION,PARTITION; see --help"),
        ("views", "views takes 1 to 10 database files, not 0; see --help"),
        ("views x x x x x x x x x x x", "views takes 1 to 10 database files, not 11; see --help"),
    ] {
        assert_eq!(parse_line(line), Err(expected.to_owned()), "{line}");
    }
    for value in ["x", "-1", "", "nan", "1e400"] {
        let expected = format!("--max-lag-seconds is '{value}'; allowed: a number of seconds; see --help");
        assert_eq!(parse_line(&format!("status --max-lag-seconds={value}")), Err(expected));
    }
}
