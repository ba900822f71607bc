//! Log files of any bytes, as a crash or another program can leave them. The lines of other programs stay, an
//! incomplete line is removed, and a message counts as written only if the last line is its own.

use std::fs::{self, OpenOptions};
use std::sync::{LazyLock, Mutex, PoisonError};

use fuzzkit::{Target, within};
use serde_json::Value;

use super::{line, tail};
use crate::storage::sqlite::Database;
use crate::storage::sqlite::fixtures::{Place, TOPIC, batch, rejected};
use crate::storage::{Attempt, UnidentifiedMessages, Writer};

/// When the messages were stored.
const RECEIVED_AT: &str = "2024-01-31T12:00:00.000Z";
/// The number of messages, at the offsets from 0 on; their ids are greater by one.
const MESSAGES: i64 = 3;
/// The id of the last message that is known to be in the file.
const CURSOR: i64 = 1;
/// Memory for reading the end of a file, per byte of it: the key of a line.
const MEMORY_FACTOR: usize = 4;
/// Memory for a file of any size: the chunks in which it is searched.
const MEMORY_LEAST: usize = 256 * 1024;

pub(crate) const TARGET: Target = Target {
    name: "unidentified_log",
    run: log_file,
    words: &["{\"timestamp\":\"", "\n", "\"offset\":", "\"partition\":0", RECEIVED_AT, TOPIC],
    tries: 1_000,
};

/// One database for all calls: to create one takes longer than everything else.
static DATABASE: LazyLock<Mutex<(Place, Database)>> = LazyLock::new(|| {
    let place = Place::new();
    let mut database = place.open_at_0(1);
    let kept = database.apply(&[batch(0, 0, MESSAGES, (0..MESSAGES).map(rejected).collect())], &mut Attempt::default());
    assert!(kept.is_ok(), "{kept:?}");
    place.execute(&format!("UPDATE unidentified_messages SET received_at = '{RECEIVED_AT}'"));
    Mutex::new((place, database))
});

fn log_file(input: &[u8]) -> bool {
    let mut held = DATABASE.lock().unwrap_or_else(PoisonError::into_inner);
    let (place, database) = &mut *held;
    let path = place.directory.path().join("log");
    let opened = fs::write(&path, input).and_then(|()| OpenOptions::new().read(true).append(true).open(&path));
    let Ok(file) = opened else { return false };
    let memory = input.len() * MEMORY_FACTOR + MEMORY_LEAST;
    let last = within(memory, || tail::find_last_written(&file, CURSOR, database));
    let Ok(last) = last else { unreachable!("neither the file nor the database fails") };
    let after = fs::read(&path).unwrap_or_default();
    let (complete, incomplete) = input.split_at(input.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1));
    let is_own_line = incomplete.iter().zip(line::BEGINNING).all(|(byte, own)| byte == own);
    if incomplete.is_empty() || is_own_line {
        assert_eq!(after, complete, "only an incomplete own line is removed");
    } else {
        assert_eq!(after, [input, b"\n"].concat(), "the line of another program");
    }
    // An incomplete line of another program says nothing about the lines before it.
    let last_line = complete.strip_suffix(b"\n").and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
    let id = last_line.and_then(id_of);
    // serde_json takes the last of two fields with one name; such a line is not accepted.
    assert!(last == id || last.is_none(), "{last:?} for {id:?}");
    if last_line.is_some_and(|line| database_lines(database).iter().any(|own| own.as_slice() == line)) {
        assert_eq!(last, id, "an own line is not recognized");
    }
    last.is_some()
}

/// The id of the message in a line, if it comes after the cursor.
fn id_of(line: &[u8]) -> Option<i64> {
    // The other fields do not matter.
    let line: Value = serde_json::from_str(&String::from_utf8_lossy(line)).ok()?;
    let offset = line.get("offset")?.as_i64()?;
    let is_own = line.get("topic")? == TOPIC && line.get("partition")? == 0 && line.get("timestamp")? == RECEIVED_AT;
    (is_own && (0..MESSAGES).contains(&offset)).then_some(offset + 1).filter(|id| *id > CURSOR)
}

/// The lines of all messages, without their ends.
fn database_lines(database: &mut Database) -> Vec<Vec<u8>> {
    let messages = database.messages_after(0, u32::MAX, usize::MAX).unwrap_or_default();
    let written = |message| {
        let mut bytes = Vec::new();
        let _ = line::write(&mut bytes, message);
        bytes.pop();
        bytes
    };
    messages.iter().map(written).collect()
}
