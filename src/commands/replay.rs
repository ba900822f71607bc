//! The `replay` command: decodes the unidentified messages again and stores those that are events now. Works while the service
//! runs, in short transactions. Messages that are still unidentified stay unchanged. Must not know SQL.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::commands::error::CommandError;
use crate::entity::{Decoder, Event, Reason};
use crate::runtime::backoff::{self, RetryError};
use crate::runtime::logger::{self, LogSettings};
use crate::runtime::output;
use crate::runtime::progress_line::ProgressLine;
use crate::runtime::shutdown::{OnHangup, Slept, Stop};
use crate::settings::Settings;
use crate::storage::{self, ErrorKind, PendingMessage, Recovered, ReplayOutcome, Replayer, StorageError};

/// Greatest number of messages in one transaction: the running service waits for its end.
const STEP_MESSAGES_MAX: u32 = 500;

/// Bytes of values from which on a transaction takes no further message.
const STEP_BYTES_MAX: usize = 8 << 20;

/// Longest pause between two transactions, in which the service can write.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Replays all messages, or those before a stop or an error, and prints the result. With `dry_run` nothing is written, and no
/// permission to write is needed.
pub fn replay(settings: &Settings, dry_run: bool) -> Result<(), CommandError> {
    let stop = Stop::install(settings.shutdown_timeout, OnHangup::Stop)?;
    // The log file belongs to the service.
    logger::init(&LogSettings { file: None, ..settings.log.clone() })?;
    let mut tally = Tally { dry_run, ..Tally::default() };
    let open = || {
        if dry_run {
            storage::open_dry_run(&settings.database)
        } else {
            storage::open_replayer(&settings.database, &settings.kafka.group_id)
        }
    };
    let opened = backoff::retry_once_command("opening the database", &settings.retry, &stop, open);
    let result = opened.and_then(|mut database| run(&mut *database, settings, &stop, &mut tally));
    stop.finished();
    match result {
        Ok(()) => output::print(&tally),
        Err(RetryError::Stopped) => output::print(Tally { stopped: true, ..tally }),
        Err(error) => {
            if tally != (Tally { dry_run, ..Tally::default() }) {
                output::print(&tally);
            }
            return Err(error.into());
        }
    }
    Ok(())
}

/// Replays the messages once, in the order of their ids: each is read once, even if it stays unidentified.
fn run(
    database: &mut dyn Replayer,
    settings: &Settings,
    stop: &Stop,
    tally: &mut Tally,
) -> Result<(), RetryError<StorageError>> {
    let mut last_id = 0;
    let (line, begun, mut read) = (ProgressLine::new(settings.can_redraw), Instant::now(), 0_usize);
    loop {
        let pending = backoff::retry_once_command("reading unidentified messages", &settings.retry, stop, || {
            database.pending_after(last_id, STEP_MESSAGES_MAX, STEP_BYTES_MAX)
        })?;
        let Some(last) = pending.last() else { return Ok(()) };
        last_id = last.id;
        read += pending.len();
        line.show(format!("replaying: {read} messages in {} s", begun.elapsed().as_secs()));
        let started = Instant::now();
        store(database, &decode(&pending, settings.decoder(), tally), settings, stop, tally)?;
        if stop.sleep(started.elapsed().min(PAUSE_MAX)) == Slept::Stopped {
            return Err(RetryError::Stopped);
        }
    }
}

/// Decodes the messages, and counts those that are still unidentified.
fn decode<'a>(pending: &'a [PendingMessage], decoder: Decoder, tally: &mut Tally) -> Vec<Recovered<'a>> {
    let mut recovered = Vec::new();
    for message in pending {
        match decoder.decode(message.value.as_deref(), message.timestamp_ms) {
            Ok(event) => recovered.push(Recovered { message, event }),
            Err(rejection) => tally.add_unidentified(rejection.reason),
        }
    }
    recovered
}

/// Stores events in one transaction. If the database rejects the transaction, splits it in halves, down to the rejected event.
fn store(
    database: &mut dyn Replayer,
    recovered: &[Recovered<'_>],
    settings: &Settings,
    stop: &Stop,
    tally: &mut Tally,
) -> Result<(), RetryError<StorageError>> {
    let mut pending = vec![recovered];
    while let Some(events) = pending.pop() {
        if events.is_empty() {
            continue;
        }
        let attempt = || database.replay(events);
        match backoff::retry_once_command("replaying unidentified messages", &settings.retry, stop, attempt) {
            Ok(outcomes) => {
                for (one, outcome) in events.iter().zip(outcomes) {
                    tally.add(&one.event, outcome);
                }
            }
            Err(RetryError::Fatal(error)) if error.kind() == ErrorKind::Rejected => {
                let (first, second) = events.split_at(events.len() / 2);
                if first.is_empty() {
                    tally.add_unidentified(Reason::Rejected);
                } else {
                    pending.extend([second, first]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The result of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    dry_run: bool,
    stopped: bool,
    /// Messages that are events now, by type.
    replayed: BTreeMap<&'static str, u64>,
    /// Those of them that are older than the stored event of their id.
    stale: u64,
    /// Messages that are still unidentified, by their present reason.
    unidentified: BTreeMap<&'static str, u64>,
    /// Messages that another process has replayed or deleted in the meantime.
    gone: u64,
}

impl Tally {
    fn add(&mut self, event: &Event<'_>, outcome: ReplayOutcome) {
        match outcome {
            ReplayOutcome::Applied => {}
            ReplayOutcome::Stale => self.stale += 1,
            ReplayOutcome::Rejected => return self.add_unidentified(Reason::Rejected),
            ReplayOutcome::Gone => {
                self.gone += 1;
                return;
            }
        }
        *self.replayed.entry(event.kind().table()).or_default() += 1;
    }

    fn add_unidentified(&mut self, reason: Reason) {
        *self.unidentified.entry(reason.as_str()).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<&'static str, u64>| {
            let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
            if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
        };
        writeln!(f, "replayed      {}", list(&self.replayed))?;
        writeln!(f, "stale         {} of them, older than the stored event of their id", self.stale)?;
        writeln!(f, "unidentified  {}", list(&self.unidentified))?;
        if self.gone > 0 {
            writeln!(f, "gone          {}, replayed or deleted by another process in the meantime", self.gone)?;
        }
        if self.dry_run {
            writeln!(f, "dry run       nothing was written")?;
        }
        if self.stopped {
            writeln!(f, "stopped       before all messages were read; another replay continues with the rest")?;
        }
        Ok(())
    }
}
