//! The command line: what was asked for, and the only place that prints for people. Knows the commands, not how they work.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value};

use crate::repository::views::DATABASES_MAX;
use crate::settings::shorten;
use crate::status::StatusOptions;

/// Printed by `--help`.
pub const HELP: &str = "\
Reads enterprise events from Apache Kafka and keeps them in SQLite, each exactly once.

Usage: enterprise-consumer [--env-file PATH] [COMMAND]

Commands:
  run [--exit-at-end]   read until stopped (the default); with --exit-at-end until the end of
                        every partition, as first seen, has been stored
  check [--verbose]     look at settings, database, log files, brokers, topics and group; say what
                        run would fail or stumble on; with --verbose also what is fine
  status [--json] [--max-lag-seconds N]
                        rows, unidentified messages, how far each partition has been read, and what
                        the next start would do; fails if anything cannot be had, or if a lag is
                        greater than N seconds or not known
  replay [--dry-run]    decode the unidentified messages again, as after an upgrade; with --dry-run
                        only say what would come of it
  verify                look whether the database holds together; say what is off
  views DATABASE...     print SQL that attaches the database files of several instances and creates
                        views over all of them: all_opportunities, all_projects

Options:
  --env-file PATH       read settings from this file instead of ./.env; variables already set win
  -h, --help            print this
  -V, --version         print the version

Settings come from the environment; README.md and .env.example list them all.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 second signal.
";

/// Printed by `--version`.
pub const VERSION: &str = concat!("enterprise-consumer ", env!("CARGO_PKG_VERSION"), "\n");

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A text to print, for which nothing else is needed.
    Text(&'static str),
    /// SQL for these database files, for which no settings are needed.
    Views(Vec<PathBuf>),
    /// Work, for which settings are needed.
    Work(Invocation),
}

/// What is to be done, and with which settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// `--env-file`.
    pub env_file: Option<PathBuf>,
    /// What to do.
    pub command: Command,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Read and store.
    Run {
        /// Stop at the end of every partition, as first seen.
        exit_at_end: bool,
    },
    /// Look whether all is in order.
    Check {
        /// Say what is fine, too.
        verbose: bool,
    },
    /// Say how far everything is.
    Status(StatusOptions),
    /// Decode the unidentified messages again.
    Replay {
        /// Write nothing.
        dry_run: bool,
    },
    /// Look whether the database holds together.
    Verify,
}

/// A command line that means nothing.
#[derive(Debug)]
pub enum UsageError {
    /// An option that is unknown, lacks its value or has one too many.
    Option(lexopt::Error),
    /// No command of this name.
    Command(String),
    /// A value that is no number of seconds.
    Seconds(String),
    /// `views` with no database, or more than can be attached.
    Databases(usize),
    /// An option of another command.
    Misplaced {
        /// The option.
        option: &'static str,
        /// Where it belongs.
        command: &'static str,
    },
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => write!(f, "{error}; see --help"),
            Self::Command(name) => {
                write!(f, "unknown command '{name}': run, check, status, replay, verify or views; see --help")
            }
            Self::Databases(count) => {
                write!(f, "views takes 1 to {DATABASES_MAX} database files, not {count}; see --help")
            }
            Self::Seconds(value) => {
                write!(f, "--max-lag-seconds is '{value}'; allowed: a number of seconds; see --help")
            }
            Self::Misplaced { option, command } => {
                write!(f, "'{option}' belongs to the command '{command}'; see --help")
            }
        }
    }
}

impl std::error::Error for UsageError {}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self::Option(error)
    }
}

/// Reads the arguments, the program's own name not among them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, UsageError> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut env_file, mut command) = (None, None);
    let (mut exit_at_end, mut json, mut dry_run, mut verbose, mut lag_max) = (false, false, false, false, None);
    let mut databases = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Text(HELP)),
            Short('V') | Long("version") => return Ok(Asked::Text(VERSION)),
            Long("env-file") => env_file = Some(PathBuf::from(parser.value()?)),
            Long("exit-at-end") => exit_at_end = true,
            Long("json") => json = true,
            Long("dry-run") => dry_run = true,
            Long("verbose") => verbose = true,
            Long("max-lag-seconds") => lag_max = Some(seconds(&parser.value()?)?),
            Value(path) if command.as_deref() == Some("views") => databases.push(PathBuf::from(path)),
            Value(name) if command.is_none() => command = Some(name.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let command = match command.as_deref() {
        None | Some("run") => Some(Command::Run { exit_at_end }),
        Some("check") => Some(Command::Check { verbose }),
        Some("status") => Some(Command::Status(StatusOptions { json, lag_max })),
        Some("replay") => Some(Command::Replay { dry_run }),
        Some("verify") => Some(Command::Verify),
        Some("views") => None,
        Some(name) => return Err(UsageError::Command(shorten(name))),
    };
    let options = [
        ("--exit-at-end", "run", exit_at_end && !matches!(command, Some(Command::Run { .. }))),
        ("--json", "status", json && !matches!(command, Some(Command::Status(_)))),
        ("--max-lag-seconds", "status", lag_max.is_some() && !matches!(command, Some(Command::Status(_)))),
        ("--verbose", "check", verbose && !matches!(command, Some(Command::Check { .. }))),
        ("--dry-run", "replay", dry_run && !matches!(command, Some(Command::Replay { .. }))),
    ];
    if let Some((option, command, _)) = options.into_iter().find(|(_, _, misplaced)| *misplaced) {
        return Err(UsageError::Misplaced { option, command });
    }
    match (command, databases.len()) {
        (Some(command), _) => Ok(Asked::Work(Invocation { env_file, command })),
        (None, 1..=DATABASES_MAX) => Ok(Asked::Views(databases)),
        (None, count) => Err(UsageError::Databases(count)),
    }
}

/// A number of seconds, with or without a fraction.
fn seconds(value: &OsStr) -> Result<Duration, UsageError> {
    let number = value.to_str().and_then(|text| text.parse::<f64>().ok());
    number
        .and_then(|number| Duration::try_from_secs_f64(number).ok())
        .ok_or_else(|| UsageError::Seconds(shorten(&value.to_string_lossy())))
}

/// Prints to standard output. A reader that has gone (`| head`) is no failure.
pub fn print(text: impl fmt::Display) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

/// Prints one error, with all that caused it, to standard error.
pub fn print_error(error: &dyn std::error::Error) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "enterprise-consumer: {}", crate::error_chain::ErrorChain(error));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(Command, Option<&str>), &str>) {
        let parsed = parse(line.split_whitespace().map(OsString::from));
        match (parsed, expected) {
            (Ok(asked), Ok((command, env_file))) => {
                let invocation = Invocation { env_file: env_file.map(PathBuf::from), command };
                assert_eq!(asked, Asked::Work(invocation), "{line}");
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
            assert_eq!(parse(line.split(' ').map(OsString::from)).unwrap(), Asked::Text(text));
        }
        check("start", Err("unknown command 'start': run, check, status, replay, verify or views; see --help"));
        check("run now", Err("unexpected argument \"now\"; see --help"));
        check("check --json", Err("'--json' belongs to the command 'status'; see --help"));
        check("status --exit-at-end", Err("'--exit-at-end' belongs to the command 'run'; see --help"));
        check("--env-file", Err("missing argument for option '--env-file'; see --help"));
        check("--fast", Err("invalid option '--fast'; see --help"));
        check("replay", Ok((Command::Replay { dry_run: false }, None)));
        check("replay --dry-run", Ok((Command::Replay { dry_run: true }, None)));
        check("verify --dry-run", Err("'--dry-run' belongs to the command 'replay'; see --help"));
        check("verify", Ok((Command::Verify, None)));
        let views = parse(["views", "a.db", "b/c.db"].map(OsString::from)).unwrap();
        assert_eq!(views, Asked::Views(vec!["a.db".into(), "b/c.db".into()]));
        check("views", Err("views takes 1 to 10 database files, not 0; see --help"));
        check(&format!("views{}", " x".repeat(11)), Err("views takes 1 to 10 database files, not 11; see --help"));
        check("views --json a.db", Err("'--json' belongs to the command 'status'; see --help"));
        check("verify --json", Err("'--json' belongs to the command 'status'; see --help"));
    }
}
