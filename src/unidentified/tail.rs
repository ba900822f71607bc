//! Finds the last message in the log file, which a crash may have left ahead of the cursor. Must not write lines.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use serde::Deserialize;

use super::error::LogFileError;
use super::line;
use crate::storage::{MessagePlace, UnidentifiedMessages};

/// Bytes that are searched at a time, backwards from the end.
const CHUNK_BYTES: u64 = 64 << 10;

/// The fields of a line that identify its message.
#[derive(Deserialize)]
struct LineKey {
    timestamp: String,
    topic: String,
    partition: i32,
    offset: i64,
}

/// The id of the message in the last line, if it comes after `cursor`. The lines are in the order of ids, so all
/// messages before it are in the file too. An incomplete last line is removed first, and will be written again.
pub(super) fn find_last_written(
    mut file: &File,
    cursor: i64,
    database: &mut dyn UnidentifiedMessages,
) -> Result<Option<i64>, LogFileError> {
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
    // The reader skips the other fields without keeping them: a payload can have any size.
    match serde_json::from_reader::<_, LineKey>(BufReader::new(file.take(end - start))) {
        Ok(key) => {
            let LineKey { timestamp, topic, partition, offset } = &key;
            let at = MessagePlace { topic, partition: *partition, offset: *offset, received_at: timestamp };
            let found = database.find_messages_after(cursor, &at)?;
            if let [_, _, ..] = found[..] {
                return find_written(file, (start, end), &found, database);
            }
            Ok(found.first().copied())
        }
        Err(error) if error.is_io() => Err(LogFileError::File(error.into())),
        // Another program's line.
        Err(_) => Ok(None),
    }
}

/// Which of several messages with the same key the line belongs to: a rewritten log can bring several to one offset
/// within a millisecond. If two of them give the same line, because only their headers differ, the first: a duplicate
/// line is better than a missing one.
fn find_written(
    mut file: &File,
    (start, end): (u64, u64),
    ids: &[i64],
    database: &mut dyn UnidentifiedMessages,
) -> Result<Option<i64>, LogFileError> {
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

/// Removes the incomplete line that a crash has left. The line of another program stays and gets an end of line.
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

/// The start of the line that ends before `end`: after the end of the line before it.
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
