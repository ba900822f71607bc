//! An unclean leader election: the log was truncated and has grown past the position again with other records, so that the offsets do
//! not show the loss. With `FAIL_ON_DATA_LOSS` the service stops and says what was replaced; without it, it continues where the logs
//! diverge. A reset accepts the loss.

use testkit::{Cluster, ProduceOptions, Record};

use crate::support::process::Service;
use crate::support::topic_fixture::{Change, TopicFixture, assert_last_line_has};

/// The leader of each topic's partition, until it is killed.
const LEADER: u16 = 1;
/// The only other replica.
const FOLLOWER: u16 = 2;

const HOW_TO_ACCEPT: [&str; 3] = ["data loss", "--reset-offsets", "FAIL_ON_DATA_LOSS=false"];
/// Both replicas have the offsets before it; only the leader has those up to `END`.
const DIVERGENCE: i64 = 10;
const END: i64 = 20;
/// The number of records that the new leader accepts: more than were lost.
const OTHERS: i64 = 15;

/// Three nodes, one of which runs all the time.
fn cluster(version: &str) -> &'static Cluster {
    let cluster = Cluster::builder(version)
        .nodes(3)
        .property("broker.session.timeout.ms", "3000")
        .property("broker.heartbeat.interval.ms", "500")
        .start()
        .unwrap();
    Box::leak(Box::new(cluster))
}

fn fixture(cluster: &'static Cluster, name: &str) -> TopicFixture {
    let fixture = TopicFixture::on_cluster(cluster, name);
    let settings = [("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")];
    fixture.kafka.create_topic_on(&fixture.topic, &[LEADER, FOLLOWER], &settings).unwrap();
    fixture
}

fn produce(fixture: &TopicFixture, acks: &str, numbers: std::ops::Range<i64>) {
    // An idempotent producer would fail after the loss.
    let options = ProduceOptions::default().config("enable.idempotence", "false").config("acks", acks);
    let event =
        |number| Record::value(format!(r#"{{"event_id":"opp_0_{number}","name":"number {number}","stage":"won"}}"#));
    fixture.kafka.produce(&fixture.topic, &options, numbers.map(event)).unwrap();
}

/// The numbers of the events that both replicas had, of the lost ones, and of their replacements.
const fn others(from: i64) -> std::ops::Range<i64> {
    1000 + from..1000 + OTHERS
}

/// Produces records so that the follower lacks the last ones.
fn leave_the_follower_behind(cluster: &Cluster, scenes: &[&TopicFixture]) {
    for fixture in scenes {
        produce(fixture, "all", 0..DIVERGENCE);
    }
    cluster.node(FOLLOWER).unwrap().stop().unwrap();
    for fixture in scenes {
        produce(fixture, "1", DIVERGENCE..END);
    }
}

/// Kills the leader, so that the follower becomes leader and accepts other records, and starts the old leader again.
fn elect_the_follower(cluster: &Cluster, scenes: &[&TopicFixture]) {
    cluster.node(LEADER).unwrap().kill().unwrap();
    cluster.node(FOLLOWER).unwrap().start().unwrap();
    for fixture in scenes {
        produce(fixture, "1", others(0));
        assert_eq!(fixture.kafka.end_offsets(&fixture.topic).unwrap(), [DIVERGENCE + OTHERS], "the log was truncated");
    }
    cluster.node(LEADER).unwrap().start().unwrap();
}

fn read_to_the_end(fixture: &TopicFixture) -> Service<'_> {
    let service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("all events", |installation| installation.stored() == END);
    service
}

/// A message without leader epochs, which depend on the cluster.
fn says_what_was_replaced(fixture: &TopicFixture, said: &str) {
    assert_last_line_has(said, &HOW_TO_ACCEPT);
    let at = format!("{}-0", fixture.topic);
    assert_last_line_has(said, &[&at, "from offset 10 on", "offsets 10 to 19 were read", "stays in the database"]);
}

fn numbers(fixture: &TopicFixture) -> Vec<i64> {
    let query = "SELECT CAST(substr(event_id, 7) AS INTEGER) FROM opportunities ORDER BY 1";
    fixture.rows(query, |row| row.get(0))
}

/// Checks that the jump is recorded, and that all records after it are stored in addition to those of the truncated log.
fn went_on_at_the_divergence(fixture: &TopicFixture) {
    let jump: Change = (0, Some(END), DIVERGENCE, "log_truncated".to_owned());
    assert_eq!(fixture.changes_after(1), [jump]);
    assert_eq!(numbers(fixture), (0..END).chain(others(0)).collect::<Vec<_>>());
    assert_eq!((fixture.first_offsets(), fixture.number("applied")), (vec![DIVERGENCE], OTHERS));
    fixture.assert_at_end();
    fixture.run_to_end(); // The loss is logged once.
    assert_eq!(fixture.changes().len(), 2);
}

fn check(cluster: &'static Cluster) {
    let mut stopped = fixture(cluster, "stopped");
    let accepted = fixture(cluster, "accepted");
    let running = fixture(cluster, "running");
    let frozen = fixture(cluster, "frozen");
    let mut going_on = fixture(cluster, "going-on");
    going_on.installation.set("FAIL_ON_DATA_LOSS", "false");
    let all = [&stopped, &accepted, &running, &frozen, &going_on];
    leave_the_follower_behind(cluster, &all);
    stopped.run_to_end();
    accepted.run_to_end();
    let mut services = [&running, &frozen, &going_on].map(read_to_the_end);
    // These do not see the truncation.
    services[1].signal("STOP");
    services[2].signal("STOP");
    elect_the_follower(cluster, &all);
    services[1].signal("CONT");
    services[2].signal("CONT");

    for (service, fixture) in services.iter_mut().zip([&running, &frozen]) {
        service.ends_with(1);
        says_what_was_replaced(fixture, &fixture.installation.stderr());
        assert_eq!((fixture.next_offsets(), fixture.changes().len()), (vec![END], 1), "nothing was read or moved");
    }
    going_on.installation.wait_warning(0, &["from offset 10 on", "offsets 10 to 19 were read"]);
    going_on.installation.wait_for("the other events", |installation| installation.stored() == DIVERGENCE + OTHERS);
    TopicFixture::stop(&mut services[2]);
    drop(services);
    went_on_at_the_divergence(&going_on);

    let said = stopped.assert_refused(&HOW_TO_ACCEPT);
    says_what_was_replaced(&stopped, &said);
    stopped.installation.set("FAIL_ON_DATA_LOSS", "false");
    stopped.run_to_end();
    went_on_at_the_divergence(&stopped);

    accepted.assert_refused(&HOW_TO_ACCEPT);
    // A reset to the stored offset: it accepts the loss nevertheless.
    accepted.reset("", &["--to-offset", "20"]);
    accepted.run_to_end();
    assert_eq!(accepted.changes_after(1), [(0, Some(END), END, "group_reset".to_owned())]);
    assert_eq!(numbers(&accepted), (0..END).chain(others(END - DIVERGENCE)).collect::<Vec<_>>());
    accepted.run_to_end();
    assert_eq!(accepted.changes().len(), 2, "it is not refused again");
}

#[test]
fn a_log_that_was_truncated_and_has_grown_again_is_a_loss() {
    for version in testkit::VERSIONS {
        let cluster = cluster(version);
        check(cluster);
        // A static is not dropped.
        cluster.nodes().iter().for_each(|node| node.kill().unwrap());
    }
}
