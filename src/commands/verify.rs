//! The `verify` command: whether the database holds together, for people and for scripts. Reads only, all as of one moment; must
//! not ask Kafka anything.

use std::fmt;

use crate::cli;
use crate::settings::Settings;
use crate::storage::{self, CountedPosition, Invariant, Outcome, StorageError, Violation};

/// Prints a line for each rule that holds, and one for each thing that breaks one; true if nothing does.
pub fn verify(settings: &Settings) -> Result<bool, StorageError> {
    let mut sound = true;
    storage::inspect(&settings.database)?.verify(&mut |invariant, violations| {
        sound &= violations.is_empty();
        cli::print(Report { invariant, violations });
    })?;
    Ok(sound)
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
            let CountedPosition { first_offset, next_offset, high_offset, .. } = position;
            let counters: Vec<String> =
                position.counts().map(|(outcome, count)| format!("{} {count}", outcome.name())).collect();
            write!(
                f,
                "{}: next_offset {next_offset}, first_offset {first_offset}, high_offset {high_offset}, but {}",
                place(position),
                counters.join(", ")
            )
        }
        Violation::Beyond { table, topic, partition, high_offset, rows, first_offset: first, last_offset: last } => {
            write!(f, "{topic}-{partition}: {rows} of {table} from offset {first} to {last}, but ")?;
            match high_offset {
                Some(high_offset) => write!(f, "its highest position is {high_offset}"),
                None => f.write_str("it has no position"),
            }
        }
        Violation::Missing { position, kept } => write!(
            f,
            "{}: {} counted from offset {} to before {}, but only {kept} kept",
            place(position),
            position.count(Outcome::Unidentified),
            position.first_offset,
            position.next_offset
        ),
    }
}

fn place(position: &CountedPosition) -> String {
    format!("{}-{} of group '{}'", position.topic, position.partition, position.group_id)
}
