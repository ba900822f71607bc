//! Every record takes effect once: the tables are those of an independent computation from the same records, with every codec, after
//! kills, and with records that arrive while the service runs. `TEST_SIZE=full` runs the full sizes.

use std::collections::BTreeMap;

use testkit::{Client, Cluster, Codec, NEWEST, OLDEST, ProduceOptions, Random, Record, unique};

use crate::support::events::{Sent, Tables, events};
use crate::support::process::Installation;
use crate::support::sized;

struct Kafka {
    cluster: &'static Cluster,
    client: &'static Client,
}

fn kafka(version: &str) -> Kafka {
    let cluster = testkit::shared(version).unwrap();
    Kafka { cluster, client: cluster.client().unwrap() }
}

impl Kafka {
    fn topic(&self, partitions: u32) -> String {
        let topic = unique("events");
        self.client.create_topic(&topic, partitions, &[]).unwrap();
        topic
    }

    fn installation(&self, topics: &str) -> Installation {
        let mut installation = Installation::new(&self.cluster.bootstrap_servers(), topics);
        installation.set("KAFKA_GROUP_ID", &unique("group"));
        installation
    }

    /// Produces records, and adds them to the expected tables.
    fn produce(&self, topic: &str, options: &ProduceOptions, sent: &[Sent], tables: &mut Tables) {
        let positions = self.client.produce(topic, options, records(sent)).unwrap();
        tables.add(topic, sent, &positions);
    }

    /// The sum of the partitions' end offsets.
    fn end(&self, topic: &str) -> i64 {
        self.client.end_offsets(topic).unwrap().iter().sum()
    }
}

fn records(sent: &[Sent]) -> Vec<Record> {
    sent.iter().map(|sent| sent.record.clone()).collect()
}

fn finish(installation: &Installation, tables: &Tables) {
    installation.run_to_end();
    installation.assert_clean();
    tables.assert_stored(&installation.database());
}

fn every_codec_and_transactions(version: &str) {
    let kafka = kafka(version);
    let topic = kafka.topic(6);
    let mut tables = Tables::default();
    for (seed, codec) in Codec::ALL.into_iter().enumerate() {
        let options = ProduceOptions::default().codec(codec);
        let sent = events(seed as u64, sized(3_000, 100_000), 6);
        kafka.produce(&topic, &options, &sent, &mut tables);
        for (id, commits) in [("commits", true), ("aborts", false)] {
            let transaction = kafka.client.begin(&unique(id), &options).unwrap();
            let sent = events(100 + seed as u64, 200, 6);
            let positions = transaction.produce(&topic, records(&sent)).unwrap();
            if commits {
                transaction.commit().unwrap();
                tables.add(&topic, &sent, &positions);
            } else {
                transaction.abort().unwrap();
            }
        }
    }
    let installation = kafka.installation(&topic);
    finish(&installation, &tables);
    assert_eq!(installation.stored(), kafka.end(&topic), "control records and aborted transactions are passed over");
    let absent = installation.number("SELECT sum(absent) FROM consumer_offsets").unwrap();
    assert!(absent > 5 * 200, "{absent} offsets without a record");
    // Without new records nothing changes.
    finish(&installation, &tables);
}

#[test]
fn every_codec_and_transactions_on_the_oldest_broker() {
    every_codec_and_transactions(OLDEST);
}

#[test]
fn every_codec_and_transactions_on_the_newest_broker() {
    every_codec_and_transactions(NEWEST);
}

#[test]
fn killed_twenty_times() {
    let kafka = kafka(NEWEST);
    let topic = kafka.topic(6);
    let mut tables = Tables::default();
    let sent = events(7, sized(20_000, 200_000), 6);
    kafka.produce(&topic, &ProduceOptions::default().codec(Codec::Lz4), &sent, &mut tables);
    let end = kafka.end(&topic);
    let mut installation = kafka.installation(&topic);
    installation.set("BATCH_MAX_RECORDS", "50").set("LOG_LEVEL", "INFO");
    let mut random = Random::from_seed(11);
    let mut kills = 0;
    for kill in 0..20 {
        let mark = end * kill / 21 + random.below(end / 21);
        let mut service = installation.start(&["run"]);
        installation.wait_for("progress", |installation| installation.stored() > mark);
        service.kill();
        kills += i64::from(installation.stored() < end);
    }
    assert!(kills > 10, "only {kills} of 20 kills came before the end");
    finish(&installation, &tables);
}

#[test]
fn records_that_arrive_while_it_runs() {
    let kafka = kafka(NEWEST);
    let (topic, other, late) = (kafka.topic(2), kafka.topic(1), unique("late"));
    let options = ProduceOptions::default();
    let mut tables = Tables::default();
    let installation = kafka.installation(&format!("{topic},{other},{late}"));
    let mut service = installation.start(&["run"]);
    let stored = |rows: i64| installation.wait_for("records", |installation| installation.stored() >= rows);

    kafka.produce(&topic, &options, &events(1, 500, 2), &mut tables);
    kafka.produce(&other, &options, &events(2, 500, 1), &mut tables);
    stored(1000);
    installation.wait_warning(0, &[&late, "does not exist"]);
    kafka.client.create_topic(&late, 1, &[]).unwrap();
    kafka.produce(&late, &options, &events(3, 500, 1), &mut tables);
    stored(1500);
    kafka.client.add_partitions(&topic, 4).unwrap();
    kafka.produce(&topic, &options, &events(4, 500, 4), &mut tables);
    stored(2000);

    service.signal("TERM");
    service.ends_with(0);
    installation.assert_clean();
    tables.assert_stored(&installation.database());
    let committed = kafka.client.committed_offsets(&installation.group()).unwrap();
    let ends = [&topic, &other, &late].map(|topic| kafka.client.end_offsets(topic).unwrap());
    for (topic, ends) in [&topic, &other, &late].into_iter().zip(ends) {
        for (partition, end) in (0..).zip(ends) {
            assert_eq!(committed[&(topic.clone(), partition)].offset, end, "{topic}-{partition}");
        }
    }
}

#[test]
fn holes_are_counted_as_absent() {
    let kafka = kafka(NEWEST);
    let topic = unique("compacted");
    // Compacted when a segment is full.
    let settings = [("cleanup.policy", "compact"), ("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.001")];
    kafka.client.create_topic(&topic, 1, &settings).unwrap();
    let options = ProduceOptions::default();
    let value = |number: u32| format!(r#"{{"event_id":"opp_1","name":"{number}","stage":"s"}}"#);
    let produce = |number| {
        kafka.client.produce(&topic, &options, [Record::value(value(number)).key("opp_1")]).unwrap();
    };
    produce(0);
    let mut installation = kafka.installation(&topic);
    installation.set("BATCH_MAX_RECORDS", "1");
    // The first offset that a consumer reads shows whether the log cleaner has run.
    let mut number = 1;
    installation.wait_for("compaction", |_| {
        produce(number);
        number += 1;
        let read = kafka.installation(&topic);
        read.run_to_end();
        read.number("SELECT absent FROM consumer_offsets").unwrap() > 0
    });
    installation.run_to_end();
    installation.assert_clean();
    assert_eq!(installation.stored(), kafka.end(&topic));
    let name = "SELECT count(*) FROM opportunities WHERE name = ";
    assert_eq!(installation.number(&format!("{name}'{}'", number - 1)), Some(1), "the last event has won");
}

#[test]
fn uncommitted_records_are_read_with_read_uncommitted() {
    let kafka = kafka(OLDEST);
    let topic = kafka.topic(1);
    let options = ProduceOptions::default();
    let transaction = kafka.client.begin(&unique("open"), &options).unwrap();
    let event = Record::value(r#"{"event_id":"opp_1","name":"n","stage":"s"}"#);
    transaction.produce(&topic, [event]).unwrap();
    let installation = kafka.installation(&topic);
    installation.run_to_end();
    assert_eq!(installation.number("SELECT count(*) FROM opportunities"), Some(0), "behind the last stable offset");
    let mut uncommitted = kafka.installation(&topic);
    uncommitted.set("KAFKA_ISOLATION_LEVEL", "read_uncommitted").run_to_end();
    assert_eq!(uncommitted.number("SELECT count(*) FROM opportunities"), Some(1));
    transaction.commit().unwrap();
    installation.run_to_end();
    assert_eq!(installation.number("SELECT count(*) FROM opportunities"), Some(1));
}

#[test]
fn large_batches() {
    let kafka = kafka(NEWEST);
    let topic = unique("large");
    kafka.client.create_topic(&topic, 2, &[("max.message.bytes", "8000000")]).unwrap();
    let options = ProduceOptions::default().batch_bytes(3_000_000).config("max.request.size", "6000000");
    let event = |id: u32, bytes: usize| {
        let notes = "-".repeat(bytes);
        Record::value(format!(r#"{{"event_id":"opp_{id}","name":"n","stage":"s","meta_data":{{"notes":"{notes}"}}}}"#))
    };
    let produce = |partition, events: &[(u32, usize)]| {
        let records: Vec<Record> = events.iter().map(|(id, bytes)| event(*id, *bytes).partition(partition)).collect();
        kafka.client.produce(&topic, &options, records).unwrap()
    };
    produce(0, &[(1, 10), (2, 2_500_000), (3, 10)]);
    produce(1, &[(4, 2_000_000), (5, 2_000_000)]);
    let mut installation = kafka.installation(&topic);
    installation.set("KAFKA_FETCH_MAX_BYTES", "100000");
    installation.run_to_end();
    installation.assert_clean();
    assert_eq!(installation.number("SELECT count(*) FROM opportunities"), Some(5));

    produce(0, &[(6, 10)]);
    let at = produce(0, &[(7, 2_900_000)])[0].offset;
    installation.set("KAFKA_RECEIVE_MAX_BYTES", "2800000");
    installation.start(&["run", "--exit-at-end"]).ends_with(1);
    let error = installation.stderr();
    for part in [&format!("offset {at} of {topic}-0"), "KAFKA_RECEIVE_MAX_BYTES", "2800000"] {
        assert!(error.contains(part), "'{part}' is not in: {error}");
    }
    installation.assert_clean();
    assert_eq!(installation.number("SELECT count(*) FROM opportunities"), Some(6), "what lies before it is stored");
}

/// With `message.timestamp.type=LogAppendTime` the broker's timestamp counts, not the producer's: in the tables, and for which event
/// wins.
#[test]
fn the_log_append_time_counts_if_the_topic_uses_it() {
    let kafka = kafka(NEWEST);
    let topic = unique("append-time");
    kafka.client.create_topic(&topic, 2, &[("message.timestamp.type", "LogAppendTime")]).unwrap();
    let event = |name: &str, id: u32, timestamp_ms: i64, partition: i32| {
        let value = format!(r#"{{"event_id":"opp_{id}","name":"{name}","stage":"s"}}"#);
        Record::value(value).timestamp_ms(timestamp_ms).partition(partition)
    };
    // Batches of several records; later records have earlier producer timestamps.
    let options = ProduceOptions::default().codec(Codec::Zstd).linger_ms(1000);
    let produce = |name: &str, timestamp_ms: i64| {
        let records = (0..10).map(|id| event(name, id, timestamp_ms - i64::from(id), 1 - (id % 2).cast_signed()));
        let broken = Record::value("{").timestamp_ms(timestamp_ms).partition(0);
        kafka.client.produce(&topic, &options, records.chain([broken])).unwrap();
    };
    produce("first", 1_700_000_000_000);
    produce("second", 1_600_000_000_000);
    let installation = kafka.installation(&topic);
    installation.run_to_end();
    installation.assert_clean();

    let all = "SELECT kafka_partition AS at, kafka_offset, kafka_timestamp, name FROM opportunities
               UNION ALL SELECT kafka_partition, kafka_offset, kafka_timestamp, 'no event' FROM unidentified_messages
               ORDER BY at, kafka_offset";
    let database = installation.database();
    let mut statement = database.prepare(all).unwrap();
    let stored = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    let stored: Vec<(i64, i64, i64, String)> = stored.map(Result::unwrap).collect();
    assert_eq!(stored.iter().filter(|(.., name)| name == "second").count(), 10, "{stored:?}");
    assert_eq!(stored.len(), 12, "{stored:?}");
    let timestamps = timestamps_by_console_consumer(kafka.cluster, &topic, 22);
    for (partition, offset, timestamp_ms, _) in stored {
        assert_eq!(timestamps.get(&(partition, offset)), Some(&timestamp_ms), "{topic}-{partition}@{offset}");
    }
}

/// The broker's timestamp of each record, by partition and offset, from Kafka's consumer.
fn timestamps_by_console_consumer(cluster: &Cluster, topic: &str, records: usize) -> BTreeMap<(i64, i64), i64> {
    const CLASS: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let count = records.to_string();
    let mut arguments = vec!["--topic", topic, "--from-beginning", "--timeout-ms", "60000", "--max-messages", &count];
    for shown in ["print.timestamp=true", "print.partition=true", "print.offset=true"] {
        arguments.extend(["--formatter-property", shown]);
    }
    let printed = cluster.tool(CLASS, &arguments, b"").unwrap();
    let field = |line: &str, name: &str| {
        line.split('\t').find_map(|field| field.strip_prefix(name)?.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    };
    let line = |line: &str| ((field(line, "Partition:"), field(line, "Offset:")), field(line, "LogAppendTime:"));
    let timestamps: BTreeMap<_, _> = printed.lines().filter(|line| line.contains("LogAppendTime:")).map(line).collect();
    assert_eq!(timestamps.len(), records, "{printed}");
    timestamps
}
