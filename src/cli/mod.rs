//! Parses the command line. Must not run commands or print.

mod error;
mod help;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value};

use crate::commands::reset::{ResetOptions, Target, TopicScope};
use crate::commands::status::StatusOptions;
use crate::settings::shorten;
use crate::storage::sqlite::tables::views::DATABASES_MAX;
pub use error::UsageError;
pub use help::{HELP, VERSION};

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// `--help` or `--version`: print this text.
    Text(&'static str),
    /// `views` of these database files, which needs no settings.
    Views(Vec<PathBuf>),
    /// A command that needs settings.
    Command(Invocation),
}

/// A command, and the file with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// `--env-file`.
    pub env_file: Option<PathBuf>,
    /// The command with its options.
    pub command: Command,
}

/// A command with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Read and store events.
    Run {
        /// Stop once each partition has been stored up to the end that it had at the start.
        exit_at_end: bool,
    },
    /// Check everything that `run` needs.
    Check {
        /// Also print what is fine.
        verbose: bool,
    },
    /// Print positions and lag.
    Status(StatusOptions),
    /// Decode the unidentified messages again.
    Replay {
        /// Store nothing.
        dry_run: bool,
    },
    /// Set the group's offsets.
    Reset(ResetOptions),
    /// Check the invariants of the database.
    Verify,
}

/// Parses the arguments, without the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<CommandLine, UsageError> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut env_file, mut command) = (None, None);
    let (mut exit_at_end, mut json, mut dry_run, mut verbose, mut lag_max) = (false, false, false, false, None);
    let mut databases = Vec::new();
    let mut reset = ResetArguments::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(CommandLine::Text(HELP)),
            Short('V') | Long("version") => return Ok(CommandLine::Text(VERSION)),
            Long("env-file") => env_file = Some(PathBuf::from(parser.value()?)),
            Long("exit-at-end") => exit_at_end = true,
            Long("json") => json = true,
            Long("dry-run") => dry_run = true,
            Long("verbose") => verbose = true,
            Long("max-lag-seconds") => {
                lag_max = Some(parse_value("--max-lag-seconds", &parser.value()?, SECONDS, seconds)?)
            }
            Value(path) if command.as_deref() == Some("views") => databases.push(PathBuf::from(path)),
            Long("to-earliest") => reset.targets.push(Target::Earliest),
            Long("to-latest") => reset.targets.push(Target::Latest),
            Long("to-offset") => {
                reset.targets.push(parse_value("--to-offset", &parser.value()?, OFFSET, Target::offset)?)
            }
            Long("to-datetime") => {
                reset.targets.push(parse_value("--to-datetime", &parser.value()?, DATETIME, Target::datetime)?);
            }
            Long("topic") => reset.scope.push(parse_value("--topic", &parser.value()?, TOPIC, TopicScope::parse)?),
            Value(name) if command.is_none() => command = Some(name.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let command = match command.as_deref() {
        None | Some("run") => Some(Command::Run { exit_at_end }),
        Some("check") => Some(Command::Check { verbose }),
        Some("status") => Some(Command::Status(StatusOptions { json, lag_max })),
        Some("replay") => Some(Command::Replay { dry_run }),
        Some("reset") => Some(Command::Reset(reset.options(dry_run)?)),
        Some("verify") => Some(Command::Verify),
        Some("views") => None,
        Some(name) => return Err(UsageError::Command(shorten(name))),
    };
    let is_reset = matches!(command, Some(Command::Reset(_)));
    let options = [
        ("--exit-at-end", "run", exit_at_end && !matches!(command, Some(Command::Run { .. }))),
        ("--json", "status", json && !matches!(command, Some(Command::Status(_)))),
        ("--max-lag-seconds", "status", lag_max.is_some() && !matches!(command, Some(Command::Status(_)))),
        ("--verbose", "check", verbose && !matches!(command, Some(Command::Check { .. }))),
        ("--dry-run", "replay", dry_run && !is_reset && !matches!(command, Some(Command::Replay { .. }))),
        (reset.target_option(), "reset", !reset.targets.is_empty() && !is_reset),
        ("--topic", "reset", !reset.scope.is_empty() && !is_reset),
    ];
    if let Some((option, command, _)) = options.into_iter().find(|(_, _, misplaced)| *misplaced) {
        return Err(UsageError::Misplaced { option, command });
    }
    match (command, databases.len()) {
        (Some(command), _) => Ok(CommandLine::Command(Invocation { env_file, command })),
        (None, 1..=DATABASES_MAX) => Ok(CommandLine::Views(databases)),
        (None, count) => Err(UsageError::Databases(count)),
    }
}

/// Parses a number of seconds, which may have a fraction.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

const SECONDS: &str = "a number of seconds";
const OFFSET: &str = "a whole number from 0";
const DATETIME: &str = "a date or time since 1970 such as 2026-01-15T09:30:00Z, without a zone in UTC";
const TOPIC: &str = "TOPIC or TOPIC:PARTITION,PARTITION";

/// The arguments of `reset`.
#[derive(Default)]
struct ResetArguments {
    targets: Vec<Target>,
    scope: Vec<TopicScope>,
}

impl ResetArguments {
    fn options(&self, dry_run: bool) -> Result<ResetOptions, UsageError> {
        match self.targets[..] {
            [target] => Ok(ResetOptions { target, scope: self.scope.clone(), dry_run }),
            _ => Err(UsageError::Target),
        }
    }

    /// The option of the first target.
    fn target_option(&self) -> &'static str {
        match self.targets.first() {
            None | Some(Target::Earliest) => "--to-earliest",
            Some(Target::Latest) => "--to-latest",
            Some(Target::Offset(_)) => "--to-offset",
            Some(Target::Timestamp(_)) => "--to-datetime",
        }
    }
}

/// Parses the value of an option.
fn parse_value<T>(
    option: &'static str,
    value: &OsStr,
    allowed: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, UsageError> {
    let value_error = || UsageError::Value { option, value: shorten(&value.to_string_lossy()), allowed };
    value.to_str().and_then(parse).ok_or_else(value_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(Command, Option<&str>), &str>) {
        let parsed = parse(line.split_whitespace().map(OsString::from));
        match (parsed, expected) {
            (Ok(parsed), Ok((command, env_file))) => {
                let invocation = Invocation { env_file: env_file.map(PathBuf::from), command };
                assert_eq!(parsed, CommandLine::Command(invocation), "{line}");
            }
            (Err(error), Err(message)) => assert_eq!(error.to_string(), message, "{line}"),
            (parsed, expected) => panic!("'{line}': {parsed:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn command_lines() {
        check("", Ok((Command::Run { exit_at_end: false }, None)));
        check("run", Ok((Command::Run { exit_at_end: false }, None)));
        check("--exit-at-end", Ok((Command::Run { exit_at_end: true }, None)));
        check("run --exit-at-end --env-file a/b", Ok((Command::Run { exit_at_end: true }, Some("a/b"))));
        check("--env-file=x check", Ok((Command::Check { verbose: false }, Some("x"))));
        check("check --verbose", Ok((Command::Check { verbose: true }, None)));
        let status = |json, lag_max| Ok((Command::Status(StatusOptions { json, lag_max }), None));
        check("status", status(false, None));
        check("status --json", status(true, None));
        check("status --max-lag-seconds 1.5 --json", status(true, Some(Duration::from_millis(1_500))));
        for bad in ["x", "-1", "", "nan", "1e400"] {
            let message = format!("--max-lag-seconds is '{bad}'; allowed: a number of seconds; see --help");
            check(&format!("status --max-lag-seconds={bad}"), Err(&message));
        }
        check("check --max-lag-seconds 1", Err("'--max-lag-seconds' belongs to the command 'status'; see --help"));
        check("status --verbose", Err("'--verbose' belongs to the command 'check'; see --help"));
        for (line, text) in [("--help", HELP), ("status -V", VERSION)] {
            assert_eq!(parse(line.split(' ').map(OsString::from)).unwrap(), CommandLine::Text(text));
        }
        check("start", Err("unknown command 'start': run, check, status, replay, reset, verify or views; see --help"));
        check("run now", Err("unexpected argument \"now\"; see --help"));
        check("check --json", Err("'--json' belongs to the command 'status'; see --help"));
        check("status --exit-at-end", Err("'--exit-at-end' belongs to the command 'run'; see --help"));
        check("--env-file", Err("missing argument for option '--env-file'; see --help"));
        check("--fast", Err("invalid option '--fast'; see --help"));
        check("replay", Ok((Command::Replay { dry_run: false }, None)));
        check("replay --dry-run", Ok((Command::Replay { dry_run: true }, None)));
        check("verify --dry-run", Err("'--dry-run' belongs to the command 'replay'; see --help"));
        let reset = |target, scope: &[&str], dry_run| {
            let scope = scope.iter().map(|text| TopicScope::parse(text).unwrap()).collect();
            Ok((Command::Reset(ResetOptions { target, scope, dry_run }), None))
        };
        check("reset --to-earliest", reset(Target::Earliest, &[], false));
        check("--to-offset=7 reset --topic a:1,2 --topic b --dry-run", reset(Target::Offset(7), &["a:1,2", "b"], true));
        check("reset --to-datetime 1970-01-02", reset(Target::Timestamp(86_400_000), &[], false));
        let one =
            "reset takes exactly one of --to-earliest, --to-latest, --to-offset N and --to-datetime T; see --help";
        check("reset", Err(one));
        check("reset --to-earliest --to-offset 1", Err(one));
        check("reset --to-offset -1", Err("--to-offset is '-1'; allowed: a whole number from 0; see --help"));
        check(
            "reset --to-latest --topic a:",
            Err("--topic is 'a:'; allowed: TOPIC or TOPIC:PARTITION,PARTITION; see --help"),
        );
        check("run --to-earliest", Err("'--to-earliest' belongs to the command 'reset'; see --help"));
        check("status --topic a", Err("'--topic' belongs to the command 'reset'; see --help"));
        check("verify", Ok((Command::Verify, None)));
        let views = parse(["views", "a.db", "b/c.db"].map(OsString::from)).unwrap();
        assert_eq!(views, CommandLine::Views(vec!["a.db".into(), "b/c.db".into()]));
        check("views", Err("views takes 1 to 10 database files, not 0; see --help"));
        check(&format!("views{}", " x".repeat(11)), Err("views takes 1 to 10 database files, not 11; see --help"));
        check("views --json a.db", Err("'--json' belongs to the command 'status'; see --help"));
        check("verify --json", Err("'--json' belongs to the command 'status'; see --help"));
    }
}
