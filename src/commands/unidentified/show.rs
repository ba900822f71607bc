//! Shows the messages at one offset. Must not read more than those.

use std::fmt;
use std::ops::ControlFlow;

use kafka::text::Escaped;
use time::UtcDateTime;

use super::error::UnidentifiedError;
use super::excerpt::{Shown, around, on_one_line};
use super::message::MessageLine;
use super::options::{ShowForm, ShowOptions};
use crate::commands::error::CommandError;
use crate::entity::{Reason, decode, locate};
use crate::runtime::output::Stream;
use crate::runtime::timestamp::timestamp;
use crate::storage::{Inspector, KeptMessage};

/// Shows every message at an offset; as raw bytes the newest one.
pub(super) fn show(database: &mut dyn Inspector, options: &ShowOptions) -> Result<(), CommandError> {
    let ShowOptions { topic, partition, offset, form } = options;
    let (mut out, mut shown, mut newest) = (Stream::default(), 0_u64, None);
    database.read_messages_at((topic, *partition, *offset), &mut |message| {
        shown += 1;
        match form {
            ShowForm::Text if shown > 1 => out.print(format_args!("\n{}", Text(&message))),
            ShowForm::Text => out.print(Text(&message)),
            ShowForm::Json => out.print_json_line(&MessageLine(&message)),
            ShowForm::Raw => {
                newest = Some(message);
                ControlFlow::Continue(())
            }
        }
    })?;
    if shown == 0 {
        let (topic, partition, offset) = (topic.clone(), *partition, *offset);
        return Err(CommandError::Unidentified(UnidentifiedError::NotFound { topic, partition, offset }));
    }
    if let Some(message) = newest {
        let Some(value) = message.value else { return Err(CommandError::Unidentified(UnidentifiedError::NoValue)) };
        let _ = out.write(&value);
    }
    let _ = out.flush();
    Ok(())
}

/// A message for people.
struct Text<'a>(&'a KeptMessage);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(KeptMessage { listed, topic_id, key, value, headers }) = self;
        writeln!(f, "topic      {}", Escaped(&listed.topic))?;
        if let Some(topic_id) = topic_id {
            writeln!(f, "topic id   {}", Escaped(topic_id))?;
        }
        writeln!(f, "partition  {}", listed.partition)?;
        writeln!(f, "offset     {}", listed.offset)?;
        match listed.timestamp_ms {
            Some(ms) => writeln!(f, "timestamp  {}{ms} ms since 1970", time_of(ms))?,
            None => writeln!(f, "timestamp  none")?,
        }
        writeln!(f, "received   {}", Escaped(&listed.received_at))?;
        if let Some(replayed_at) = &listed.replayed_at {
            writeln!(f, "replayed   {}", Escaped(replayed_at))?;
        }
        writeln!(f, "reason     {}", Escaped(&listed.reason))?;
        writeln!(f, "error      {}", Escaped(&listed.error))?;
        // What the database rejects has no fault to be found here.
        let is_found_here = listed.replayed_at.is_none() && listed.reason != Reason::Rejected.as_str();
        if let Some(value) = value.as_deref().filter(|_| is_found_here) {
            write_fault(f, value, &listed.error)?;
        }
        match key {
            Some(key) => writeln!(f, "key        {} ({} bytes)", on_one_line(key), key.len())?,
            None => writeln!(f, "key        none")?,
        }
        writeln!(f, "headers    {}", Escaped(headers))?;
        match value {
            Some(value) => writeln!(f, "payload    {} bytes:\n{}", value.len(), Shown(value)),
            None => writeln!(f, "payload    none (a tombstone)"),
        }
    }
}

/// Shows where the fault is, if this version of the program finds the same one.
fn write_fault(f: &mut fmt::Formatter<'_>, value: &[u8], error: &str) -> fmt::Result {
    let Err(rejection) = decode(Some(value)) else { return writeln!(f, "now        an event: replay stores it") };
    if rejection.error != error {
        return writeln!(f, "now        {}: {}", rejection.reason, Escaped(&rejection.error));
    }
    let Some(location) = locate(value, &rejection) else { return Ok(()) };
    if let Some(field) = &location.field {
        writeln!(f, "field      {}", Escaped(field))?;
    }
    let Some(begin) = location.begin else { return Ok(()) };
    writeln!(f, "position   line {}, column {} (byte {})", begin.line, begin.column, begin.byte)?;
    let (text, before) = around(value, begin.byte);
    writeln!(f, "           {text}\n           {:before$}^", "")
}

/// The time of a timestamp, where it is one of the years that people write, and what follows it.
fn time_of(ms: i64) -> String {
    let time = UtcDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    match time {
        Ok(time) if ms >= 0 => format!("{}, ", timestamp(time)),
        Ok(_) | Err(_) => String::new(),
    }
}
