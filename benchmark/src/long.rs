//! Whether the service slows down as the tables grow: its rate over each tenth of a long topic, with ids in order and in none.

use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::broker::Broker;
use crate::events::{Ids, Shape, Size};
use crate::options::Options;
use crate::results::Long;
use crate::service::{self, Place};
use crate::sets::{self, DataSet};
use crate::{Result, database};

/// So many times the ordinary data set.
const STEPS: u64 = 10;
/// Between two looks: far less than a step takes.
const LOOK: Duration = Duration::from_millis(20);

/// Reads both topics.
pub fn measure(options: &Options, broker: &Broker) -> Result<Vec<Long>> {
    let kinds = [(Ids::Sequential, "sequential ids"), (Ids::Random, "random ids")];
    kinds.iter().map(|&(ids, title)| with_ids(options, broker, ids, title)).collect()
}

fn with_ids(options: &Options, broker: &Broker, ids: Ids, title: &'static str) -> Result<Long> {
    let main = sets::find(sets::MAIN, options.events).ok_or("no main data set")?;
    let shape = Shape { ids, size: Size::Ordinary };
    let set = DataSet { name: "long", title, shape, events: options.events * STEPS, ..main };
    let topic = broker.fill(&set)?;
    nix::unistd::sync();
    let directory = options.work.join("run");
    let place = Place::new(&directory, &options.service_static, &broker.servers(), &topic)?;
    let begun = Instant::now();
    let mut running = place.start(&["run", "--exit-at-end"])?;
    let connection = place.wait_for_database()?;
    let mut steps = Steps::new(options.events);
    while steps.seconds.len() < usize::try_from(STEPS)? {
        running.check()?;
        steps.look(begun.elapsed(), events_stored(&connection)?);
        thread::sleep(LOOK);
    }
    drop(connection);
    running.wait()?;
    place.verify()?;
    broker.remove(&topic)?;
    service::empty(&directory)?;
    let rates = steps.rates();
    println!("  {title}: {}", rates.iter().map(|rate| format!("{rate:.0}")).collect::<Vec<_>>().join(" "));
    Ok(Long { title: title.to_owned(), step_events: options.events, rates })
}

fn events_stored(connection: &Connection) -> Result<u64> {
    let sum = connection.query_row("SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets", [], |row| row.get(0));
    Ok(database::unless_busy(sum)?.unwrap_or(0))
}

/// When each step was done, between two looks by the straight line.
struct Steps {
    step: u64,
    last: (f64, u64),
    seconds: Vec<f64>,
}

impl Steps {
    fn new(step: u64) -> Self {
        Self { step, last: (0.0, 0), seconds: Vec::new() }
    }

    fn look(&mut self, elapsed: Duration, events: u64) {
        let now = elapsed.as_secs_f64();
        let (before, had) = self.last;
        loop {
            let next = (self.seconds.len() as u64 + 1) * self.step;
            if events < next {
                break;
            }
            self.seconds.push(before + (now - before) * (next - had) as f64 / (events - had) as f64);
        }
        if events > had {
            self.last = (now, events);
        }
    }

    /// Events a second, of each step.
    fn rates(&self) -> Vec<f64> {
        let begins = std::iter::once(&0.0).chain(&self.seconds);
        self.seconds.iter().zip(begins).map(|(end, begin)| self.step as f64 / (end - begin)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Steps;

    #[test]
    fn a_step_between_two_looks_lies_on_the_straight_line() {
        let mut steps = Steps::new(100);
        for (seconds, events) in [(1, 50), (2, 150), (2, 150), (3, 400)] {
            steps.look(Duration::from_secs(seconds), events);
        }
        let expected = [1.5, 2.2, 2.6, 3.0];
        assert_eq!(steps.seconds.len(), expected.len());
        for (found, expected) in steps.seconds.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        }
    }
}
