//! Deletes unidentified messages that are older than they shall be kept, a bounded step at a time between two rounds of the loop. Must
//! not decide what a step deletes: the database does.

use std::time::{Duration, Instant};

use log::{info, warn};
use time::UtcDateTime;

use crate::runtime::error_chain::ErrorChain;
use crate::runtime::timestamp::timestamp_before;
use crate::settings::Settings;
use crate::storage::{MessageFilter, PruneCursor, PruneRequest, PruneStep, Pruner, StorageError, UnloggedMessages};

/// Time between the ends of one pass over the old messages and the begin of the next: their age is given in days.
const PASS_INTERVAL: Duration = Duration::from_hours(1);

/// Time between two steps of a pass: batches come first. So at most a thousand messages are deleted in a second.
const STEP_INTERVAL: Duration = Duration::from_secs(1);

/// Deletions are logged at most this often.
const LOG_INTERVAL: Duration = Duration::from_hours(24);

/// The retention of unidentified messages.
#[derive(Debug)]
pub(super) struct Retention {
    /// `None`: messages are kept forever.
    keep: Option<Duration>,
    unlogged: UnloggedMessages,
    pass: Pass,
    due: Instant,
    /// Deleted since the last log line.
    pruned: u64,
    logged_at: Option<Instant>,
}

/// A pass over the old messages.
#[derive(Debug)]
enum Pass {
    /// None has begun.
    Waiting,
    /// It deletes what was stored before a time, and goes on after a cursor.
    Running { before: String, after: PruneCursor },
}

impl Retention {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            keep: settings.unidentified_keep,
            unlogged: UnloggedMessages::of(settings.unidentified_log_file.as_deref()),
            pass: Pass::Waiting,
            due: Instant::now(),
            pruned: 0,
            logged_at: None,
        }
    }

    /// How long until a step is due; `None` if messages are kept forever.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.keep.map(|_| self.due.saturating_duration_since(Instant::now()))
    }

    /// Deletes one step of old messages, if that is due. A step that fails is repeated in the next pass.
    pub(super) fn prune_when_due(&mut self, pruner: &mut dyn Pruner) {
        if self.due_in() != Some(Duration::ZERO) {
            return;
        }
        match self.step(pruner) {
            Ok(()) => {}
            Err(error) => {
                warn!("old unidentified messages not deleted, trying again in an hour: {}", ErrorChain(&error));
                self.pass = Pass::Waiting;
            }
        }
        let interval = if matches!(self.pass, Pass::Waiting) { PASS_INTERVAL } else { STEP_INTERVAL };
        self.due = Instant::now() + interval;
    }

    fn step(&mut self, pruner: &mut dyn Pruner) -> Result<(), StorageError> {
        let Some(keep) = self.keep else { return Ok(()) };
        let (before, after) = match std::mem::replace(&mut self.pass, Pass::Waiting) {
            Pass::Running { before, after } => (before, after),
            Pass::Waiting => (timestamp_before(UtcDateTime::now(), keep), PruneCursor::default()),
        };
        let filter = MessageFilter { before: Some(before.clone()), ..MessageFilter::default() };
        let request = PruneRequest { filter, unlogged: self.unlogged };
        let PruneStep { pruned, next } = pruner.prune(&request, &after)?;
        self.pruned += pruned.total().messages;
        match next {
            Some(after) => self.pass = Pass::Running { before, after },
            None => self.log_when_due(),
        }
        Ok(())
    }

    fn log_when_due(&mut self) {
        let is_due = self.logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL);
        if is_due && self.pruned > 0 {
            info!(messages = self.pruned; "old unidentified messages deleted");
            (self.pruned, self.logged_at) = (0, Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::fixtures::{Place, batch, rejected};
    use crate::storage::{Attempt, Writer};

    /// A database with messages of which the first ones are as many days old as `days` says, and the retention of 30 days.
    fn with_messages(days: &[u64], log_file: bool) -> (Place, Box<dyn Writer>, Retention) {
        let place = Place::new();
        let mut database = place.open_at_0(1);
        let count = i64::try_from(days.len()).unwrap();
        database.apply(&[batch(0, 0, count, (0..count).map(rejected).collect())], &mut Attempt::default()).unwrap();
        for (offset, days) in days.iter().enumerate() {
            let at = timestamp_before(UtcDateTime::now(), Duration::from_hours(24 * days));
            place.execute(&format!(
                "UPDATE unidentified_messages SET received_at = '{at}' WHERE kafka_offset = {offset}"
            ));
        }
        let mut settings = Settings::load(Vec::new(), None).unwrap();
        settings.unidentified_keep = Some(Duration::from_hours(24 * 30));
        settings.unidentified_log_file = log_file.then(|| "unidentified.log".into());
        (place, Box::new(database), Retention::new(&settings))
    }

    /// The sum and the number of the offsets of the messages that are kept: each set of offsets here has another one.
    fn kept(place: &Place) -> (i64, i64) {
        let number = |column| place.number(&format!("SELECT ifnull({column}, 0) FROM unidentified_messages"));
        (number("sum(kafka_offset)"), number("count(*)"))
    }

    #[test]
    fn old_messages_are_deleted_and_the_next_pass_is_in_an_hour() {
        let (place, mut writer, mut retention) = with_messages(&[31, 29, 400, 0], false);
        assert_eq!(retention.due_in(), Some(Duration::ZERO));
        retention.prune_when_due(writer.pruner());
        assert_eq!(kept(&place), (1 + 3, 2));
        assert!(retention.due_in().unwrap() > Duration::from_mins(59));
        assert_eq!((retention.pruned, retention.logged_at.is_some()), (0, true));
        // Nothing is deleted before the next pass is due.
        place.execute(
            "UPDATE unidentified_messages SET received_at = '2000-01-01T00:00:00.000Z' WHERE kafka_offset = 1",
        );
        retention.prune_when_due(writer.pruner());
        assert_eq!(kept(&place), (1 + 3, 2));
        retention.due = Instant::now();
        retention.prune_when_due(writer.pruner());
        assert_eq!((kept(&place), retention.pruned), ((3, 1), 1));
        assert_eq!(place.number("SELECT pruned FROM consumer_offsets"), 3);
    }

    #[test]
    fn a_pass_has_steps_and_keeps_what_is_not_in_the_log_file() {
        let (place, mut writer, mut retention) = with_messages(&[0], true);
        writer.apply(&[batch(0, 1, 1502, (1..1502).map(rejected).collect())], &mut Attempt::default()).unwrap();
        place.execute("UPDATE unidentified_messages SET received_at = '2000-01-01T00:00:00.000Z'");
        writer.unidentified().set_log_cursor(1500).unwrap();
        retention.prune_when_due(writer.pruner());
        assert!(matches!(retention.pass, Pass::Running { .. }));
        assert_eq!(place.number("SELECT count(*) FROM unidentified_messages"), 502);
        assert!(retention.due_in().unwrap() <= STEP_INTERVAL);
        retention.due = Instant::now();
        retention.prune_when_due(writer.pruner());
        assert!(matches!(retention.pass, Pass::Waiting));
        assert_eq!(kept(&place), (1500 + 1501, 2));
    }

    #[test]
    fn messages_are_kept_forever_by_default() {
        let retention = Retention::new(&Settings::load(Vec::new(), None).unwrap());
        assert_eq!(retention.due_in(), None);
    }

    #[test]
    fn a_step_that_fails_is_repeated_in_an_hour() {
        let (place, mut writer, mut retention) = with_messages(&[31], false);
        place.execute(
            "CREATE TRIGGER keeps BEFORE DELETE ON unidentified_messages BEGIN SELECT RAISE(ABORT, 'no'); END",
        );
        retention.prune_when_due(writer.pruner());
        assert_eq!(kept(&place), (0, 1));
        assert!(retention.due_in().unwrap() > Duration::from_mins(59));
    }
}
