//! Brokers that are stopped, killed, paused and started again, in clusters of one and three nodes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::{Cluster, NEWEST, Node, OLDEST, ProduceOptions, Record};

/// Returns the record's offset.
fn produce(cluster: &Cluster, topic: &str, value: &str) -> testkit::Result<i64> {
    let positions = cluster.client()?.produce(topic, &ProduceOptions::default(), [Record::value(value)])?;
    Ok(positions.iter().map(|position| position.offset).sum())
}

fn accepts(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Duration::from_secs(5)).is_ok()
}

#[test]
fn a_node_keeps_port_and_data_over_stop_and_kill() {
    let cluster = Cluster::start(OLDEST).unwrap();
    let node = cluster.node(1).unwrap();
    cluster.client().unwrap().create_topic("kept", 1, &[]).unwrap();
    assert_eq!(produce(&cluster, "kept", "a").unwrap(), 0);
    for (expected, end) in [(1, Node::stop as fn(&Node) -> testkit::Result<()>), (2, Node::kill)] {
        end(node).unwrap();
        assert!(!node.is_running().unwrap());
        assert!(!accepts(node.port()));
        node.start().unwrap();
        assert_eq!(produce(&cluster, "kept", "b").unwrap(), expected);
    }
    assert!(cluster.node(2).unwrap_err().to_string().contains("no node 2"));
}

#[test]
fn a_paused_node_responds_when_it_is_resumed() {
    let cluster = Cluster::start(NEWEST).unwrap();
    let node = cluster.node(1).unwrap();
    cluster.client().unwrap().create_topic("paused", 1, &[]).unwrap();
    let impatient = ["delivery.timeout.ms", "request.timeout.ms", "max.block.ms"]
        .into_iter()
        .fold(ProduceOptions::default().linger_ms(0), |options, name| options.config(name, "1000"));
    node.pause().unwrap();
    assert!(accepts(node.port()), "the kernel still answers for it");
    let refused = cluster.client().unwrap().produce("paused", &impatient, [Record::value("a")]);
    assert!(refused.unwrap_err().to_string().contains("Timeout"));
    node.resume().unwrap();
    produce(&cluster, "paused", "b").unwrap();
    node.pause().unwrap();
    node.kill().unwrap();
    assert!(!accepts(node.port()), "a paused broker can be killed");
    assert!(node.pause().is_err(), "there is nothing to pause");
}

#[test]
fn three_nodes_work_without_one() {
    let cluster = Cluster::builder(NEWEST).nodes(3).start().unwrap();
    assert_eq!(cluster.bootstrap_servers().split(',').count(), 3);
    let kafka = cluster.client().unwrap();
    kafka.create_topic("replicated", 3, &[("min.insync.replicas", "2")]).unwrap();
    for value in ["a", "b", "c"] {
        produce(&cluster, "replicated", value).unwrap();
    }
    let leader = kafka.leaders("replicated").unwrap()[0].unwrap();
    cluster.node(leader).unwrap().kill().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while kafka.leaders("replicated").unwrap().contains(&Some(leader)) {
        assert!(Instant::now() < deadline, "nobody took over from node {leader}");
    }
    let records = (0..3).map(|partition| Record::value("d").partition(partition));
    assert_eq!(kafka.produce("replicated", &ProduceOptions::default(), records).unwrap().len(), 3);
    cluster.node(leader).unwrap().start().unwrap();
    assert_eq!(kafka.end_offsets("replicated").unwrap().iter().sum::<i64>(), 6);
}

#[test]
fn a_cluster_leaves_its_logs_and_nothing_else() {
    let cluster = Cluster::builder(NEWEST).property("log.retention.ms", "12345").start().unwrap();
    let node = cluster.node(1).unwrap();
    let (data, log, port) = (node.data_dir().to_owned(), node.log_file(), node.port());
    assert!(data.join("meta.properties").is_file());
    drop(cluster);
    assert!(!data.exists() && !data.parent().unwrap().exists());
    assert!(!accepts(port));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("log.retention.ms = 12345"), "a property was not passed on");
}

/// The broker looks for old records continually: it deletes those of the topic with retention, and keeps those of the other one.
#[test]
fn records_stay_however_old_they_are() {
    let builder = Cluster::builder(NEWEST).property("log.initial.task.delay.ms", "0");
    let cluster = builder.property("log.retention.check.interval.ms", "50").start().unwrap();
    let kafka = cluster.client().unwrap();
    kafka.create_topic("kept", 1, &[]).unwrap();
    kafka.create_topic("forgotten", 1, &[("retention.ms", "1000")]).unwrap();
    let produce_old = |topic| kafka.produce(topic, &ProduceOptions::default(), [Record::value("a").timestamp_ms(1000)]);
    produce_old("kept").unwrap();
    // The second record is deleted in a later round than the first.
    for round in 1..=2 {
        produce_old("forgotten").unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while kafka.start_offsets("forgotten").unwrap() != [round] {
            assert!(Instant::now() < deadline, "nobody looks for old records");
        }
    }
    assert_eq!(kafka.start_offsets("kept").unwrap(), [0]);
}

#[test]
fn kept_data_is_used_again() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kept-data");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).unwrap();
    }
    let start = || Cluster::builder(NEWEST).data_dir(&directory).start().unwrap();
    for expected in 0..2 {
        assert_eq!(produce(&start(), "made-by-asking", "a").unwrap(), expected);
    }
}

#[test]
fn a_start_that_fails_shows_the_log() {
    let failed = Cluster::builder(NEWEST).property("log.segment.bytes", "few").start().unwrap_err().to_string();
    assert!(failed.starts_with("Kafka node 1 ended at its start"), "{failed}");
    assert!(failed.contains("few") && failed.contains(".log:\n"), "{failed}");
}

#[test]
fn invalid_configurations_are_refused() {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let check = |builder: testkit::Builder, expected: &str| {
        let refused = builder.start().unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    };
    check(Cluster::builder(NEWEST).port(port), &format!("port {port} is in use"));
    check(Cluster::builder(NEWEST).nodes(0), "at least one node");
    check(Cluster::builder("../4.3.1"), "not a version of Kafka");
}
