//! The `tail` command: prints events and unidentified messages as they are stored, until it is stopped or nobody reads it. Reads the
//! database only. Must not know SQL.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use kafka::text::{Escaped, excerpt};
use serde::Serialize;

use crate::commands::error::CommandError;
use crate::commands::unidentified::ERROR_CHARS_MAX;
use crate::runtime::output::{self, Stream};
use crate::runtime::shutdown::{OnHangup, Slept, Stop};
use crate::settings::Settings;
use crate::storage::{self, ListedMessage, StoredEvent, TailItem, TailStep};

/// Time between two looks at the database.
const INTERVAL: Duration = Duration::from_millis(500);

/// The most rows of a table that are read at once: so many lines are printed before others are read.
const ROWS_MAX: u32 = 1_000;

/// Prints what is stored from now on, as JSON lines or as text.
pub fn tail(settings: &Settings, json: bool) -> Result<(), CommandError> {
    let stop = Stop::install(settings.shutdown_timeout, OnHangup::Stop)?;
    let mut database = storage::inspect(&settings.database)?;
    let mut cursor = database.tail_cursor()?;
    let (mut out, mut noted) = (Stream::default(), Vec::new());
    loop {
        let TailStep { items, only_new_rows } = database.tail(&mut cursor, ROWS_MAX)?;
        for table in only_new_rows {
            if !noted.contains(&table) {
                noted.push(table);
                output::print_note(format_args!("{table} is large: events that replace a row are not shown"));
            }
        }
        let printed = items.iter().try_for_each(|item| print(&mut out, item, json));
        if printed.is_break() || out.flush().is_break() || !output::is_read() {
            break;
        }
        if items.is_empty() && stop.sleep(INTERVAL) == Slept::Stopped || stop.is_requested() {
            break;
        }
    }
    stop.finished();
    Ok(())
}

fn print(out: &mut Stream, item: &TailItem, json: bool) -> ControlFlow<()> {
    if json { out.print_json_line(&JsonLine::from(item)) } else { out.print(TextLine(item)) }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
enum JsonLine<'a> {
    Event {
        stored_at: &'a str,
        table: &'static str,
        event_id: &'a str,
        topic: &'a str,
        partition: i32,
        offset: i64,
        is_first: bool,
    },
    Unidentified {
        stored_at: &'a str,
        reason: &'a str,
        error: &'a str,
        topic: &'a str,
        partition: i32,
        offset: i64,
    },
}

impl<'a> From<&'a TailItem> for JsonLine<'a> {
    fn from(item: &'a TailItem) -> Self {
        match item {
            TailItem::Event(StoredEvent { table, event_id, topic, partition, offset, stored_at, is_first }) => {
                Self::Event {
                    stored_at,
                    table,
                    event_id,
                    topic,
                    partition: *partition,
                    offset: *offset,
                    is_first: *is_first,
                }
            }
            TailItem::Message(ListedMessage { topic, partition, offset, reason, error, received_at, .. }) => {
                Self::Unidentified {
                    stored_at: received_at,
                    reason,
                    error,
                    topic,
                    partition: *partition,
                    offset: *offset,
                }
            }
        }
    }
}

struct TextLine<'a>(&'a TailItem);

impl fmt::Display for TextLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            TailItem::Event(StoredEvent { table, event_id, topic, partition, offset, stored_at, is_first }) => {
                let what = if *is_first { "" } else { ", replaces an earlier event" };
                let (topic, event_id) = (Escaped(topic), Escaped(event_id));
                writeln!(f, "{stored_at:<24}  {table:<13}  {topic} {partition} {offset}: {event_id}{what}")
            }
            TailItem::Message(ListedMessage { topic, partition, offset, reason, error, received_at, .. }) => {
                let error = excerpt(error, ERROR_CHARS_MAX);
                let topic = Escaped(topic);
                writeln!(
                    f,
                    "{received_at:<24}  unidentified   {topic} {partition} {offset}: {}: {error}",
                    Escaped(reason)
                )
            }
        }
    }
}
