//! The consumer with three brokers: leaders that move, brokers that are killed, paused and restarted, replicas in the
//! same rack. The tests share one cluster, so they run one after the other.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::support::{Reader, addresses, wait_for};
use kafka::{Builder, Client, ConnectionSettings, Consumer, IsolationLevel, RetryPolicy, TopicPartition};
use testkit::{Cluster, ProduceOptions, unique};

const PARTITIONS: i32 = 3;

/// The cluster, all nodes up, for one test at a time.
fn cluster() -> (MutexGuard<'static, ()>, &'static Cluster) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = CLUSTER.get_or_init(|| {
        Cluster::builder(testkit::NEWEST)
            .nodes(3)
            .property("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector")
            // The controller fences a killed broker soon.
            .property("broker.session.timeout.ms", "3000")
            .property("broker.heartbeat.interval.ms", "500")
            .start()
            .unwrap()
    });
    for node in cluster.nodes() {
        // A failed test may have left it paused.
        let _ = node.resume();
        node.start().unwrap();
    }
    (turn, cluster)
}

fn builder(cluster: &Cluster, topic: &str) -> Builder {
    Consumer::from_hosts(addresses(&cluster.bootstrap_servers()))
        .with_topic(topic)
        .with_group(topic)
        .with_request_timeout(Duration::from_secs(6))
        .with_retry_policy(RetryPolicy { max: Duration::from_secs(1), ..RetryPolicy::default() })
}

/// Produces each number to each partition.
fn produce(cluster: &Cluster, topic: &str, numbers: Range<i32>) {
    let each = |n: i32| (0..PARTITIONS).map(move |partition| record(n).partition(partition));
    cluster.client().unwrap().produce(topic, &ProduceOptions::default(), numbers.flat_map(each)).unwrap();
}

fn record(n: i32) -> testkit::Record {
    testkit::Record::value(n.to_string())
}

/// Reads each number up to `end` from each partition, once and in order, and commits.
fn read_and_commit(reader: &mut Reader, topic: &str, end: i32) {
    let expected: Vec<String> = (0..end).map(|n| n.to_string()).collect();
    for partition in 0..PARTITIONS {
        let at = TopicPartition::new(topic, partition);
        reader.until_position(&at, end.into());
        assert_eq!(reader.values(&at), expected, "{at}");
    }
    reader.commit_later();
    // The coordinator may be the broker that is down.
    wait_for("commits", || match reader.consumer.flush(Duration::from_secs(10)) {
        Ok(committed) => committed.then_some(()),
        Err(error) => {
            assert!(error.is_retriable(), "{error}");
            None
        }
    });
}

fn leader(cluster: &Cluster, topic: &str, partition: usize) -> u16 {
    wait_for("a leader", || cluster.client().unwrap().leaders(topic).unwrap()[partition])
}

#[test]
fn brokers_are_killed_and_paused_and_no_record_is_lost_or_repeated() {
    let (_turn, cluster) = cluster();
    let topic = unique("survivor");
    cluster.client().unwrap().create_topic(&topic, 3, &[("min.insync.replicas", "2")]).unwrap();
    // A request to the leaders: metadata names them a moment before they exist.
    cluster.client().unwrap().end_offsets(&topic).unwrap();
    let mut reader = Reader::new(builder(cluster, &topic));
    produce(cluster, &topic, 0..10);
    read_and_commit(&mut reader, &topic, 10);

    // Kills the leader of one partition, then the coordinator of the group.
    let leads = leader(cluster, &topic, 0);
    cluster.node(leads).unwrap().kill().unwrap();
    produce(cluster, &topic, 10..20);
    read_and_commit(&mut reader, &topic, 20);
    cluster.node(leads).unwrap().start().unwrap();
    produce(cluster, &topic, 20..30);
    read_and_commit(&mut reader, &topic, 30);

    let coordinates = coordinator(cluster, &topic);
    cluster.node(coordinates).unwrap().kill().unwrap();
    produce(cluster, &topic, 30..40);
    read_and_commit(&mut reader, &topic, 40);
    cluster.node(coordinates).unwrap().start().unwrap();

    // Pauses a leader until other brokers lead its partitions, then resumes it.
    let leads = leader(cluster, &topic, 1);
    cluster.node(leads).unwrap().pause().unwrap();
    produce(cluster, &topic, 40..50);
    read_and_commit(&mut reader, &topic, 50);
    cluster.node(leads).unwrap().resume().unwrap();
    produce(cluster, &topic, 50..60);
    read_and_commit(&mut reader, &topic, 60);

    assert!(reader.lost.is_empty() && reader.out_of_range.is_empty());
    assert_eq!(reader.assigned.len(), 3);
    // The paused node may take itself for the coordinator for a moment and return old offsets.
    wait_for("the last commits", || {
        let committed = cluster.client().unwrap().committed_offsets(&topic).unwrap();
        committed.values().all(|committed| committed.offset == 60).then_some(())
    });
    assert!(reader.retried.len() < 100, "{} warnings", reader.retried.len());
}

/// The coordinator of a group: the leader of the partition that the hash of its name chooses.
fn coordinator(cluster: &Cluster, group: &str) -> u16 {
    let hash = group.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let partitions = cluster.client().unwrap().leaders("__consumer_offsets").unwrap().len();
    leader(cluster, "__consumer_offsets", usize::try_from(hash & i32::MAX).unwrap() % partitions)
}

#[test]
fn a_partition_without_leader_is_waited_for() {
    let (_turn, cluster) = cluster();
    let topic = unique("alone");
    let at = TopicPartition::new(topic.as_str(), 0);
    let only = 2;
    let create = ["--create", "--topic", &topic, "--replica-assignment", "2", "--config", "min.insync.replicas=1"];
    cluster.tool("org.apache.kafka.tools.TopicCommand", &create, b"").unwrap();
    let mut reader = Reader::new(builder(cluster, &topic));
    cluster.client().unwrap().produce(&topic, &ProduceOptions::default(), [record(0)]).unwrap();
    reader.until_position(&at, 1);
    cluster.node(only).unwrap().kill().unwrap();
    wait_for("the loss of its leader", || {
        cluster.client().unwrap().leaders(&topic).unwrap()[0].is_none().then_some(())
    });
    reader.retried.clear();
    reader.until("an error about the missing leader", |reader| {
        reader.retried.iter().any(|retrying| retrying.error.to_string().contains("has no leader"))
    });
    let addresses = addresses(&cluster.bootstrap_servers());
    let mut client = Client::new(addresses, ConnectionSettings::default());
    let offsets = client.log_offsets(std::slice::from_ref(&at), IsolationLevel::ReadCommitted).unwrap();
    assert!(matches!(offsets.as_slice(), [(_, Err(error))] if error.is_retriable()));
    cluster.node(only).unwrap().start().unwrap();
    cluster.client().unwrap().produce(&topic, &ProduceOptions::default(), [record(1)]).unwrap();
    reader.until_position(&at, 2);
    assert_eq!(reader.values(&at), ["0", "1"]);
}

#[test]
fn a_replica_in_the_same_rack_is_read_from_until_it_is_killed() {
    let (_turn, cluster) = cluster();
    let topic = unique("racks");
    let at = TopicPartition::new(topic.as_str(), 0);
    let kafka = cluster.client().unwrap();
    kafka.create_topic(&topic, 1, &[("min.insync.replicas", "1")]).unwrap();
    kafka.end_offsets(&topic).unwrap();
    let options = ProduceOptions::default().batch_bytes(1000).config("acks", "all");
    kafka.produce(&topic, &options, (0..500).map(record)).unwrap();
    let leads = leader(cluster, &topic, 0);
    let follows = leads % 3 + 1;
    let little = NonZeroU32::new(1000).unwrap();
    let rack = Some(format!("rack-{follows}"));
    let mut reader = Reader::new(builder(cluster, &topic).with_rack(rack).with_fetch_max_bytes(little)).records_max(10);
    reader.until("the first records", |reader| !reader.records.is_empty());
    // A paused leader cannot serve the remaining records.
    cluster.node(leads).unwrap().pause().unwrap();
    reader.until_position(&at, 500);
    cluster.node(leads).unwrap().resume().unwrap();
    let numbers: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    assert_eq!(reader.values(&at), numbers);

    cluster.node(follows).unwrap().kill().unwrap();
    kafka.produce(&topic, &options, [record(500)]).unwrap();
    reader.until_position(&at, 501);
    assert!(!reader.retried.is_empty(), "no retry after the replica was killed");
    assert!(reader.lost.is_empty() && reader.out_of_range.is_empty());
}
