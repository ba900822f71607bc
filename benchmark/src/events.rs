//! The events: each is a function of its number alone, so that it can be computed wherever it is needed.

use testkit::Record;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, macros::datetime};

/// The first event's time; each is a second after the one before.
const FIRST: OffsetDateTime = datetime!(2025-01-01 00:00:00 UTC);
const FIRST_MS: i64 = FIRST.unix_timestamp() * 1000;

const SEED: u64 = 0x5eed_beef;

const ACCOUNTS: [&str; 6] =
    ["Acme Steel", "Northwind Traders", "Blue Harbor Logistics", "Évora Têxteis", "Helios Energy", "Larkspur Health"];
const STAGES: [(&str, u32); 5] =
    [("Prospecting", 10), ("Qualification", 25), ("Proposal", 50), ("Negotiation", 75), ("Closed Won", 100)];
const STATUSES: [&str; 4] = ["Planned", "In Progress", "On Hold", "Completed"];
const WORDS: [&str; 16] = [
    "called",
    "back",
    "offer",
    "revised",
    "discount",
    "meeting",
    "legal",
    "review",
    "contract",
    "renewal",
    "budget",
    "quarter",
    "approved",
    "waiting",
    "for",
    "signature",
];
const NOTES_BYTES_LARGE: usize = 3_700;

/// Which ids events have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Ever new ones, in ascending order.
    Sequential,
    /// Ever new ones, in no order.
    Random,
    /// The same, but every other event changes an earlier one.
    RandomUpdates,
}

/// How large events are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Some 150 bytes.
    Small,
    /// Some 320 bytes: every field.
    Ordinary,
    /// Some 4 KB: long notes.
    Large,
}

/// What all events of a data set have in common.
#[derive(Clone, Copy)]
pub struct Shape {
    pub ids: Ids,
    pub size: Size,
}

impl Shape {
    /// The event of that number, from 0.
    pub fn record(self, number: u64) -> Record {
        let (id, json) = self.event(number);
        Record::value(json).key(id).timestamp_ms(timestamp_ms(number))
    }

    /// Its id and its JSON.
    pub fn event(self, number: u64) -> (String, String) {
        let origin = self.origin(number);
        // Pairs, as every other number may be an update.
        let is_opportunity = (origin / 2).is_multiple_of(2);
        let prefix = if is_opportunity { "opp" } else { "proj" };
        let id = match self.ids {
            Ids::Sequential => format!("{prefix}_{origin:012}"),
            Ids::Random | Ids::RandomUpdates => format!("{prefix}_{:016x}", mix(SEED ^ origin)),
        };
        let json = match self.size {
            Size::Small => small(&id, number, is_opportunity),
            Size::Ordinary => full(&id, number, is_opportunity, "null"),
            Size::Large => full(&id, number, is_opportunity, &notes(number)),
        };
        (id, json)
    }

    /// The number of the event that was the first one of the id.
    fn origin(self, number: u64) -> u64 {
        if self.ids == Ids::RandomUpdates && !number.is_multiple_of(2) {
            2 * (mix(number) % number.div_ceil(2))
        } else {
            number
        }
    }
}

/// The time of the record itself: that of its event, which would not count if it were more than a day after it.
pub fn timestamp_ms(number: u64) -> i64 {
    FIRST_MS + 1000 * number.cast_signed()
}

fn small(id: &str, number: u64, is_opportunity: bool) -> String {
    let (mark, value) = if is_opportunity { ("stage", stage(number).0) } else { ("status", status(number)) };
    format!(
        r#"{{"event_id":"{id}","name":"{} {number}","{mark}":"{value}","owner_id":"usr_{:03}","meta_data":{{"last_modified":"{}"}}}}"#,
        account(number),
        number % 300,
        last_modified(number)
    )
}

fn full(id: &str, number: u64, is_opportunity: bool, notes: &str) -> String {
    let cents = mix(number) % 100_000_000;
    let money = format!("{}.{:02}", cents / 100, cents % 100);
    let fields = if is_opportunity {
        let (stage, probability) = stage(number);
        format!(
            r#""name":"{}: renewal {number}","stage":"{stage}","amount":{money},"probability":{probability},"expected_close_date":"{}""#,
            account(number),
            day(number, 60)
        )
    } else {
        format!(
            r#""name":"{} rollout {number}","status":"{}","start_date":"{}","end_date":"{}","budget":{money}"#,
            account(number),
            status(number),
            day(number, 10),
            day(number, 200)
        )
    };
    format!(
        r#"{{"event_id":"{id}",{fields},"account_id":"acc_{:04}","owner_id":"usr_{:03}","meta_data":{{"source":"crm","last_modified":"{}","tags":["priority","emea"],"notes":{notes}}}}}"#,
        number % 10_000,
        number % 300,
        last_modified(number)
    )
}

/// A JSON string.
fn notes(number: u64) -> String {
    let mut text = String::with_capacity(NOTES_BYTES_LARGE + 16);
    text.push('"');
    let mut dice = mix(number);
    while text.len() < NOTES_BYTES_LARGE {
        text.push_str(WORDS[(dice % 16) as usize]);
        text.push(' ');
        dice = mix(dice);
    }
    text.push('"');
    text
}

fn account(number: u64) -> &'static str {
    ACCOUNTS[(number % ACCOUNTS.len() as u64) as usize]
}

fn stage(number: u64) -> (&'static str, u32) {
    STAGES[(number % STAGES.len() as u64) as usize]
}

fn status(number: u64) -> &'static str {
    STATUSES[(number % STATUSES.len() as u64) as usize]
}

fn last_modified(number: u64) -> String {
    let at = FIRST + Duration::seconds(number.cast_signed());
    at.format(&Rfc3339).expect("a time of this century has a text")
}

/// So many days after the event, give or take.
fn day(number: u64, days: u64) -> String {
    let at = FIRST.date() + Duration::days(((number / 86_400) + days + number % 30).cast_signed());
    at.to_string()
}

/// [SplitMix64](https://prng.di.unimi.it/splitmix64.c), one step.
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Ids, Shape, Size};

    #[test]
    fn events_are_as_large_as_their_name_says() {
        let check = |size, range: std::ops::Range<usize>| {
            for number in 0..1_000 {
                let bytes = Shape { ids: Ids::Sequential, size }.event(number).1.len();
                assert!(range.contains(&bytes), "event {number} has {bytes} bytes");
            }
        };
        check(Size::Small, 140..175);
        check(Size::Ordinary, 280..340);
        check(Size::Large, 3_900..4_200);
    }

    #[test]
    fn half_of_the_events_are_updates_where_the_ids_say_so() {
        let check = |ids, expected| {
            let ids: HashSet<String> =
                (0..1_000).map(|number| Shape { ids, size: Size::Small }.event(number).0).collect();
            assert_eq!(ids.len(), expected);
        };
        check(Ids::Sequential, 1_000);
        check(Ids::Random, 1_000);
        check(Ids::RandomUpdates, 500);
    }

    #[test]
    fn an_update_has_an_id_from_before() {
        let shape = Shape { ids: Ids::RandomUpdates, size: Size::Small };
        let mut known = HashSet::new();
        for number in 0..1_000 {
            let is_new = known.insert(shape.event(number).0);
            assert_eq!(is_new, number % 2 == 0, "event {number}");
        }
    }
}
