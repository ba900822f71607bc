//! The options of `decode`.

use std::fmt;
use std::path::PathBuf;

/// The options of `decode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Where the messages come from, at least one.
    pub sources: Vec<Source>,
    /// How messages are separated.
    pub framing: Framing,
    /// JSON lines, also on a terminal.
    pub json: bool,
}

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input.
    StandardInput,
    /// A file.
    File(PathBuf),
}

/// How messages are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Each line is one message.
    Lines,
    /// Each source is one message.
    Whole,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
