//! The `decode` command: says what would become of messages, for the tests of their producers. Reads files or standard input; uses
//! neither a broker nor a database nor settings. Must not know what an event is: the service's decoder decides.

mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod input;
mod options;
mod report;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::ops::ControlFlow;

pub use error::DecodeError;
use input::{Line, Lines, MESSAGE_BYTES_MAX};
pub use options::{DecodeOptions, Framing, Source};
use report::{Place, Report};

use crate::commands::error::CommandError;

/// Bytes that are read from the input at once.
const READ_BYTES: usize = 64 << 10;

/// Prints what would become of each message. Returns whether all of them are events.
pub fn decode(options: &DecodeOptions) -> Result<bool, CommandError> {
    let as_text = !options.json && io::stdout().is_terminal();
    let mut report = Report::new(as_text);
    let result = read_all(options, &mut report);
    let _ = report.end();
    result.map_err(CommandError::Decode)?;
    if report.messages() == 0 && !report.is_closed() {
        return Err(CommandError::Decode(DecodeError::NoMessage));
    }
    Ok(report.is_all_events())
}

fn read_all(options: &DecodeOptions, report: &mut Report) -> Result<(), DecodeError> {
    for source in &options.sources {
        let failed = |error| DecodeError::Read { source: source.clone(), error };
        let ended = match source {
            Source::StandardInput => read(options.framing, source, io::stdin().lock(), report)?,
            Source::File(path) => read(options.framing, source, File::open(path).map_err(failed)?, report)?,
        };
        if ended.is_break() {
            break;
        }
    }
    Ok(())
}

fn read(
    framing: Framing,
    source: &Source,
    input: impl Read,
    report: &mut Report,
) -> Result<ControlFlow<()>, DecodeError> {
    match framing {
        Framing::Lines => read_lines(source, BufReader::with_capacity(READ_BYTES, input), report),
        Framing::Whole => {
            let failed = |error| DecodeError::Read { source: source.clone(), error };
            let message = input::read_whole(input, MESSAGE_BYTES_MAX).map_err(failed)?;
            let Some(message) = message else {
                return Err(DecodeError::TooLong { source: source.clone(), line: None });
            };
            Ok(report.add(&Place { source, line: None }, &message))
        }
    }
}

fn read_lines(
    source: &Source,
    input: BufReader<impl Read>,
    report: &mut Report,
) -> Result<ControlFlow<()>, DecodeError> {
    let mut lines = Lines::new(input, MESSAGE_BYTES_MAX);
    loop {
        // Nobody waits for a line that is complete while more input is awaited.
        if lines.input().buffer().is_empty() && report.flush().is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let line = lines.number() + 1;
        match lines.read_next().map_err(|error| DecodeError::Read { source: source.clone(), error })? {
            None => return Ok(ControlFlow::Continue(())),
            Some(Line::TooLong) => return Err(DecodeError::TooLong { source: source.clone(), line: Some(line) }),
            Some(Line::Message(message)) => {
                if report.add(&Place { source, line: Some(line) }, message).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
}
