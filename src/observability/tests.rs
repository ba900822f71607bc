//! Readiness and metrics of services in different states.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::settings::Settings;
use crate::storage::{DatabaseSizes, Outcome, PartitionCounts};

fn metrics() -> Metrics {
    let metrics = Metrics::new(Description::of(&Settings::load(Vec::new(), None).unwrap()));
    metrics.note_database(Arc::default());
    metrics.note_sizes(DatabaseSizes { database_bytes: 1, wal_bytes: 2, free_bytes: 3 });
    metrics
}

#[test]
fn writes_and_syncs_may_fail_for_a_minute() {
    let metrics = metrics();
    let reasons = |seconds: u64| readiness(&metrics, false, Instant::now() + Duration::from_secs(seconds)).reasons;
    let of_database = |seconds| reasons(seconds).into_iter().filter(|reason| reason.contains("database")).count();
    metrics.database_attempts.note_failure();
    metrics.sync_attempts.note_failure();
    assert_eq!([50, 61].map(of_database), [0, 2]);
    metrics.database_attempts.note_success();
    metrics.sync_attempts.note_success();
    assert_eq!(of_database(61), 0);
}

#[test]
fn every_reason_is_named() {
    let unopened = Metrics::new(Description::of(&Settings::load(Vec::new(), None).unwrap()));
    let reasons = readiness(&unopened, true, Instant::now()).reasons;
    assert_eq!(reasons, ["the service is stopping", "the database is not open"]);
    let reasons = readiness(&metrics(), false, Instant::now()).reasons;
    assert_eq!(reasons, ["no broker has responded yet", "the member has not joined the consumer group"]);
}

#[test]
fn metrics_have_valid_unique_names_and_fixed_labels() {
    let metrics = metrics();
    metrics.set_credential_expiry("client_certificate", Some(SystemTime::now()));
    metrics.note_http_request("/metrics", 200);
    let families = collect(&metrics, false, Instant::now());
    let mut names: Vec<&str> = families.iter().map(|family| family.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    for Family { name, kind, labels, help, samples, .. } in &families {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'0'..=b'9' | b'_')), "{name}");
        assert!(name.starts_with("enterprise_consumer_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(!help.is_empty() && !help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
        assert!(samples.iter().all(|sample| sample.labels.len() == labels.len()), "{name}");
    }
    let text = encode(&families);
    for line in ["enterprise_consumer_wal_bytes 2", "enterprise_consumer_live 1", "enterprise_consumer_ready 0"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn the_number_of_series_is_bounded() {
    let metrics = metrics();
    let lines = |partitions: i32| {
        for partition in 0..partitions {
            metrics.partitions.start(&kafka::TopicPartition::new("t", partition), 5);
        }
        let text = encode(&collect(&metrics, false, Instant::now()));
        text.lines().filter(|line| line.contains("topic=\"t\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(1_000).len(), 5_000, "four outcomes and the next offset");
    let of_topic = lines(1_001);
    assert_eq!(of_topic.len(), 4, "{of_topic:?}");
    assert!(
        of_topic[0].starts_with("enterprise_consumer_offsets_total{topic=\"t\",outcome=\"applied\"} "),
        "{of_topic:?}"
    );
}

#[test]
fn a_counter_of_a_topic_never_falls() {
    let metrics = metrics();
    let at = |partition| kafka::TopicPartition::new("t", partition);
    let mut counts = PartitionCounts::default();
    for partition in 0..1_002 {
        metrics.partitions.start(&at(partition), 5);
        counts.add("t", partition, [(Outcome::Applied, 1)].into());
    }
    metrics.partitions.count(&counts);
    let applied = || {
        let text = encode(&collect(&metrics, false, Instant::now()));
        text.lines().find(|line| line.contains("outcome=\"applied\"")).map(str::to_owned)
    };
    assert!(applied().unwrap().ends_with(" 1002"));
    metrics.partitions.remove(&[at(0)]);
    assert!(applied().unwrap().ends_with(" 1002"));
}

const DOCUMENT: &str = "docs/metrics.md";

const HEAD: &str = "# Metrics

Written from the program by `WRITE_DOCS=1 cargo test --lib observability`; not edited by hand.

With [`HTTP_LISTEN`](configuration.md#http), `GET /metrics` has these, in the text format of Prometheus. Nothing is requested from a
broker or from the database for it: the service publishes its numbers in memory, and the sizes of files every 5 s. Counters begin at 0
with each start of the process.

A value that is not known has no series: the end of a partition and its lag while its leader does not respond, a timestamp before the
first event, the sizes before the database is open. The series of a partition end when it is revoked or lost, and its
`offsets_total` begins at 0 when it is assigned again. With more than 1000 partitions the metrics of partitions are sums over each
topic, without the label `partition`; `lag_seconds` is the greatest, and offsets are left out.

Labels hold topics, partition numbers and fixed words: no ids, texts of errors or addresses. `deploy/alerts.yml` has
the alerts below as rules, `deploy/grafana.json` is a dashboard. [What to do](operations.md#alerts) when an alert fires.

| metric | type | labels | meaning | alert on |
|---|---|---|---|---|
";

fn document() -> String {
    let mut text = HEAD.to_owned();
    for Family { name, kind, labels, help, alert, .. } in collect(&metrics(), false, Instant::now()) {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let row = [&format!("`{name}`"), kind.as_str(), &labels.join(", "), help, alert].join(" | ");
        text.extend(["| ", &row, " |\n"]);
    }
    text
}

#[test]
fn the_document_has_every_metric() {
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(DOCUMENT, document()).unwrap();
    }
    let found = std::fs::read_to_string(DOCUMENT).unwrap();
    assert!(found == document(), "{DOCUMENT} is out of date: WRITE_DOCS=1 cargo test --lib observability");
}

#[test]
fn the_dashboard_is_json_with_a_query_in_each_panel() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string("deploy/grafana.json").unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 20);
    assert!(panels.iter().all(|panel| panel["targets"][0]["expr"].is_string()));
}

#[test]
fn rules_and_dashboard_name_metrics_that_exist() {
    let known: Vec<&str> = collect(&metrics(), false, Instant::now()).iter().map(|family| family.name).collect();
    for (path, least) in [("deploy/alerts.yml", 15), ("deploy/alerts_test.yml", 8), ("deploy/grafana.json", 15)] {
        let text = std::fs::read_to_string(path).unwrap();
        let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
        let used: Vec<&str> =
            words.filter(|word| word.starts_with("enterprise_consumer_") || word.starts_with("process_")).collect();
        assert!(used.len() >= least, "{path} names {} metrics", used.len());
        for name in used {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            assert!(known.contains(&name) || of_histogram.is_some_and(|name| known.contains(&name)), "{path}: {name}");
        }
    }
}
