//! Parses the command line. Must not run commands or print.

mod decode;
mod error;
mod help;
mod messages;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value};

use crate::commands::decode::DecodeOptions;
use crate::commands::prune::PruneOptions;
use crate::commands::reset::{ResetOptions, Target, TopicScope};
use crate::commands::status::StatusOptions;
use crate::commands::unidentified::UnidentifiedCommand;
use crate::settings::shorten;
use crate::storage::VIEWS_DATABASES_MAX;
pub use error::UsageError;
pub use help::{DECODE_HELP, HELP, PRUNE_HELP, UNIDENTIFIED_HELP, VERSION};

/// A parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// `--help` or `--version`: print this text.
    Text(&'static str),
    /// `decode`, which needs no settings.
    Decode(DecodeOptions),
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
    /// Request the health of the running service.
    Health {
        /// Whether it is ready, not only live.
        ready: bool,
    },
    /// Print positions and lag.
    Status(StatusOptions),
    /// Decode the unidentified messages again.
    Replay {
        /// Store nothing.
        dry_run: bool,
    },
    /// List, show or export unidentified messages.
    Unidentified(UnidentifiedCommand),
    /// Delete unidentified messages.
    Prune(PruneOptions),
    /// Print what is stored from now on.
    Tail {
        /// As JSON lines.
        json: bool,
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
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(CommandLine::Text(HELP)),
            Short('V') | Long("version") => return Ok(CommandLine::Text(VERSION)),
            Long("env-file") => env_file = Some(PathBuf::from(parser.value()?)),
            Long("exit-at-end") => options.given.push(EXIT_AT_END),
            Long("json") => options.given.push(JSON),
            Long("dry-run") => options.given.push(DRY_RUN),
            Long("verbose") => options.given.push(VERBOSE),
            Long("ready") => options.given.push(READY),
            Long("max-lag-seconds") => {
                options.lag_max =
                    Some(options.value(MAX_LAG_SECONDS, &parser.value()?, "a number of seconds", seconds)?);
            }
            Long("to-earliest") => options.add_target(TO_EARLIEST, Target::Earliest),
            Long("to-latest") => options.add_target(TO_LATEST, Target::Latest),
            Long("to-offset") => {
                let target = options.value(TO_OFFSET, &parser.value()?, "a whole number from 0", Target::offset)?;
                options.targets.push(target);
            }
            Long("to-datetime") => {
                let allowed = "a date or time since 1970 such as 2026-01-15T09:30:00Z, without a zone in UTC";
                let target = options.value(TO_DATETIME, &parser.value()?, allowed, Target::datetime)?;
                options.targets.push(target);
            }
            Long("topic") => {
                let allowed = "TOPIC or TOPIC:PARTITION,PARTITION";
                let topic = options.value(TOPIC, &parser.value()?, allowed, TopicScope::parse)?;
                options.scope.push(topic);
            }
            Value(name) if command.is_none() && name == "decode" => {
                options.refuse_misplaced("decode")?;
                let options = decode::parse(&mut parser)?;
                return Ok(options.map_or(CommandLine::Text(DECODE_HELP), CommandLine::Decode));
            }
            Value(name) if command.is_none() && name == "unidentified" => {
                options.refuse_misplaced("unidentified")?;
                let parsed = messages::parse_unidentified(&mut parser, &mut env_file)?.map(Command::Unidentified);
                return Ok(command_or_help(parsed, env_file, UNIDENTIFIED_HELP));
            }
            Value(name) if command.is_none() && name == "prune" => {
                options.refuse_misplaced("prune")?;
                let parsed = messages::parse_prune(&mut parser, &mut env_file)?.map(Command::Prune);
                return Ok(command_or_help(parsed, env_file, PRUNE_HELP));
            }
            Value(path) if command.as_deref() == Some("views") => options.databases.push(PathBuf::from(path)),
            Value(name) if command.is_none() => command = Some(name.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    options.into_command_line(command.as_deref().unwrap_or("run"), env_file)
}

/// A command that has a help of its own; `None` if the help was requested.
fn command_or_help(command: Option<Command>, env_file: Option<PathBuf>, help: &'static str) -> CommandLine {
    command.map_or(CommandLine::Text(help), |command| CommandLine::Command(Invocation { env_file, command }))
}

const EXIT_AT_END: &str = "--exit-at-end";
const VERBOSE: &str = "--verbose";
const READY: &str = "--ready";
const JSON: &str = "--json";
const MAX_LAG_SECONDS: &str = "--max-lag-seconds";
const DRY_RUN: &str = "--dry-run";
const TO_EARLIEST: &str = "--to-earliest";
const TO_LATEST: &str = "--to-latest";
const TO_OFFSET: &str = "--to-offset";
const TO_DATETIME: &str = "--to-datetime";
const TOPIC: &str = "--topic";

/// The options, each with the commands that take it. A refusal names the first one.
const COMMANDS_OF_OPTIONS: [(&str, &[&str]); 11] = [
    (EXIT_AT_END, &["run"]),
    (VERBOSE, &["check"]),
    (READY, &["health"]),
    (JSON, &["status", "tail"]),
    (MAX_LAG_SECONDS, &["status"]),
    (DRY_RUN, &["replay", "reset"]),
    (TO_EARLIEST, &["reset"]),
    (TO_LATEST, &["reset"]),
    (TO_OFFSET, &["reset"]),
    (TO_DATETIME, &["reset"]),
    (TOPIC, &["reset"]),
];

/// The given options of all commands.
#[derive(Default)]
struct Options {
    /// Their names.
    given: Vec<&'static str>,
    lag_max: Option<Duration>,
    targets: Vec<Target>,
    scope: Vec<TopicScope>,
    databases: Vec<PathBuf>,
}

impl Options {
    /// Parses the value of an option.
    fn value<T>(
        &mut self,
        option: &'static str,
        value: &OsStr,
        allowed: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, UsageError> {
        self.given.push(option);
        let value_error = || UsageError::Value { option, value: shorten(&value.to_string_lossy()), allowed };
        value.to_str().and_then(parse).ok_or_else(value_error)
    }

    fn add_target(&mut self, option: &'static str, target: Target) {
        self.given.push(option);
        self.targets.push(target);
    }

    fn has(&self, option: &str) -> bool {
        self.given.contains(&option)
    }

    fn into_command_line(self, name: &str, env_file: Option<PathBuf>) -> Result<CommandLine, UsageError> {
        let command = match name {
            "run" => Command::Run { exit_at_end: self.has(EXIT_AT_END) },
            "health" => Command::Health { ready: self.has(READY) },
            "check" => Command::Check { verbose: self.has(VERBOSE) },
            "status" => Command::Status(StatusOptions { json: self.has(JSON), lag_max: self.lag_max }),
            "replay" => Command::Replay { dry_run: self.has(DRY_RUN) },
            "reset" => match self.targets[..] {
                [target] => {
                    Command::Reset(ResetOptions { target, scope: self.scope.clone(), dry_run: self.has(DRY_RUN) })
                }
                _ => return Err(UsageError::Target),
            },
            "tail" => Command::Tail { json: self.has(JSON) },
            "verify" => Command::Verify,
            "views" => {
                self.refuse_misplaced(name)?;
                return match self.databases.len() {
                    1..=VIEWS_DATABASES_MAX => Ok(CommandLine::Views(self.databases)),
                    count => Err(UsageError::Databases(count)),
                };
            }
            name => return Err(UsageError::Command(shorten(name))),
        };
        self.refuse_misplaced(name)?;
        Ok(CommandLine::Command(Invocation { env_file, command }))
    }

    fn refuse_misplaced(&self, command: &str) -> Result<(), UsageError> {
        let is_misplaced = |(option, commands): &&(&str, &[&str])| self.has(option) && !commands.contains(&command);
        match COMMANDS_OF_OPTIONS.iter().find(is_misplaced) {
            Some((option, [command, ..])) => Err(UsageError::Misplaced { option, command }),
            Some((_, [])) | None => Ok(()),
        }
    }
}

/// Parses a number of seconds, which may have a fraction.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}
