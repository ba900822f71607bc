//! The `replay` command: decodes the unidentified messages again, and stores what is an event by now. Works beside the service, in
//! short transactions; what it passes over stays as it was. Must not know SQL.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use crate::cli;
use crate::entity::{Decoder, Event, Reason};
use crate::runtime::backoff::{self, RetryError};
use crate::runtime::logger::{self, LoggerError};
use crate::runtime::shutdown::{Slept, Stop, StopError};
use crate::settings::{LogSettings, Settings};
use crate::storage::{self, ErrorKind, PendingMessage, Recovered, ReplayOutcome, Replayer, StorageError};

/// Messages of one transaction, at most: the service beside waits for its end.
const STEP_MESSAGES_MAX: u32 = 500;

/// Bytes of values after which a transaction takes no further message.
const STEP_BYTES_MAX: usize = 8 << 20;

/// The longest pause between two transactions, in which the service has its turn.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Replays all there is, or until it is stopped, and prints what became of it, also if it fails on the way. With `dry_run` nothing
/// is written, and no permission to write is needed.
pub fn replay(settings: &Settings, dry_run: bool) -> Result<(), ReplayError> {
    let stop = Stop::install(settings.shutdown_timeout).map_err(ReplayError::Stop)?;
    // The log file is the service's.
    logger::init(&LogSettings { file: None, ..settings.log.clone() }).map_err(ReplayError::Log)?;
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
        Ok(()) => cli::print(&tally),
        Err(RetryError::Stopped) => cli::print(Tally { stopped: true, ..tally }),
        Err(error) => {
            if tally != (Tally { dry_run, ..Tally::default() }) {
                cli::print(&tally);
            }
            return Err(ReplayError::Database(error));
        }
    }
    Ok(())
}

/// Goes through the messages once, by their ids: so what is passed over is not met again.
fn run(
    database: &mut dyn Replayer,
    settings: &Settings,
    stop: &Stop,
    tally: &mut Tally,
) -> Result<(), RetryError<StorageError>> {
    let mut last_id = 0;
    loop {
        let pending = backoff::retry_once_command("reading unidentified messages", &settings.retry, stop, || {
            database.pending_after(last_id, STEP_MESSAGES_MAX, STEP_BYTES_MAX)
        })?;
        let Some(last) = pending.last() else { return Ok(()) };
        last_id = last.id;
        let begun = Instant::now();
        store(database, &decode(&pending, settings.decoder(), tally), settings, stop, tally)?;
        if stop.sleep(begun.elapsed().min(PAUSE_MAX)) == Slept::Stopped {
            return Err(RetryError::Stopped);
        }
    }
}

/// The messages that are events; the others are counted.
fn decode<'a>(pending: &'a [PendingMessage], decoder: Decoder, tally: &mut Tally) -> Vec<Recovered<'a>> {
    let mut recovered = Vec::new();
    for message in pending {
        match decoder.decode(message.value.as_deref(), message.timestamp_ms) {
            Ok(event) => recovered.push(Recovered { message, event }),
            Err(rejection) => tally.leave(rejection.reason),
        }
    }
    recovered
}

/// Stores events: in one transaction, or in halves for as long as SQLite refuses the transaction as a whole, down to the one
/// event that it does not take.
fn store(
    database: &mut dyn Replayer,
    recovered: &[Recovered<'_>],
    settings: &Settings,
    stop: &Stop,
    tally: &mut Tally,
) -> Result<(), RetryError<StorageError>> {
    let mut waiting = vec![recovered];
    while let Some(events) = waiting.pop() {
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
                    tally.leave(Reason::Rejected);
                } else {
                    waiting.extend([second, first]);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What became of the messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    dry_run: bool,
    stopped: bool,
    /// Messages that are events now, by their type.
    replayed: BTreeMap<&'static str, u64>,
    /// How many of these are older than the stored event of their id.
    stale: u64,
    /// Messages that still are no events, by the reason that there is now.
    left: BTreeMap<&'static str, u64>,
    /// Messages that somebody else has replayed or deleted meanwhile.
    gone: u64,
}

impl Tally {
    fn add(&mut self, event: &Event<'_>, outcome: ReplayOutcome) {
        match outcome {
            ReplayOutcome::Applied => {}
            ReplayOutcome::Stale => self.stale += 1,
            ReplayOutcome::Rejected => return self.leave(Reason::Rejected),
            ReplayOutcome::Gone => {
                self.gone += 1;
                return;
            }
        }
        *self.replayed.entry(event.kind().table()).or_default() += 1;
    }

    fn leave(&mut self, reason: Reason) {
        *self.left.entry(reason.as_str()).or_default() += 1;
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
        writeln!(f, "unidentified  {}", list(&self.left))?;
        if self.gone > 0 {
            writeln!(f, "gone          {}, replayed or deleted by somebody else meanwhile", self.gone)?;
        }
        if self.dry_run {
            writeln!(f, "dry run       nothing was written")?;
        }
        if self.stopped {
            writeln!(f, "stopped       before all messages were looked at; another replay goes on with the others")?;
        }
        Ok(())
    }
}

/// Why not all messages were replayed.
#[derive(Debug)]
pub enum ReplayError {
    /// The process cannot listen to signals.
    Stop(StopError),
    /// There is no log.
    Log(LoggerError),
    /// The database cannot be used.
    Database(RetryError<StorageError>),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
            Self::Database(error) => error.fmt(f),
        }
    }
}

/// Each variant stands for its error itself, whose cause is the cause.
impl Error for ReplayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Stop(error) => error.source(),
            Self::Log(error) => error.source(),
            Self::Database(error) => error.source(),
        }
    }
}
