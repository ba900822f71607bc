//! The log file compared with the table, also after a crash and after logrotate.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{STEP_MESSAGES_MAX, UnidentifiedLog};
use crate::runtime::permissions::FileMode;
use crate::storage::sqlite::Database;
use crate::storage::sqlite::fixtures::{Place, TOPIC, batch, jump, rejected};
use crate::storage::{Attempt, Entry, Writer};

struct Fixture {
    place: Place,
    database: Database,
    path: PathBuf,
    next: i64,
}

impl Fixture {
    fn new() -> Self {
        let place = Place::new();
        let path = place.directory.path().join("logs/unidentified_messages.log");
        Self { database: place.open_at_0(1), place, path, next: 0 }
    }

    fn log(&self) -> UnidentifiedLog {
        UnidentifiedLog::new(Some(self.path.clone()), FileMode::Owner)
    }

    /// Stores unidentified messages.
    fn keep(&mut self, messages: i64) {
        let entries = (self.next..self.next + messages).map(rejected).collect();
        self.database.apply(&[batch(0, self.next, self.next + messages, entries)], &mut Attempt::default()).unwrap();
        self.next += messages;
    }

    /// A process that starts, writes everything that is pending, and ends.
    fn run(&mut self) {
        let log = &mut self.log();
        finish(log, &mut self.database);
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    /// The offsets in the file, one for each line.
    fn offsets(&self) -> Vec<i64> {
        let offset = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["offset"].as_i64().unwrap();
        self.text().lines().map(offset).collect()
    }

    fn cursor(&self) -> i64 {
        self.place.number("SELECT last_id FROM unidentified_log_cursor")
    }

    fn rewind_cursor(&self, id: i64) {
        self.place.execute(&format!("UPDATE unidentified_log_cursor SET last_id = {id}"));
    }
}

fn finish(log: &mut UnidentifiedLog, database: &mut Database) {
    log.write_rest(database, Instant::now() + Duration::from_mins(1));
}

#[test]
fn a_line_has_the_fields_of_the_contract() {
    let mut fixture = Fixture::new();
    let entries = vec![
        Entry { key: Some(b"k"), value: Some("{\"é\n".as_bytes()), ..rejected(0) },
        Entry { key: Some(b"\xff"), value: Some(b"\xfe\x00"), ..rejected(1) },
        Entry { key: None, value: None, ..rejected(2) },
        Entry { key: Some(b""), value: Some(b""), ..rejected(3) },
    ];
    fixture.database.apply(&[batch(0, 0, 4, entries)], &mut Attempt::default()).unwrap();
    fixture.run();
    let times = fixture.place.query("SELECT received_at FROM unidentified_messages LIMIT 1");
    let rusqlite::types::Value::Text(time) = &times[0][0] else { panic!("{times:?}") };
    let line = |offset: i64, key: &str, payload: &str| {
        format!(
            "{{\"timestamp\":\"{time}\",\"topic\":\"{TOPIC}\",\"partition\":0,\"offset\":{offset},{key},\
             \"reason\":\"not_json\",\"error\":\"expected value at line 1 column 1\",{payload}}}\n"
        )
    };
    let expected = [
        line(0, r#""key":"k""#, r#""payload":"{\"é\n""#),
        line(1, r#""key_base64":"/w==""#, r#""payload_base64":"/gA=""#),
        line(2, r#""key":null"#, r#""payload":null"#),
        line(3, r#""key":"""#, r#""payload":"""#),
    ];
    assert_eq!(fixture.text(), expected.concat());
}

#[test]
fn each_message_is_written_once_over_many_runs() {
    let mut fixture = Fixture::new();
    fixture.run();
    assert_eq!(fixture.text(), "", "the file is created at once, so that a wrong path shows at the start");
    for messages in [1, 2, 3] {
        fixture.keep(messages);
        fixture.run();
        fixture.run();
    }
    assert_eq!(fixture.offsets(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(fixture.cursor(), fixture.place.number("SELECT max(id) FROM unidentified_messages"));
}

#[test]
fn a_step_is_bounded_and_followed_by_the_next() {
    let mut fixture = Fixture::new();
    let step = i64::from(STEP_MESSAGES_MAX);
    fixture.keep(step + 1);
    let mut log = fixture.log();
    log.write_when_due(&mut fixture.database);
    assert_eq!(fixture.offsets().len(), usize::try_from(step).unwrap());
    log.write_when_due(&mut fixture.database);
    assert_eq!(fixture.offsets(), (0..=step).collect::<Vec<_>>());
}

#[test]
fn large_messages_make_a_step_shorter() {
    let mut fixture = Fixture::new();
    let large = vec![b'x'; 3 << 20];
    let entries = (0..5).map(|offset| Entry { value: Some(&large), ..rejected(offset) }).collect();
    fixture.database.apply(&[batch(0, 0, 5, entries)], &mut Attempt::default()).unwrap();
    let mut log = fixture.log();
    log.write_when_due(&mut fixture.database);
    assert_eq!(fixture.offsets(), [0, 1, 2]);
    log.write_when_due(&mut fixture.database);
    assert_eq!(fixture.offsets(), [0, 1, 2, 3, 4]);
}

/// A crash cuts the file of two steps at each byte, with the cursor after the first step: the file is completed.
#[test]
fn a_file_that_a_crash_cut_at_any_byte_is_completed() {
    let mut fixture = Fixture::new();
    fixture.keep(2);
    fixture.run();
    let (cursor, from) = (fixture.cursor(), fixture.text().len());
    fixture.keep(3);
    fixture.run();
    let whole = fixture.text();
    for length in from..=whole.len() {
        fs::write(&fixture.path, &whole[..length]).unwrap();
        fixture.rewind_cursor(cursor);
        fixture.run();
        assert_eq!(fixture.text(), whole, "cut at {length}");
    }
}

#[test]
fn a_failed_step_is_repeated_by_the_same_process() {
    let mut fixture = Fixture::new();
    let mut log = fixture.log();
    fixture.keep(2);
    finish(&mut log, &mut fixture.database);
    // The lines can be written, but the cursor cannot be moved.
    let other = fixture.place.connect();
    fixture.keep(2);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    finish(&mut log, &mut fixture.database);
    assert_eq!(fixture.offsets(), [0, 1, 2, 3]);
    other.execute_batch("COMMIT").unwrap();
    fixture.keep(1);
    finish(&mut log, &mut fixture.database);
    assert_eq!(fixture.offsets(), [0, 1, 2, 3, 4]);
}

#[test]
fn each_of_several_messages_at_an_offset_is_written_once() {
    let (first, second): (&[u8], &[u8]) = (b"first", b"second");
    for last in [first, second] {
        let mut fixture = Fixture::new();
        let mut from = 0;
        for value in [first, second] {
            fixture.database.store_jumps(&[jump(0, Some(from), 0)], &mut Attempt::default()).unwrap();
            let record = Entry { value: Some(value), ..rejected(0) };
            fixture.database.apply(&[batch(0, 0, 1, vec![record])], &mut Attempt::default()).unwrap();
            from = 1;
        }
        // Both were stored within one millisecond.
        fixture.place.execute("UPDATE unidentified_messages SET received_at = '2026-01-01T00:00:00.000Z'");
        fixture.run();
        let lines: Vec<String> = fixture.text().lines().map(str::to_owned).collect();
        assert!(lines.len() == 2 && lines[0].contains("first") && lines[1].contains("second"), "{lines:?}");
        // A crash before the cursor was moved, after either line.
        let count = if last == first { 1 } else { 2 };
        fs::write(&fixture.path, format!("{}\n", lines[..count].join("\n"))).unwrap();
        fixture.rewind_cursor(0);
        fixture.run();
        assert_eq!(fixture.text().lines().collect::<Vec<_>>(), lines);
    }
}

#[test]
fn the_file_is_compared_with_the_cursor_once() {
    let mut fixture = Fixture::new();
    fixture.keep(2);
    fixture.run();
    fixture.rewind_cursor(0);
    let mut log = fixture.log();
    finish(&mut log, &mut fixture.database);
    fixture.keep(1);
    finish(&mut log, &mut fixture.database);
    assert_eq!(fixture.offsets(), [0, 1, 2]);
}

#[test]
fn messages_are_written_once_the_file_can_be_written() {
    let mut fixture = Fixture::new();
    let mut log = fixture.log();
    fs::create_dir_all(&fixture.path).unwrap(); // A directory at its path.
    fixture.keep(2);
    finish(&mut log, &mut fixture.database);
    fixture.keep(1);
    finish(&mut log, &mut fixture.database);
    assert_eq!(fixture.cursor(), 0);
    fs::remove_dir(&fixture.path).unwrap();
    finish(&mut log, &mut fixture.database);
    assert_eq!(fixture.offsets(), [0, 1, 2]);
}

/// Such a message would be read, stored and written to the file a second time.
#[test]
fn messages_that_are_not_synced_are_not_written() {
    let mut fixture = Fixture::new();
    fixture.keep(2);
    // A link to itself cannot be opened, so it cannot be synced.
    let (wal, aside) = (fixture.place.path("-wal"), fixture.place.path("-aside"));
    fs::rename(&wal, &aside).unwrap();
    std::os::unix::fs::symlink(&wal, &wal).unwrap();
    fixture.run();
    assert_eq!(fixture.text(), "");
    fs::rename(&aside, &wal).unwrap();
    fixture.run();
    assert_eq!(fixture.offsets(), [0, 1]);
}

#[test]
fn a_rotated_file_is_created_again() {
    let mut fixture = Fixture::new();
    let mut log = fixture.log();
    fixture.keep(2);
    finish(&mut log, &mut fixture.database);
    fs::OpenOptions::new().write(true).open(&fixture.path).unwrap().set_len(0).unwrap(); // copytruncate
    fixture.keep(1);
    finish(&mut log, &mut fixture.database);
    assert_eq!(fixture.offsets(), [2]);
    fs::rename(&fixture.path, fixture.path.with_extension("1")).unwrap();
    fixture.keep(1);
    finish(&mut log, &mut fixture.database);
    assert_eq!(fixture.offsets(), [3]);
}

#[test]
fn the_lines_of_other_programs_stay() {
    let check = |theirs: &str, then: &str| {
        let mut fixture = Fixture::new();
        fixture.keep(1);
        fs::create_dir_all(fixture.path.parent().unwrap()).unwrap();
        fs::write(&fixture.path, theirs).unwrap();
        fixture.run();
        let text = fixture.text();
        assert!(text.starts_with(then) && text[then.len()..].starts_with("{\"timestamp\":"), "{text}");
        assert_eq!(text.matches('\n').count(), then.matches('\n').count() + 1);
    };
    check("another program\n", "another program\n");
    check("{\"offset\":0}\n", "{\"offset\":0}\n");
    check("no end", "no end\n");
    check("\n", "\n");
}

#[test]
fn a_line_longer_than_one_search_step_is_found() {
    let mut fixture = Fixture::new();
    let large = vec![b'x'; 300_000];
    let entries = vec![Entry { value: Some(&large), ..rejected(0) }, Entry { value: Some(&large), ..rejected(1) }];
    fixture.database.apply(&[batch(0, 0, 2, entries)], &mut Attempt::default()).unwrap();
    fixture.run();
    let whole = fixture.text();
    for length in [whole.len(), whole.len() - 1, whole.len() - 200_000, 300_100] {
        fs::write(&fixture.path, &whole[..length]).unwrap();
        fixture.rewind_cursor(0);
        fixture.run();
        assert!(fixture.text() == whole, "cut at {length}");
    }
}

#[test]
fn without_a_path_nothing_is_written_and_the_cursor_stays() {
    let mut fixture = Fixture::new();
    fixture.keep(1);
    let mut log = UnidentifiedLog::new(None, FileMode::Owner);
    log.write_when_due(&mut fixture.database);
    finish(&mut log, &mut fixture.database);
    assert_eq!(fixture.cursor(), 0);
    fixture.run();
    assert_eq!(fixture.offsets(), [0], "once a path is set");
}

#[test]
fn messages_that_were_deleted_are_not_missed() {
    let mut fixture = Fixture::new();
    fixture.keep(2);
    fixture.run();
    fixture.place.execute("DELETE FROM unidentified_messages");
    fixture.keep(1);
    fixture.run();
    assert_eq!(fixture.offsets(), [0, 1, 2]);
}
