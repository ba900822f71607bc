//! Finds out, from the end of the log file, how far it was written before a crash. Must not write lines.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use serde::Deserialize;

use super::{Failure, line};
use crate::storage::{MessagePlace, UnidentifiedMessages};

/// Bytes looked through at a time, backwards.
const CHUNK_BYTES: u64 = 64 << 10;

/// What tells a line's message from all others.
#[derive(Deserialize)]
struct Place {
    timestamp: String,
    topic: String,
    partition: i32,
    offset: i64,
}

/// The id of the message in the last line, if it comes after `cursor`. Lines follow each other in the order of ids, so that
/// all messages before it are in the file too. A torn line at the end is removed first: it will be written again.
pub(super) fn last_written(
    mut file: &File,
    cursor: i64,
    database: &mut dyn UnidentifiedMessages,
) -> Result<Option<i64>, Failure> {
    let length = file.metadata()?.len();
    let end = line_start(file, length)?;
    if end < length {
        remove_torn_line(file, end, length)?;
    }
    if end == 0 {
        return Ok(None);
    }
    let start = line_start(file, end - 1)?;
    file.seek(SeekFrom::Start(start))?;
    // Read piece by piece: what the place does not need, a payload of any size, is passed over.
    match serde_json::from_reader::<_, Place>(BufReader::new(file.take(end - start))) {
        Ok(place) => {
            let Place { timestamp, topic, partition, offset } = &place;
            let at = MessagePlace { topic, partition: *partition, offset: *offset, received_at: timestamp };
            let found = database.find_messages_after(cursor, &at)?;
            if let [_, _, ..] = found[..] {
                return which_is_written(file, (start, end), &found, database);
            }
            Ok(found.first().copied())
        }
        Err(error) if error.is_io() => Err(Failure::File(error.into())),
        // Somebody else's line.
        Err(_) => Ok(None),
    }
}

/// Which of the messages the line is of, where a log that was rewritten brought several to one offset within a millisecond. Of two that
/// give the same line (their headers differ) the first: a line twice is better than none.
fn which_is_written(
    mut file: &File,
    (start, end): (u64, u64),
    ids: &[i64],
    database: &mut dyn UnidentifiedMessages,
) -> Result<Option<i64>, Failure> {
    let mut written = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(end - start).read_to_end(&mut written)?;
    for id in ids {
        let mut line = Vec::new();
        for message in database.messages_after(id - 1, 1, 0)? {
            line::write(&mut line, &message)?;
        }
        if line == written {
            return Ok(Some(*id));
        }
    }
    Ok(ids.first().copied())
}

/// Cuts off what a crash left of one of our lines. Anything else is not ours to remove, and only gets its end of line.
fn remove_torn_line(mut file: &File, start: u64, end: u64) -> io::Result<()> {
    let mut beginning = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(line::BEGINNING.len() as u64).read_to_end(&mut beginning)?;
    if line::BEGINNING.starts_with(&beginning) {
        log::warn!(bytes = end - start; "the last line of the log of unidentified messages was torn; it is written again");
        file.set_len(start)
    } else {
        file.write_all(b"\n")
    }
}

/// Where the line that ends before `end` starts: behind the last end of line before.
fn line_start(file: &File, end: u64) -> io::Result<u64> {
    let mut chunk = Vec::new();
    let mut end = end;
    while end > 0 {
        let start = end.saturating_sub(CHUNK_BYTES);
        chunk.resize(usize::try_from(end - start).map_err(io::Error::other)?, 0);
        file.read_exact_at(&mut chunk, start)?;
        if let Some(at) = chunk.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
