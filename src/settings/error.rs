//! Why the settings are refused. Each error is one line with the name of the variable or file, and shows no secret.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::env_file::Problem;

/// Why the settings are refused.
#[derive(Debug)]
pub enum SettingsError {
    /// The value of a variable is not allowed.
    Invalid {
        /// Its name.
        variable: &'static str,
        /// The value, shortened; `None` if it is a secret.
        value: Option<String>,
        /// The allowed values.
        allowed: String,
    },
    /// A variable contradicts another one.
    Contradiction {
        /// Its name.
        variable: &'static str,
        /// The problem, worded to follow the name.
        problem: String,
    },
    /// A file that a variable names cannot be read.
    File {
        /// The variable's name.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file with certificates or a key, which a variable names, cannot be used.
    Tls {
        /// The variable's name.
        variable: &'static str,
        /// The cause.
        source: kafka::TlsError,
    },
    /// The settings file cannot be read.
    EnvFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line of the settings file is refused.
    EnvFileLine {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
        /// The name before `=`, if there is one: any other part of the line may be a secret.
        name: Option<String>,
        /// The problem.
        problem: Problem,
    },
}

impl SettingsError {
    pub(super) fn contradiction(variable: &'static str, problem: impl Into<String>) -> Self {
        Self::Contradiction { variable, problem: problem.into() }
    }

    /// A security setting without effect: an operator would believe that the connection is secure.
    pub(super) fn without_effect(variable: &'static str, needed: &str) -> Self {
        let problem = format!("is set, but KAFKA_SECURITY_PROTOCOL is not {needed}, so it would have no effect");
        Self::contradiction(variable, problem)
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { variable, value: Some(value), allowed } => {
                write!(f, "{variable} is '{value}'; allowed: {allowed}")
            }
            Self::Invalid { variable, value: None, allowed } => {
                write!(f, "{variable} has a wrong value (not shown); allowed: {allowed}")
            }
            Self::Contradiction { variable, problem } => write!(f, "{variable} {problem}"),
            Self::File { variable, path, .. } => {
                write!(f, "{variable} names a file that cannot be read: '{}'", path.display())
            }
            Self::Tls { variable, source: kafka::TlsError::NoAuthorities { .. } } => {
                write!(f, "{variable} must be set")
            }
            Self::Tls { variable, .. } => write!(f, "{variable} cannot be used"),
            Self::EnvFile { path, .. } => write!(f, "cannot read the settings file '{}'", path.display()),
            Self::EnvFileLine { path, line, name, problem } => {
                write!(f, "line {line} of the settings file '{}' ", path.display())?;
                if let Some(name) = name {
                    write!(f, "begins '{name}=' and ")?;
                }
                problem.fmt(f)
            }
        }
    }
}

impl Error for SettingsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::EnvFile { source, .. } => Some(source),
            Self::Tls { source, .. } => Some(source),
            Self::Invalid { .. } | Self::Contradiction { .. } | Self::EnvFileLine { .. } => None,
        }
    }
}
