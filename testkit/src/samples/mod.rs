//! Sample events for the quick start: realistic, deterministic by seed and round, with the faults that real topics have.
//! Knows the message format from its description only; shares no code with the service.

use crate::client::Record;

mod broken;
mod calendar;
mod dice;

use calendar::{date, timestamp};
use dice::Dice;

/// Opportunities that the first round makes, and projects, and how many of either each later round adds.
const OPPORTUNITIES: u32 = 1_200;
const PROJECTS: u32 = 400;
const ADDED_PER_ROUND: u32 = 40;

/// A round spans this many minutes of made-up time; each starts where the last one ended.
const ROUND_MINUTES: u64 = 30 * 24 * 60;

/// The sales process, with the chance of winning in percent at each stage.
const STAGES: [(&str, u32); 6] = [
    ("Prospecting", 10),
    ("Qualification", 25),
    ("Proposal", 50),
    ("Negotiation", 75),
    ("Closed Won", 100),
    ("Closed Lost", 0),
];
const STATUSES: [&str; 5] = ["Planned", "In Progress", "On Hold", "In Progress", "Completed"];
const ACCOUNTS: [&str; 12] = [
    "Acme Steel",
    "Northwind Traders",
    "Blue Harbor Logistics",
    "Cedar & Sons",
    "Deltaworks",
    "Évora Têxteis",
    "Fjordbank",
    "Grünwald Optik",
    "Helios Energy",
    "Ibis Airlines",
    "Kōbe Robotics",
    "Larkspur Health",
];
const DEALS: [&str; 8] = [
    "licence renewal",
    "cloud migration",
    "support contract",
    "data platform",
    "pilot",
    "hardware refresh",
    "training",
    "\"all-in\" bundle",
];
const WORKS: [&str; 6] = ["rollout", "integration", "audit", "replatforming", "training programme", "site survey"];
const SOURCES: [&str; 4] = ["crm", "partner-portal", "import", "field-app"];
const TAGS: [&str; 6] = ["priority", "emea", "renewal", "q3", "upsell", "strategic"];

/// The events of one round (from 1), in the order of their arrival; keyed by `event_id`, so that the events of one thing
/// share a partition.
///
/// The first round makes every opportunity and project and updates most of them; later ones update some and add a few.
/// One event in 25 arrives late, so that it may be older than what came before it; one in 200 comes twice. A few are
/// broken, in every way that a message can be. (What the database itself refuses is not among them: no message is known
/// to bring it there.)
pub fn events(seed: u64, round: u32) -> Vec<Record> {
    let mut dice = Dice::new(seed ^ (u64::from(round) << 32));
    let start = u64::from(round.saturating_sub(1)) * ROUND_MINUTES;
    // Minute of arrival, then the order of making, and the record.
    let mut arrivals: Vec<(u64, usize, Record)> = Vec::new();
    for (kind, first_count) in [(Kind::Opportunity, OPPORTUNITIES), (Kind::Project, PROJECTS)] {
        let known = if round <= 1 { 0 } else { first_count + (round - 2) * ADDED_PER_ROUND };
        let total = if round <= 1 { first_count } else { known + ADDED_PER_ROUND };
        for number in 0..total {
            let is_new = number >= known;
            if !is_new && !dice.one_in(3) {
                continue;
            }
            let mut minute = start + dice.below(ROUND_MINUTES / 3);
            let updates = if is_new { 1 + dice.below(4) } else { 1 + dice.below(2) };
            // Later rounds do not know how far a thing has come: somewhere in the middle.
            let first_step = if is_new { 0 } else { 2 };
            for step in first_step..first_step + updates {
                let record = kind.event(&mut dice, number, minute, step);
                let delay = if dice.one_in(25) { dice.below(ROUND_MINUTES / 4) } else { 0 };
                if dice.one_in(200) {
                    arrivals.push((minute + delay + dice.below(60), arrivals.len(), record.clone()));
                }
                arrivals.push((minute + delay, arrivals.len(), record));
                minute += 1 + dice.below(ROUND_MINUTES / 6);
            }
        }
    }
    for record in broken::records(round) {
        arrivals.push((start + dice.below(ROUND_MINUTES), arrivals.len(), record));
    }
    arrivals.sort_by_key(|(minute, order, _)| (*minute, *order));
    arrivals.into_iter().map(|(_, _, record)| record).collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Opportunity,
    Project,
}

impl Kind {
    /// The state of a thing at a minute, so many steps on its way. What does not change over its life comes from its
    /// number alone.
    fn event(self, dice: &mut Dice, number: u32, minute: u64, step: u64) -> Record {
        let mut identity = Dice::new(u64::from(number));
        let account = identity.below(ACCOUNTS.len() as u64);
        let (company, owner) = (identity.pick(&ACCOUNTS), identity.below(25));
        let cents = 100_000 + identity.below(50_000_000);
        let meta_data = meta_data(dice, minute);
        let day = minute / (24 * 60);
        let (id, fields) = match self {
            Self::Opportunity => {
                let (stage, probability) = nth(&STAGES, step + dice.below(2));
                let fields = format!(
                    r#""name":{},"stage":"{stage}","amount":{}.{:02},"probability":{probability},"expected_close_date":"{}""#,
                    quote(&format!("{company}: {}", identity.pick(&DEALS))),
                    cents / 100,
                    cents % 100,
                    date(day + 20 + dice.below(90)),
                );
                (format!("opp_{number:06}"), fields)
            }
            Self::Project => {
                let begin = identity.below(60);
                let fields = format!(
                    r#""name":{},"status":"{}","start_date":"{}","end_date":{},"budget":{}"#,
                    quote(&format!("{company} {}", identity.pick(&WORKS))),
                    nth(&STATUSES, step),
                    date(begin),
                    // Open-ended now and then.
                    if dice.one_in(6) {
                        "null".to_owned()
                    } else {
                        format!(r#""{}""#, date(begin + 30 + dice.below(300)))
                    },
                    cents / 100,
                );
                (format!("proj_{number:06}"), fields)
            }
        };
        let json = format!(
            r#"{{"event_id":"{id}",{fields},"account_id":"acc_{account:04}","owner_id":"usr_{owner:03}","meta_data":{meta_data}}}"#
        );
        Record::value(json).key(id)
    }
}

fn meta_data(dice: &mut Dice, minute: u64) -> String {
    let tags: Vec<String> = (0..dice.below(3)).map(|_| format!(r#""{}""#, dice.pick(&TAGS))).collect();
    let notes = if dice.one_in(4) { r#""called back, wants a revised offer""# } else { "null" };
    format!(
        r#"{{"source":"{}","last_modified":"{}","tags":[{}],"notes":{notes}}}"#,
        dice.pick(&SOURCES),
        timestamp(minute, dice.below(60)),
        tags.join(",")
    )
}

/// That one of them, or the last.
fn nth<T: Copy + Default>(of: &[T], at: u64) -> T {
    usize::try_from(at).ok().and_then(|at| of.get(at)).or(of.last()).copied().unwrap_or_default()
}

/// As a JSON string; the texts here need nothing but quotation marks escaped.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
