//! Properties of the samples.

use std::collections::{HashMap, HashSet};

use super::calendar::{date, timestamp};
use super::{OPPORTUNITIES, PROJECTS, events};
use crate::client::Record;

fn text(bytes: Option<&Vec<u8>>) -> String {
    bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

fn is_broken(record: &Record) -> bool {
    text(record.key.as_ref()).starts_with("broken_")
}

#[test]
fn a_round_is_the_same_every_time_and_differs_from_the_others() {
    assert_eq!(events(7, 1), events(7, 1));
    assert_ne!(events(7, 1), events(8, 1));
    assert_ne!(events(7, 2), events(7, 3));
}

#[test]
fn the_first_round_has_everything() {
    let records = events(7, 1);
    assert!((3_000..6_000).contains(&records.len()), "{}", records.len());
    let ids: HashSet<String> = records.iter().filter(|r| !is_broken(r)).map(|r| text(r.key.as_ref())).collect();
    assert_eq!(ids.len(), usize::try_from(OPPORTUNITIES + PROJECTS).unwrap());
    assert_eq!(records.iter().filter(|record| is_broken(record)).count(), 19);

    let mut latest: HashMap<String, String> = HashMap::new();
    let (mut older, mut repeated) = (0, 0);
    for record in records.iter().filter(|record| !is_broken(record)) {
        let value = text(record.value.as_ref());
        let time = value.split(r#""last_modified":""#).nth(1).unwrap()[..20].to_owned();
        let seen = latest.entry(text(record.key.as_ref())).or_default();
        older += u32::from(time < *seen);
        repeated += u32::from(time == *seen);
        *seen = time.max(seen.clone());
    }
    assert!(older > 20, "{older} arrive out of order");
    assert!(repeated > 5, "{repeated} arrive twice");
}

#[test]
fn later_rounds_update_and_add() {
    let count = |round| events(7, round).len();
    assert!(count(2) > 500 && count(2) < count(1));
    let first: HashSet<_> = events(7, 1).into_iter().map(|record| record.key).collect();
    let second: HashSet<_> = events(7, 2).into_iter().map(|record| record.key).collect();
    assert!(first.intersection(&second).count() > 300);
    assert!(second.difference(&first).count() >= 80);
}

#[test]
fn days_are_calendar_days() {
    let check = |day, expected| assert_eq!(date(day), expected);
    check(0, "2025-01-06");
    check(25, "2025-01-31");
    check(26, "2025-02-01");
    check(54, "2025-03-01");
    check(359, "2025-12-31");
    check(360, "2026-01-01");
    check(1_149, "2028-02-29");
    assert_eq!(timestamp(24 * 60 + 61, 5), "2025-01-07T01:01:05Z");
}
