//! What the HTTP server, its status page and `health` say, against the truth: the database, the group, and a broker that is killed. One
//! broker and few services for all of it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use testkit::{Client, Cluster, ProduceOptions, Record, unique};

use crate::page::{HOSTILE, Page};
use crate::support::process::{Answer, Installation};

/// An answer must not take longer, whatever the service does meanwhile.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// An installation with an HTTP server.
struct Observed {
    installation: Installation,
    address: String,
}

impl Observed {
    fn new(cluster: &Cluster, topic: &str) -> Self {
        let mut installation = Installation::new(&cluster.bootstrap_servers(), topic);
        // Free at the moment; a server that finds it taken ends with an error.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        installation.set("HTTP_LISTEN", &address);
        Self { installation, address }
    }

    /// Status code and body; `None` if nothing listens.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Some((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()))
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status.json").unwrap().1).unwrap()
    }

    /// The values of the metrics, by name and labels.
    fn metrics(&self) -> BTreeMap<String, f64> {
        let (code, text) = self.get("/metrics").unwrap();
        assert_eq!(code, 200, "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| line.rsplit_once(' ').unwrap());
        samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
    }

    fn metric(&self, name: &str) -> Option<f64> {
        self.metrics().get(&format!("enterprise_consumer_{name}")).copied()
    }

    /// Waits until `/readyz` has this code and every part.
    fn wait_ready(&self, code: u16, parts: &[&str]) {
        let mut found = None;
        let is_right = |found: &Option<(u16, String)>| {
            found.as_ref().is_some_and(|(found, body)| *found == code && parts.iter().all(|part| body.contains(part)))
        };
        self.installation.wait_for(&format!("/readyz with {code} and {parts:?}"), |_| {
            found = self.get("/readyz");
            is_right(&found)
        });
    }

    /// More connections than the process may have file descriptors, each with the beginning of a request: they must leave
    /// some for brokers, the database and other clients.
    fn connect_slowly(&self) -> Vec<TcpStream> {
        let connect = |_| {
            let mut stream = TcpStream::connect(&self.address).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
            stream
        };
        (0..200).map(connect).collect()
    }

    fn health(&self, options: &[&str]) -> Answer {
        self.installation.ask(&[&["health"], options].concat())
    }
}

fn produce(kafka: &Client, topic: &str, partition: i32, numbers: std::ops::Range<i64>) {
    let event = |number| {
        Record::value(format!(r#"{{"event_id":"opp_{partition}_{number}","name":"n","stage":"won"}}"#))
            .partition(partition)
    };
    kafka.produce(topic, &ProduceOptions::default(), numbers.map(event)).unwrap();
}

#[test]
fn what_is_published_is_the_truth() {
    let cluster = Cluster::start(testkit::NEWEST).unwrap();
    let (kafka, topic) = (cluster.client().unwrap(), unique("observed"));
    kafka.create_topic(&topic, 2, &[]).unwrap();
    produce(kafka, &topic, 0, 0..40);
    produce(kafka, &topic, 1, 0..20);
    let broken = ["{", "", "[]", HOSTILE].map(|value| Record::value(value).partition(1));
    kafka.produce(&topic, &ProduceOptions::default(), broken).unwrap();
    let mut observed = Observed::new(&cluster, &topic);
    observed.installation.set("HTTP_SAMPLES", "true");
    observed.installation.wrap(&["sh", "-c", "ulimit -n 128; exec \"$@\"", "sh"]);

    assert_eq!(observed.health(&[]).code, Some(1), "nothing runs");
    let service = observed.installation.start(&[]);
    observed.wait_ready(200, &["\"ready\": true", "[]"]);
    let slow = observed.connect_slowly();
    observed.installation.wait_for("the records", |installation| installation.stored() == 64);
    observed.installation.wait_for("the commit", |_| {
        observed.metric(&format!("committed_offset{{topic=\"{topic}\",partition=\"0\"}}")) == Some(40.0)
    });
    matches_the_database(&observed, &topic);
    accepted_by_promtool(&observed);
    assert_eq!((observed.health(&[]).code, observed.health(&["--ready"]).code), (Some(0), Some(0)));
    drop(slow);
    second_listener_is_refused(&observed);
    locked_database_is_live(&observed, kafka, &topic);
    revoked_partition_has_no_series(&observed, &cluster, &topic);
    let page = Page::open(&observed.address);
    killed_broker_is_not_ready(&observed, &cluster, &topic, &page);
    assert_eq!(page.notice(), "");
    drop(service);
    let notice = "The service has not answered for ";
    observed.installation.wait_for("the notice of the page", |_| page.notice().starts_with(notice));
}

fn matches_the_database(observed: &Observed, topic: &str) {
    let metrics = observed.metrics();
    let value = |name: &str| metrics.get(&format!("enterprise_consumer_{name}")).copied();
    let number = |query: &str| observed.installation.number(query).map(|number| number.to_string().parse().unwrap());
    for partition in 0..2 {
        let of = |name: &str| value(&format!("{name}{{topic=\"{topic}\",partition=\"{partition}\"}}"));
        let column = |name: &str| number(&format!("SELECT {name} FROM consumer_offsets WHERE partition = {partition}"));
        assert_eq!(
            (of("next_offset"), of("end_offset")),
            (column("next_offset"), column("next_offset")),
            "{partition}"
        );
        assert_eq!((of("lag_records"), of("lag_seconds")), (Some(0.0), Some(0.0)));
        assert_eq!(of("open_transaction_records"), Some(0.0));
        for outcome in ["applied", "stale", "unidentified", "absent"] {
            let series = format!("offsets_total{{topic=\"{topic}\",partition=\"{partition}\",outcome=\"{outcome}\"}}");
            assert_eq!(value(&series), column(outcome), "{partition}, {outcome}");
        }
    }
    for reason in ["empty", "not_json", "unknown_type", "invalid_field", "rejected"] {
        let kept = number(&format!("SELECT count(*) FROM unidentified_messages WHERE reason = '{reason}'"));
        assert_eq!(value(&format!("unidentified_total{{reason=\"{reason}\"}}")), kept, "{reason}");
    }
    let jumps = number("SELECT count(*) FROM position_changes WHERE reason = 'first_start'");
    assert_eq!((value("position_changes_total{reason=\"first_start\"}"), jumps), (Some(2.0), Some(2.0)));
    assert_eq!((value("partitions_assigned"), value("live"), value("ready")), (Some(2.0), Some(1.0), Some(1.0)));
    assert_eq!(value("transaction_records_sum"), Some(64.0));
    assert_eq!(value("transactions_total{result=\"failure\"}"), Some(0.0));
    assert_eq!(value("group_info{protocol=\"classic\",isolation_level=\"read_committed\"}"), Some(1.0));
    for (name, least) in [
        ("transactions_total{result=\"success\"}", 1.0),
        ("sync_duration_seconds_count", 1.0),
        ("commits_total{result=\"success\"}", 1.0),
        ("fetched_bytes_total", 63.0 * 50.0),
        ("connects_total", 2.0),
        ("database_bytes", 4096.0),
        ("disk_free_bytes", 1.0),
        ("wal_bytes", 0.0),
        ("last_transaction_timestamp_seconds", 1e9),
        ("last_commit_timestamp_seconds", 1e9),
    ] {
        assert!(value(name) >= Some(least), "{name}: {:?}", value(name));
    }
}

fn accepted_by_promtool(observed: &Observed) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (_, text) = observed.get("/metrics").unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn second_listener_is_refused(observed: &Observed) {
    let mut second = Installation::new("localhost:1", "t");
    second.set("HTTP_LISTEN", &observed.address);
    let answer = second.ask(&["run"]);
    assert_eq!(answer.code, Some(2), "{answer:?}");
    let expected = format!("HTTP_LISTEN is '{}', where the HTTP server cannot listen", observed.address);
    assert!(answer.stderr.contains(&expected), "{answer:?}");
    assert!(!second.database_path().exists(), "nothing has begun");

    second.set("HTTP_TOKEN_FILE", "/nonexistent");
    let line = "HTTP_TOKEN_FILE names a file that cannot be read: '/nonexistent'";
    let (run, check) = (second.ask(&["run"]), second.ask(&["check"]));
    assert!(run.code == Some(2) && run.stderr.contains(line), "{run:?}");
    assert!(check.code == Some(1) && check.stdout.contains(&format!("http      FAIL  {line}")), "{check:?}");
}

/// A locked database: the service is live, and shows that it fails and lags.
fn locked_database_is_live(observed: &Observed, kafka: &Client, topic: &str) {
    let other = Connection::open(observed.installation.database_path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    produce(kafka, topic, 0, 40..45);
    observed.installation.wait_for("failed attempts", |_| {
        observed.metric("failing_attempts{what=\"database\"}").is_some_and(|attempts| attempts >= 2.0)
    });
    let lag = |name: &str| observed.metric(&format!("{name}{{topic=\"{topic}\",partition=\"0\"}}"));
    assert_eq!(lag("lag_records"), Some(5.0));
    let seconds = lag("lag_seconds");
    assert!(seconds.is_some_and(|seconds| (0.0..60.0).contains(&seconds)), "{seconds:?}");
    assert_eq!(observed.get("/healthz").unwrap().0, 200);
    assert!(observed.metric("transactions_total{result=\"failure\"}").unwrap() >= 2.0);
    other.execute_batch("ROLLBACK").unwrap();
    observed.installation.wait_for("the records", |installation| installation.stored() == 69);
    observed.installation.wait_for("success", |_| observed.metric("failing_attempts{what=\"database\"}") == Some(0.0));
}

/// Another member takes a partition over: its series are there, and no longer here.
fn revoked_partition_has_no_series(observed: &Observed, cluster: &Cluster, topic: &str) {
    let other = Observed::new(cluster, topic);
    let mut service = other.installation.start(&[]);
    let partitions = |observed: &Observed| {
        let metrics = observed.metrics();
        let of_partition = |partition: i32| {
            let label = format!("partition=\"{partition}\"");
            metrics.keys().filter(|name| name.contains(&label)).count()
        };
        (of_partition(0), of_partition(1))
    };
    let shared = |observed: &Observed| matches!(partitions(observed), (0, 1..) | (1.., 0));
    observed.installation.wait_for("a partition that was revoked", |_| shared(observed));
    other.installation.wait_for("a partition that was assigned", |_| shared(&other));
    other.wait_ready(200, &[]);
    assert_ne!(partitions(observed).0 == 0, partitions(&other).0 == 0);
    assert!(observed.metric("rebalances_total").unwrap() >= 2.0);
    service.signal("TERM");
    service.ends_with(0);
    observed.installation.wait_for("both partitions", |_| observed.metric("partitions_assigned") == Some(2.0));
    observed.wait_ready(200, &[]);
}

/// Without its broker the service stays live, is not ready, and does not know its lag; afterwards everything is as before. The page shows
/// it without a reload.
fn killed_broker_is_not_ready(observed: &Observed, cluster: &Cluster, topic: &str, page: &Page) {
    assert_eq!(page.state(), "Ready; 2 partitions, caught up.");
    page.shows(&observed.status());
    page.executes_no_payload();
    page.fits_a_phone();
    let node = cluster.node(1).unwrap();
    node.kill().unwrap();
    observed.wait_ready(503, &["assigned partitions cannot be read"]);
    assert_eq!(observed.get("/healthz").unwrap().0, 200);
    assert_eq!((observed.health(&[]).code, observed.health(&["--ready"]).code), (Some(0), Some(1)));
    let lag = format!("lag_records{{topic=\"{topic}\",partition=\"0\"}}");
    assert_eq!(observed.metric(&lag), None, "not known");
    observed.installation.wait_for("failed attempts", |_| {
        observed.metric("failing_attempts{what=\"kafka\"}").is_some_and(|attempts| attempts >= 2.0)
    });
    observed.installation.wait_for("the page without a broker", |_| {
        page.state().contains("of 2 assigned partitions cannot be read") && page.state().ends_with("lag not known.")
    });
    assert!(page.is_same_document());
    node.start().unwrap();
    observed.wait_ready(200, &[]);
    assert_eq!(observed.metric(&lag), Some(0.0));
    page.is_clean();
    page.needs_no_script(&observed.status());
    assert_eq!(observed.metric("failing_attempts{what=\"kafka\"}"), Some(0.0));
}
