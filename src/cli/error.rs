//! Why the command line is refused, in one line.

use std::error::Error;
use std::fmt;

use crate::storage::VIEWS_DATABASES_MAX;

/// Why the command line is refused.
#[derive(Debug)]
pub enum UsageError {
    /// An option is unknown, lacks its value, or has one that it does not take.
    Option(lexopt::Error),
    /// A command is unknown.
    Command(String),
    /// `views` has no database, or more than SQLite can attach.
    Databases(usize),
    /// An option belongs to another command.
    Misplaced {
        /// The option.
        option: &'static str,
        /// Its command.
        command: &'static str,
    },
    /// `reset` does not have exactly one target.
    Target,
    /// A command lacks something; the text says what.
    Incomplete(&'static str),
    /// The value of an option or argument is refused.
    Value {
        /// The option.
        option: &'static str,
        /// The value.
        value: String,
        /// The allowed values.
        allowed: &'static str,
    },
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => write!(f, "{error}; see --help"),
            Self::Command(name) => {
                write!(
                    f,
                    "unknown command '{name}': run, check, health, status, decode, unidentified, prune, tail, replay, reset, verify or views; see --help"
                )
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
            Self::Incomplete(what) => write!(f, "{what}; see --help"),
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
