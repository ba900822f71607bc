//! The command line: what was asked for, and the only place that prints to standard output. Knows the commands, not how they work.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kafka::text::EscapedLines;
use lexopt::prelude::{Long, Short, Value};

use crate::commands::reset::{ResetOptions, Target, TopicScope};
use crate::commands::status::StatusOptions;
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::json;
use crate::settings::shorten;
use crate::storage::VIEWS_DATABASES_MAX;

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
  reset TO [--topic T[:P[,P]]]... [--dry-run]
                        set the group's offsets, while it has no members, so that the next start
                        reads from there; TO is one of --to-earliest, --to-latest, --to-offset N and
                        --to-datetime T (such as 2026-01-15T09:30:00Z); without --topic all
                        partitions; with --dry-run only say what would be set
  verify                look whether the database holds together; say what is off
  views DATABASE...     print SQL that attaches the database files of several instances and creates
                        views over all of them: all_opportunities, all_projects

Options:
  --env-file PATH       read settings from this file instead of ./.env; variables already set win
  -h, --help            print this
  -V, --version         print the version

Settings come from the environment; README.md and .env.example list them all.
check and status give up after 60 s, replay when the database has refused for 30 s.
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Set the group's offsets.
    Reset(ResetOptions),
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
    /// `views` with no database, or more than can be attached.
    Databases(usize),
    /// An option of another command.
    Misplaced {
        /// The option.
        option: &'static str,
        /// Where it belongs.
        command: &'static str,
    },
    /// `reset` without exactly one target.
    Target,
    /// A value of an option that means nothing.
    Value {
        /// The option.
        option: &'static str,
        /// The value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => write!(f, "{error}; see --help"),
            Self::Command(name) => {
                write!(f, "unknown command '{name}': run, check, status, replay, reset, verify or views; see --help")
            }
            Self::Databases(count) => {
                write!(f, "views takes 1 to {VIEWS_DATABASES_MAX} database files, not {count}; see --help")
            }
            Self::Misplaced { option, command } => {
                write!(f, "'{option}' belongs to the command '{command}'; see --help")
            }
            Self::Target => f.write_str(
                "reset takes exactly one of --to-earliest, --to-latest, --to-offset N and --to-datetime T; see --help",
            ),
            Self::Value { option, value, allowed } => {
                write!(f, "{option} is '{value}'; allowed: {allowed}; see --help")
            }
        }
    }
}

impl Error for UsageError {}

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
    let mut reset = ResetArguments::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Text(HELP)),
            Short('V') | Long("version") => return Ok(Asked::Text(VERSION)),
            Long("env-file") => env_file = Some(PathBuf::from(parser.value()?)),
            Long("exit-at-end") => exit_at_end = true,
            Long("json") => json = true,
            Long("dry-run") => dry_run = true,
            Long("verbose") => verbose = true,
            Long("max-lag-seconds") => lag_max = Some(read("--max-lag-seconds", &parser.value()?, SECONDS, seconds)?),
            Value(path) if command.as_deref() == Some("views") => databases.push(PathBuf::from(path)),
            Long("to-earliest") => reset.targets.push(Target::Earliest),
            Long("to-latest") => reset.targets.push(Target::Latest),
            Long("to-offset") => reset.targets.push(read("--to-offset", &parser.value()?, OFFSET, Target::offset)?),
            Long("to-datetime") => {
                reset.targets.push(read("--to-datetime", &parser.value()?, DATETIME, Target::datetime)?);
            }
            Long("topic") => reset.scope.push(read("--topic", &parser.value()?, TOPIC, TopicScope::parse)?),
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
        (Some(command), _) => Ok(Asked::Work(Invocation { env_file, command })),
        (None, 1..=VIEWS_DATABASES_MAX) => Ok(Asked::Views(databases)),
        (None, count) => Err(UsageError::Databases(count)),
    }
}

/// A number of seconds, with or without a fraction.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

const SECONDS: &str = "a number of seconds";
const OFFSET: &str = "a whole number from 0";
const DATETIME: &str = "a date or time since 1970 such as 2026-01-15T09:30:00Z, without a zone in UTC";
const TOPIC: &str = "TOPIC or TOPIC:PARTITION,PARTITION";

/// What `reset` is given.
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

    /// The option that stands for the first target.
    fn target_option(&self) -> &'static str {
        match self.targets.first() {
            None | Some(Target::Earliest) => "--to-earliest",
            Some(Target::Latest) => "--to-latest",
            Some(Target::Offset(_)) => "--to-offset",
            Some(Target::Timestamp(_)) => "--to-datetime",
        }
    }
}

/// The value of an option.
fn read<T>(
    option: &'static str,
    value: &OsStr,
    allowed: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, UsageError> {
    let value_error = || UsageError::Value { option, value: shorten(&value.to_string_lossy()), allowed };
    value.to_str().and_then(parse).ok_or_else(value_error)
}

/// The first write to standard output that failed. Like the error flag of a C stream, which programs ask for once, at their end
/// ([close_stdout](https://www.gnu.org/software/gnulib/manual/html_node/Closed-standard-fds.html)): so no command can forget it.
static OUTPUT_FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints text of one or several lines to standard output; what is unprintable in it is [escaped](EscapedLines).
pub fn print(text: impl fmt::Display) {
    write_out(EscapedLines(text).to_string().as_bytes());
}

/// Prints a value as indented JSON, and a line feed, to standard output.
pub fn print_json(value: &impl serde::Serialize) {
    let json = serde_json::to_vec_pretty(value).map(json::printable);
    match json {
        Ok(json) => write_out(&[json.as_slice(), b"\n"].concat()),
        Err(error) => note_failure(error.into()),
    }
}

fn write_out(bytes: &[u8]) {
    // Past `Stdout`, which takes a descriptor that is not open for writing for an open one, and holds back the end of a line.
    let out = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    match out.and_then(|mut out| out.write_all(bytes)) {
        // A reader that has gone (`| head`) has what it wants.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => note_failure(error),
        Ok(()) => {}
    }
}

fn note_failure(error: io::Error) {
    OUTPUT_FAILURE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

/// What could not be printed; to be asked for once, when all has been printed.
pub fn take_output_error() -> Option<OutputError> {
    OUTPUT_FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take().map(OutputError)
}

/// Not all of what was to be printed could be written.
#[derive(Debug)]
pub struct OutputError(io::Error);

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot write to standard output")
    }
}

impl Error for OutputError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Prints one error, with all that caused it, to standard error. If that fails, the exit code still tells.
pub fn print_error(error: &dyn Error) {
    let line = format!("enterprise-consumer: {}\n", ErrorChain(error));
    let _ = io::stderr().write_all(line.as_bytes());
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
        assert_eq!(views, Asked::Views(vec!["a.db".into(), "b/c.db".into()]));
        check("views", Err("views takes 1 to 10 database files, not 0; see --help"));
        check(&format!("views{}", " x".repeat(11)), Err("views takes 1 to 10 database files, not 11; see --help"));
        check("views --json a.db", Err("'--json' belongs to the command 'status'; see --help"));
        check("verify --json", Err("'--json' belongs to the command 'status'; see --help"));
    }
}
