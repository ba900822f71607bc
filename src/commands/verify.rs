//! The `verify` command: checks the invariants of the database, in one read transaction. Must not send requests to Kafka.

use std::fmt;

use crate::runtime::output;
use crate::runtime::progress_line::Stopwatch;
use crate::settings::Settings;
use crate::storage::{self, CountedPosition, Invariant, Outcome, StorageError, Violation};

/// Prints a line for each invariant that holds and for each violation. Returns whether there is no violation.
pub fn verify(settings: &Settings) -> Result<bool, StorageError> {
    let mut is_sound = true;
    let mut invariants = Invariant::ALL.into_iter();
    let mut watch_next = || invariants.next().map(|next| Stopwatch::start(name(next), settings.can_redraw));
    let mut watch = watch_next();
    storage::inspect(&settings.database)?.verify(&mut |invariant, violations| {
        is_sound &= violations.is_empty();
        drop(watch.take());
        output::print(Report { invariant, violations });
        watch = watch_next();
    })?;
    Ok(is_sound)
}

struct Report<'a> {
    invariant: Invariant,
    violations: &'a [Violation],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = name(self.invariant);
        if self.violations.is_empty() {
            return writeln!(f, "{name:<12}  ok    {}", meaning(self.invariant));
        }
        for violation in self.violations {
            write!(f, "{name:<12}  FAIL  ")?;
            describe(f, violation)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

fn name(invariant: Invariant) -> &'static str {
    match invariant {
        Invariant::Integrity => "integrity",
        Invariant::Counters => "counters",
        Invariant::Rows => "rows",
        Invariant::Unidentified => "unidentified",
    }
}

fn meaning(invariant: Invariant) -> &'static str {
    match invariant {
        Invariant::Integrity => "the database engine finds no damage",
        Invariant::Counters => {
            "of every position: next_offset - first_offset = applied + stale + unidentified + absent"
        }
        Invariant::Rows => "no row lies at or beyond the highest position of its partition",
        Invariant::Unidentified => "every unidentified message that was counted is kept or was pruned",
    }
}

fn describe(f: &mut fmt::Formatter<'_>, violation: &Violation) -> fmt::Result {
    match violation {
        Violation::Damage(text) => f.write_str(text),
        Violation::Miscounted(position) => {
            let CountedPosition { first_offset, next_offset, high_offset, .. } = position;
            let counters: Vec<String> =
                position.counts().map(|(outcome, count)| format!("{} {count}", outcome.name())).collect();
            write!(
                f,
                "{}: next_offset {next_offset}, first_offset {first_offset}, high_offset {high_offset}, but {}",
                partition(position),
                counters.join(", ")
            )?;
            if position.pruned == 0 { Ok(()) } else { write!(f, ", pruned {}", position.pruned) }
        }
        Violation::Beyond { table, topic, partition, high_offset, rows, first_offset: first, last_offset: last } => {
            write!(f, "{topic}-{partition}: {rows} of {table} from offset {first} to {last}, but ")?;
            match high_offset {
                Some(high_offset) => write!(f, "its highest position is {high_offset}"),
                None => f.write_str("it has no position"),
            }
        }
        Violation::Missing { position, kept } => {
            write!(
                f,
                "{}: {} counted from offset {} to before {}, but only {kept} kept",
                partition(position),
                position.count(Outcome::Unidentified),
                position.first_offset,
                position.next_offset
            )?;
            if position.pruned == 0 { Ok(()) } else { write!(f, " and {} pruned", position.pruned) }
        }
    }
}

fn partition(position: &CountedPosition) -> String {
    format!("{}-{} of group '{}'", position.topic, position.partition, position.group_id)
}
