//! The `prune` command: deletes unidentified messages, in short transactions, also while the service runs. Must not know SQL.

use std::fmt;
use std::time::{Duration, Instant};

use kafka::text::Escaped;
use time::UtcDateTime;

use crate::commands::error::CommandError;
use crate::commands::unidentified::FilterOptions;
use crate::runtime::backoff::{self, RetryError};
use crate::runtime::logger::{self, LogSettings};
use crate::runtime::output;
use crate::runtime::progress_line::ProgressLine;
use crate::runtime::shutdown::{OnHangup, Slept, Stop};
use crate::settings::Settings;
use crate::storage::{self, PruneCounts, PruneCursor, PruneRequest, Pruner, StorageError, UnloggedMessages};

/// Longest pause between two transactions, in which the service can write.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// The options of `prune`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneOptions {
    /// Which messages.
    pub filter: FilterOptions,
    /// Only print what would be deleted.
    pub dry_run: bool,
}

/// Deletes the messages that match, or those before a stop or an error, and prints how many. A dry run needs no permission to write.
pub fn prune(settings: &Settings, options: &PruneOptions) -> Result<(), CommandError> {
    let request = request(settings, options);
    if options.dry_run {
        let pruned = storage::inspect(&settings.database)?.count_prunable(&request)?;
        output::print(Report { pruned, outcome: Outcome::DryRun });
        return Ok(());
    }
    let stop = Stop::install(settings.shutdown_timeout, OnHangup::Stop)?;
    // The log file belongs to the service.
    logger::init(&LogSettings { file: None, ..settings.log.clone() })?;
    let mut pruned = PruneCounts::default();
    let open = || storage::open_pruner(&settings.database, &settings.kafka.group_id);
    let opened = backoff::retry_once_command("opening the database", &settings.retry, &stop, open);
    let result = opened.and_then(|mut database| run(&mut *database, &request, settings, &stop, &mut pruned));
    stop.finished();
    match result {
        Ok(()) => output::print(Report { pruned, outcome: Outcome::Complete }),
        Err(RetryError::Stopped) => output::print(Report { pruned, outcome: Outcome::Stopped }),
        Err(error) => {
            if pruned != PruneCounts::default() {
                output::print(Report { pruned, outcome: Outcome::Stopped });
            }
            return Err(error.into());
        }
    }
    Ok(())
}

fn request(settings: &Settings, options: &PruneOptions) -> PruneRequest {
    let filter = options.filter.resolve(UtcDateTime::now());
    PruneRequest { filter, unlogged: UnloggedMessages::of(settings.unidentified_log_file.as_deref()) }
}

fn run(
    database: &mut dyn Pruner,
    request: &PruneRequest,
    settings: &Settings,
    stop: &Stop,
    pruned: &mut PruneCounts,
) -> Result<(), RetryError<StorageError>> {
    let (line, begun) = (ProgressLine::new(settings.can_redraw), Instant::now());
    let mut next = Some(PruneCursor::default());
    while let Some(after) = next {
        let started = Instant::now();
        let done = backoff::retry_once_command("pruning unidentified messages", &settings.retry, stop, || {
            database.prune(request, &after)
        })?;
        pruned.extend(done.pruned);
        next = done.next;
        line.show(format!("pruned: {} messages in {} s", pruned.total().messages, begun.elapsed().as_secs()));
        if next.is_some() && stop.sleep(started.elapsed().min(PAUSE_MAX)) == Slept::Stopped {
            return Err(RetryError::Stopped);
        }
    }
    Ok(())
}

/// How a prune ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Complete,
    Stopped,
    DryRun,
}

/// What was pruned, or would be.
struct Report {
    pruned: PruneCounts,
    outcome: Outcome,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, count) in self.pruned.iter() {
            let (topic, partition, reason) = (Escaped(&group.topic), group.partition, Escaped(&group.reason));
            writeln!(f, "{topic}-{partition}  {reason}: {} messages, {} bytes", count.messages, count.bytes)?;
        }
        let total = self.pruned.total();
        writeln!(f, "pruned   {} messages, {} bytes", total.messages, total.bytes)?;
        match self.outcome {
            Outcome::Complete => Ok(()),
            Outcome::Stopped => writeln!(f, "stopped  before the end; another prune continues with the rest"),
            Outcome::DryRun => writeln!(f, "dry run  nothing was deleted"),
        }
    }
}
