//! The command line of `decode`, after its name.

use std::path::PathBuf;

use lexopt::Parser;
use lexopt::prelude::{Long, Short, Value};

use super::error::UsageError;
use crate::commands::decode::{DecodeOptions, Framing, Source};

/// The name that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Parses the options and files; `None` for the help.
pub(super) fn parse(parser: &mut Parser) -> Result<Option<DecodeOptions>, UsageError> {
    let mut options = DecodeOptions { sources: Vec::new(), framing: Framing::Lines, json: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("whole") => options.framing = Framing::Whole,
            Long("json") => options.json = true,
            // The same settings file may be named with every command.
            Long("env-file") => drop(parser.value()?),
            Value(name) if name == STANDARD_INPUT => options.sources.push(Source::StandardInput),
            Value(path) => options.sources.push(Source::File(PathBuf::from(path))),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.sources.is_empty() {
        options.sources.push(Source::StandardInput);
    }
    Ok(Some(options))
}
