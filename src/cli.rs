//! The command line: what was asked for, and the only place that prints to standard output. Knows the commands, not how they work.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use kafka::text::EscapedLines;
use lexopt::prelude::{Long, Short, Value};

use crate::error_chain::ErrorChain;
use crate::json;
use crate::settings::shorten;

/// Printed by `--help`.
pub const HELP: &str = "\
Reads enterprise events from Apache Kafka and keeps them in SQLite, each exactly once.

Usage: enterprise-consumer [--env-file PATH] [COMMAND]

Commands:
  run [--exit-at-end]   read until stopped (the default); with --exit-at-end until the end of
                        every partition, as first seen, has been stored
  check                 look at settings, database, brokers and topics; say what to mend
  status [--json]       rows, unidentified messages, and how far each partition has been read
  replay [--dry-run]    decode the unidentified messages again, as after an upgrade; with --dry-run
                        only say what would come of it
  verify                look whether the database holds together; say what is off

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
    Check,
    /// Say how far everything is.
    Status {
        /// For programs.
        json: bool,
    },
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
                write!(f, "unknown command '{name}': run, check, status, replay or verify; see --help")
            }
            Self::Misplaced { option, command } => {
                write!(f, "'{option}' belongs to the command '{command}'; see --help")
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
    let (mut exit_at_end, mut json, mut dry_run) = (false, false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Asked::Text(HELP)),
            Short('V') | Long("version") => return Ok(Asked::Text(VERSION)),
            Long("env-file") => env_file = Some(PathBuf::from(parser.value()?)),
            Long("exit-at-end") => exit_at_end = true,
            Long("json") => json = true,
            Long("dry-run") => dry_run = true,
            Value(name) if command.is_none() => command = Some(name.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let command = match command.as_deref() {
        None | Some("run") => Command::Run { exit_at_end },
        Some("check") => Command::Check,
        Some("status") => Command::Status { json },
        Some("replay") => Command::Replay { dry_run },
        Some("verify") => Command::Verify,
        Some(name) => return Err(UsageError::Command(shorten(name))),
    };
    let options = [
        ("--exit-at-end", "run", exit_at_end && !matches!(command, Command::Run { .. })),
        ("--json", "status", json && !matches!(command, Command::Status { .. })),
        ("--dry-run", "replay", dry_run && !matches!(command, Command::Replay { .. })),
    ];
    if let Some((option, command, _)) = options.into_iter().find(|(_, _, misplaced)| *misplaced) {
        return Err(UsageError::Misplaced { option, command });
    }
    Ok(Asked::Work(Invocation { env_file, command }))
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
        check("--env-file=x check", Ok((Command::Check, Some("x"))));
        check("status", Ok((Command::Status { json: false }, None)));
        check("status --json", Ok((Command::Status { json: true }, None)));
        for (line, text) in [("--help", HELP), ("status -V", VERSION)] {
            assert_eq!(parse(line.split(' ').map(OsString::from)).unwrap(), Asked::Text(text));
        }
        check("start", Err("unknown command 'start': run, check, status, replay or verify; see --help"));
        check("run now", Err("unexpected argument \"now\"; see --help"));
        check("check --json", Err("'--json' belongs to the command 'status'; see --help"));
        check("status --exit-at-end", Err("'--exit-at-end' belongs to the command 'run'; see --help"));
        check("--env-file", Err("missing argument for option '--env-file'; see --help"));
        check("--fast", Err("invalid option '--fast'; see --help"));
        check("replay", Ok((Command::Replay { dry_run: false }, None)));
        check("replay --dry-run", Ok((Command::Replay { dry_run: true }, None)));
        check("verify --dry-run", Err("'--dry-run' belongs to the command 'replay'; see --help"));
        check("verify", Ok((Command::Verify, None)));
        check("verify --json", Err("'--json' belongs to the command 'status'; see --help"));
    }
}
