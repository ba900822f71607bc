//! The `verify` command: checks the invariants of the database, in one read transaction. Must not send requests to Kafka.

use std::fmt;

use crate::runtime::output;
use crate::settings::Settings;
use crate::storage::sqlite::tables::invariants::{CountedPosition, Invariant, Violation};
use crate::storage::sqlite::{DatabaseError, DatabaseReader};

/// Prints a line for each invariant that holds and for each violation. Returns whether there is no violation.
pub fn verify(settings: &Settings) -> Result<bool, DatabaseError> {
    let mut is_sound = true;
    DatabaseReader::open(&settings.database.path)?.verify(|invariant, violations| {
        is_sound &= violations.is_empty();
        output::print(Report { invariant, violations });
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
        Invariant::Integrity => "SQLite finds the file sound",
        Invariant::Counters => {
            "of every position: next_offset - first_offset = applied + stale + unidentified + absent"
        }
        Invariant::Rows => "no row lies at or beyond the highest position of its partition",
        Invariant::Unidentified => "every unidentified message that was counted is kept",
    }
}

fn describe(f: &mut fmt::Formatter<'_>, violation: &Violation) -> fmt::Result {
    match violation {
        Violation::Damage(text) => f.write_str(text),
        Violation::Miscounted(position) => {
            let CountedPosition {
                first_offset, next_offset, high_offset, applied, stale, unidentified, absent, ..
            } = position;
            write!(
                f,
                "{}: next_offset {next_offset}, first_offset {first_offset}, high_offset {high_offset}, but applied \
                 {applied}, stale {stale}, unidentified {unidentified}, absent {absent}",
                partition(position)
            )
        }
        Violation::Beyond { table, topic, partition, high_offset, rows, offsets: (first, last) } => {
            write!(f, "{topic}-{partition}: {rows} of {table} from offset {first} to {last}, but ")?;
            match high_offset {
                Some(high_offset) => write!(f, "its highest position is {high_offset}"),
                None => f.write_str("it has no position"),
            }
        }
        Violation::Missing { position, kept } => write!(
            f,
            "{}: {} counted from offset {} to before {}, but only {kept} kept",
            partition(position),
            position.unidentified,
            position.first_offset,
            position.next_offset
        ),
    }
}

fn partition(position: &CountedPosition) -> String {
    format!("{}-{} of group '{}'", position.topic, position.partition, position.group_id)
}
