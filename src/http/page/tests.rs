//! What the page says of services in different states, and what the browser may do with it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kafka::{LogEnd, TopicPartition};

use super::sentence::{Level, state};
use super::{CONTENT_SECURITY_POLICY, render};
use crate::observability::{
    Description, Health, Jump, LagHistory, MessageTexts, Metrics, PartitionSnapshot, Status, UnidentifiedMessage,
};
use crate::runtime::logger::Problem;
use crate::settings::Settings;
use crate::storage::{DatabaseSizes, OffsetCounts, Outcome};

/// The most bytes of the page in the program, with style and script.
const BYTES_MAX: usize = 25 * 1024;

fn metrics() -> Metrics {
    let metrics = Metrics::new(Description::of(&Settings::load(Vec::new(), None).unwrap()));
    metrics.note_database(Arc::default());
    metrics
}

/// Ready, without partitions.
fn ready() -> Status {
    Status { health: Health::default(), ..Status::of(&metrics(), false, false, Instant::now()) }
}

fn partition(number: i32, lag_records: Option<u64>) -> PartitionSnapshot {
    PartitionSnapshot {
        partition: TopicPartition::new("sales", number),
        counts: OffsetCounts::default(),
        next_offset: 1000,
        committed_offset: Some(999),
        is_reading: lag_records.is_some(),
        log_end: lag_records.map(|lag| {
            let end_offset = 1000 + i64::try_from(lag).unwrap();
            LogEnd { end_offset, high_watermark: end_offset, seen_at: Instant::now() }
        }),
        lag_records,
        lag: lag_records.map(|lag| Duration::from_secs(lag / 10)),
    }
}

fn with_partitions(partitions: &[PartitionSnapshot]) -> Status {
    let lag_records = partitions.iter().map(|partition| partition.lag_records).sum();
    Status { partitions: partitions.to_vec(), lag_records, ..ready() }
}

fn page(status: &Status) -> String {
    render(status, &LagHistory::default(), Instant::now())
}

#[test]
fn the_state_is_one_sentence() {
    let sentence = |status: &Status| state(status).1;
    assert_eq!(sentence(&ready()), "Ready; no partitions assigned: this member stands by.");
    let caught_up = with_partitions(&[partition(0, Some(0))]);
    assert_eq!(state(&caught_up), (Level::Good, "Ready; 1 partition, caught up.".to_owned()));
    let mut behind = with_partitions(&[partition(0, Some(1234)), partition(1, Some(1))]);
    let text = "Ready; 2 partitions, catching up, lag 1,235 records of at most 2 min 3 s";
    assert_eq!(state(&behind), (Level::Behind, format!("{text}.")));
    behind.rates.left = Some(Duration::from_secs(61));
    assert_eq!(sentence(&behind), format!("{text}, about 1 min 1 s left."));
    let unknown = with_partitions(&[partition(0, Some(5)), partition(1, None)]);
    assert_eq!(state(&unknown), (Level::Behind, "Ready; 2 partitions, lag not known.".to_owned()));
}

#[test]
fn every_reason_and_every_late_stage_is_in_the_sentence() {
    let health = Health { reasons: vec!["one reason".to_owned(), "another".to_owned()] };
    let late_stages = vec!["reader", "writer"];
    let (level, sentence) = state(&Status { late_stages, health, ..ready() });
    let expected = "Not live, past the deadline: reader, writer; not ready: one reason, another; ";
    assert!(level == Level::Bad && sentence.starts_with(expected), "{sentence}");
    let late = Status { late_stages: vec!["group"], ..ready() };
    assert_eq!(state(&late).0, Level::Bad);
}

#[test]
fn the_page_has_every_number() {
    let metrics = metrics();
    metrics.throughput.sample(Some(0), Instant::now());
    metrics.throughput.add([(Outcome::Applied, 123_456), (Outcome::Stale, 78)].into());
    metrics.unidentified.add("not_json", 2);
    metrics.position_changes.add("group_reset", 3);
    let jump = Jump { partition: TopicPartition::new("jumped", 4), from: None, to: 77_777 };
    metrics.latest_position_changes.note("group_reset", jump);
    metrics.note_sizes(DatabaseSizes { database_bytes: 5 << 20, wal_bytes: 3 << 20, free_bytes: 7 << 30 });
    metrics.sync_attempts.note_failure();
    metrics.set_credential_expiry("client_certificate", Some(SystemTime::now() + Duration::from_hours(3 * 24)));
    let mut status = Status::of(&metrics, false, false, Instant::now() + Duration::from_mins(2));
    status.partitions = vec![partition(0, Some(1234))];
    let page = page(&status);
    for part in [
        "<td class=\"topic\">sales</td><td class=\"n\">0</td><td class=\"n\">1,234</td><td class=\"n\">2 min 3 s</td>",
        "<td class=\"n\">1000</td><td class=\"n\">999</td><td class=\"n\">2234</td><td>yes</td>",
        "<th scope=\"row\">applied</th><td class=\"n\">1,028</td><td class=\"n\">123,456</td>",
        "<th scope=\"row\">stale</th><td class=\"n\">0.6</td><td class=\"n\">78</td>",
        "<th scope=\"row\">not_json</th><td class=\"n\">2</td><td colspan=\"4\"></td></tr>",
        "<th scope=\"row\">group_reset</th><td class=\"n\">3</td><td class=\"topic\">jumped</td><td class=\"n\">4</td>\
         <td class=\"n\">–</td><td class=\"n\">77777</td>",
        "max=\"1073741824\" high=\"268435456\" value=\"3145728\" aria-label=\"WAL\">3.0 MiB</meter> 3.0 MiB of 1.0 GiB",
        "<dd>5.0 MiB</dd>",
        "<dd>7.0 GiB</dd>",
        "syncs of the database: 1 in a row",
        "<dt>client certificate</dt><dd class=\"bad\">expires <time>",
        "<dd>read_committed</dd>",
        "<dd>classic</dd>",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(page.len() < BYTES_MAX, "{} bytes with every section", page.len());
    assert!(page.contains(concat!("<dd>", env!("CARGO_PKG_VERSION"), "</dd>")));
}

#[test]
fn texts_from_outside_are_shown_on_request_only() {
    let metrics = metrics();
    metrics.unidentified.add("empty", 1);
    let texts = MessageTexts::new("what is wrong", Some(&[b'v'; 1000]));
    let partition = TopicPartition::new("t", 0);
    metrics.latest_unidentified.note("empty", UnidentifiedMessage { partition, offset: 4711, texts });
    let message = "a log line".to_owned();
    metrics.note_problem(Problem { at: "2026-01-31T12:00:00.000Z".to_owned(), level: "WARN".to_owned(), message });
    let with = |shows_texts| page(&Status::of(&metrics, false, shows_texts, Instant::now()));
    let (shown, hidden) = (with(true), with(false));
    let payload = format!("<pre class=\"payload\">{}</pre><p>The beginning of 1,000 bytes.</p>", "v".repeat(500));
    for text in ["what is wrong", &payload, "a log line"] {
        assert!(shown.contains(text) && !hidden.contains(text), "{text}");
    }
    assert!(shown.contains("4711") && hidden.contains("4711"), "coordinates are no texts");
}

#[test]
fn many_partitions_make_no_large_page() {
    let partitions: Vec<_> = (0..5000).map(|number| partition(number, u64::try_from(number).ok())).collect();
    let page = page(&with_partitions(&partitions));
    assert_eq!(page.matches("<td class=\"topic\">").count(), 200);
    assert!(page.contains("4,800 more partitions, with less lag, are not shown"));
    assert!(page.len() < 128 * 1024, "{} bytes", page.len());
}

#[test]
fn the_browser_may_apply_this_style_and_run_this_script_only() {
    let page = page(&ready());
    let between = |start: &str, end: &str| page.split_once(start).unwrap().1.split_once(end).unwrap().0;
    for (directive, text) in
        [("style-src", between("<style>", "</style>")), ("script-src", between("<script>", "</script>"))]
    {
        let hash = BASE64_STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()));
        assert!(CONTENT_SECURITY_POLICY.contains(&format!("; {directive} 'sha256-{hash}'; ")), "{directive}");
    }
    assert_eq!(page.matches("<script").count() + page.matches("<style").count(), 2);
    for refused in [" style=", " onload=", " onclick=", "javascript:", "src=", "http://", "https://", "@import", "url("]
    {
        assert!(!page.contains(refused), "{refused}");
    }
}
