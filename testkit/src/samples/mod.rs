//! Sample events for the quick start: realistic, deterministic by seed and round, with the faults of real topics. Must not share code
//! with the service: it knows the message format from its description.

use crate::client::Record;
use crate::random::Random;

mod broken;
mod calendar;

use calendar::{date, timestamp};

/// The number of opportunities and projects of the first round, and how many of each a later round adds.
const OPPORTUNITIES: u32 = 1_200;
const PROJECTS: u32 = 400;
const ADDED_PER_ROUND: u32 = 40;

/// A round takes this many minutes of simulated time, and begins at the end of the previous one.
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

/// The events of one round (from 1), in the order of arrival, with `event_id` as key, so that the events of one id share a
/// partition.
///
/// The first round creates every opportunity and project and updates most of them; later rounds update some and add a few.
/// One event in 25 arrives late and may be older than its predecessors; one in 200 arrives twice. Some messages are
/// unidentified, with every reason except `rejected`: no message is known that SQLite rejects.
pub fn events(seed: u64, round: u32) -> Vec<Record> {
    let mut random = Random::from_seed(seed ^ (u64::from(round) << 32));
    let start = u64::from(round.saturating_sub(1)) * ROUND_MINUTES;
    // Minute of arrival, order of creation, record.
    let mut arrivals: Vec<(u64, usize, Record)> = Vec::new();
    for (kind, first_count) in [(Kind::Opportunity, OPPORTUNITIES), (Kind::Project, PROJECTS)] {
        let known = if round <= 1 { 0 } else { first_count + (round - 2) * ADDED_PER_ROUND };
        let total = if round <= 1 { first_count } else { known + ADDED_PER_ROUND };
        for number in 0..total {
            let is_new = number >= known;
            if !is_new && !random.one_in(3) {
                continue;
            }
            let mut minute = start + random.below(ROUND_MINUTES / 3);
            let updates = if is_new { 1 + random.below(4) } else { 1 + random.below(2) };
            // Later rounds begin in the middle: they do not know the last step.
            let first_step = if is_new { 0 } else { 2 };
            for step in first_step..first_step + updates {
                let record = kind.event(&mut random, number, minute, step);
                let delay = if random.one_in(25) { random.below(ROUND_MINUTES / 4) } else { 0 };
                if random.one_in(200) {
                    arrivals.push((minute + delay + random.below(60), arrivals.len(), record.clone()));
                }
                arrivals.push((minute + delay, arrivals.len(), record));
                minute += 1 + random.below(ROUND_MINUTES / 6);
            }
        }
    }
    for record in broken::records(round) {
        arrivals.push((start + random.below(ROUND_MINUTES), arrivals.len(), record));
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
    /// The event of a number at a minute, after so many steps. Fields that never change depend on the number only.
    fn event(self, random: &mut Random, number: u32, minute: u64, step: u64) -> Record {
        let mut identity = Random::from_seed(u64::from(number));
        let account = identity.below(ACCOUNTS.len() as u64);
        let (company, owner) = (pick(&mut identity, &ACCOUNTS), identity.below(25));
        let cents = 100_000 + identity.below(50_000_000);
        let meta_data = meta_data(random, minute);
        let day = minute / (24 * 60);
        let (id, fields) = match self {
            Self::Opportunity => {
                let (stage, probability) = nth(&STAGES, step + random.below(2));
                let fields = format!(
                    r#""name":{},"stage":"{stage}","amount":{}.{:02},"probability":{probability},"expected_close_date":"{}""#,
                    quote(&format!("{company}: {}", pick(&mut identity, &DEALS))),
                    cents / 100,
                    cents % 100,
                    date(day + 20 + random.below(90)),
                );
                (format!("opp_{number:06}"), fields)
            }
            Self::Project => {
                let begin = identity.below(60);
                let fields = format!(
                    r#""name":{},"status":"{}","start_date":"{}","end_date":{},"budget":{}"#,
                    quote(&format!("{company} {}", pick(&mut identity, &WORKS))),
                    nth(&STATUSES, step),
                    date(begin),
                    // Some projects have no end.
                    if random.one_in(6) {
                        "null".to_owned()
                    } else {
                        format!(r#""{}""#, date(begin + 30 + random.below(300)))
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

fn meta_data(random: &mut Random, minute: u64) -> String {
    let tags: Vec<String> = (0..random.below(3_u64)).map(|_| format!(r#""{}""#, pick(random, &TAGS))).collect();
    let notes = if random.one_in(4) { r#""called back, wants a revised offer""# } else { "null" };
    format!(
        r#"{{"source":"{}","last_modified":"{}","tags":[{}],"notes":{notes}}}"#,
        pick(random, &SOURCES),
        timestamp(minute, random.below(60)),
        tags.join(",")
    )
}

/// One of the texts.
fn pick<'a>(random: &mut Random, texts: &[&'a str]) -> &'a str {
    random.pick(texts).copied().unwrap_or_default()
}

/// The item at an index, or the last one.
fn nth<T: Copy + Default>(of: &[T], at: u64) -> T {
    usize::try_from(at).ok().and_then(|at| of.get(at)).or(of.last()).copied().unwrap_or_default()
}

/// A JSON string; the texts here contain no other character to escape than quotation marks.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

#[cfg(test)]
mod tests;
