//! An unclean election, forced for real: the log that was read from is gone, and its successor has grown past the position again
//! with other records, so that no offset tells. The service stops and says what was replaced, or goes on where the
//! logs part, as `FAIL_ON_DATA_LOSS` wants it; an operator's reset accepts the loss.

use testkit::{Cluster, ProduceOptions, Record};

use crate::support::child::Service;
use crate::support::scene::{Change, Scene, assert_last_line_has};

/// Leads the partition of each topic, until it is killed.
const LEADER: u16 = 1;
/// The only other replica.
const FOLLOWER: u16 = 2;

const HOW_TO_ACCEPT: [&str; 3] = ["data loss", "--reset-offsets", "FAIL_ON_DATA_LOSS=false"];
/// Both replicas have the offsets before it, the leader alone those up to `END`.
const DIVERGENCE: i64 = 10;
const END: i64 = 20;
/// How many records the follower takes once it leads: more than were lost.
const OTHERS: i64 = 15;

/// Three nodes: one is left for the cluster while the replicas go and come.
fn cluster(version: &str) -> &'static Cluster {
    let cluster = Cluster::builder(version)
        .nodes(3)
        .property("broker.session.timeout.ms", "3000")
        .property("broker.heartbeat.interval.ms", "500")
        .start()
        .unwrap();
    Box::leak(Box::new(cluster))
}

fn scene(cluster: &'static Cluster, name: &str) -> Scene {
    let scene = Scene::on_cluster(cluster, name);
    let settings = [("min.insync.replicas", "1"), ("unclean.leader.election.enable", "true")];
    scene.kafka.create_topic_on(&scene.topic, &[LEADER, FOLLOWER], &settings).unwrap();
    scene
}

fn produce(scene: &Scene, acks: &str, numbers: std::ops::Range<i64>) {
    // A producer that counts its records would take the loss for an error of its own.
    let options = ProduceOptions::default().config("enable.idempotence", "false").config("acks", acks);
    let event =
        |number| Record::value(format!(r#"{{"event_id":"opp_0_{number}","name":"number {number}","stage":"won"}}"#));
    scene.kafka.produce(&scene.topic, &options, numbers.map(event)).unwrap();
}

/// The numbers of the events that both replicas had, of those that were lost, and of those that came instead.
const fn others(from: i64) -> std::ops::Range<i64> {
    1000 + from..1000 + OTHERS
}

/// Fills the topics such that the follower lacks the last records.
fn leave_the_follower_behind(cluster: &Cluster, scenes: &[&Scene]) {
    for scene in scenes {
        produce(scene, "all", 0..DIVERGENCE);
    }
    cluster.node(FOLLOWER).unwrap().stop().unwrap();
    for scene in scenes {
        produce(scene, "1", DIVERGENCE..END);
    }
}

/// The leader dies, the follower takes its place and other records, the leader comes back and follows.
fn elect_the_follower(cluster: &Cluster, scenes: &[&Scene]) {
    cluster.node(LEADER).unwrap().kill().unwrap();
    cluster.node(FOLLOWER).unwrap().start().unwrap();
    for scene in scenes {
        produce(scene, "1", others(0));
        assert_eq!(scene.kafka.end_offsets(&scene.topic).unwrap(), [DIVERGENCE + OTHERS], "the log was truncated");
    }
    cluster.node(LEADER).unwrap().start().unwrap();
}

fn read_to_the_end(scene: &Scene) -> Service<'_> {
    let service = scene.place.start(&["run"]);
    scene.place.wait_for("all events", |place| place.stored() == END);
    service
}

/// What is not said of the leader's epochs, which are the cluster's affair.
fn says_what_was_replaced(scene: &Scene, said: &str) {
    assert_last_line_has(said, &HOW_TO_ACCEPT);
    let at = format!("{}-0", scene.topic);
    assert_last_line_has(said, &[&at, "from offset 10 on", "offsets 10 to 19 were read", "stays in the database"]);
}

fn numbers(scene: &Scene) -> Vec<i64> {
    let query = "SELECT CAST(substr(event_id, 7) AS INTEGER) FROM opportunities ORDER BY 1";
    scene.rows(query, |row| row.get(0))
}

/// The jump is on record, and everything after it has been read, beside what was read of the log before.
fn went_on_at_the_divergence(scene: &Scene) {
    let jump: Change = (0, Some(END), DIVERGENCE, "log_truncated".to_owned());
    assert_eq!(scene.changes_after(1), [jump]);
    assert_eq!(numbers(scene), (0..END).chain(others(0)).collect::<Vec<_>>());
    assert_eq!((scene.first_offsets(), scene.number("applied")), (vec![DIVERGENCE], OTHERS));
    scene.assert_at_end();
    scene.run_to_end(); // Once is enough.
    assert_eq!(scene.changes().len(), 2);
}

fn check(cluster: &'static Cluster) {
    let mut stopped = scene(cluster, "stopped");
    let accepted = scene(cluster, "accepted");
    let running = scene(cluster, "running");
    let frozen = scene(cluster, "frozen");
    let mut going_on = scene(cluster, "going-on");
    going_on.place.set("FAIL_ON_DATA_LOSS", "false");
    let all = [&stopped, &accepted, &running, &frozen, &going_on];
    leave_the_follower_behind(cluster, &all);
    stopped.run_to_end();
    accepted.run_to_end();
    let mut services = [&running, &frozen, &going_on].map(read_to_the_end);
    // These see nothing of what happens.
    services[1].signal("STOP");
    services[2].signal("STOP");
    elect_the_follower(cluster, &all);
    services[1].signal("CONT");
    services[2].signal("CONT");

    for (service, scene) in services.iter_mut().zip([&running, &frozen]) {
        service.ends_with(1);
        says_what_was_replaced(scene, &scene.place.stderr());
        assert_eq!((scene.next_offsets(), scene.changes().len()), (vec![END], 1), "nothing was read or moved");
    }
    going_on.place.wait_warning(0, &["from offset 10 on", "offsets 10 to 19 were read"]);
    going_on.place.wait_for("the other events", |place| place.stored() == DIVERGENCE + OTHERS);
    Scene::stop(&mut services[2]);
    drop(services);
    went_on_at_the_divergence(&going_on);

    let said = stopped.is_refused(&HOW_TO_ACCEPT);
    says_what_was_replaced(&stopped, &said);
    stopped.place.set("FAIL_ON_DATA_LOSS", "false");
    stopped.run_to_end();
    went_on_at_the_divergence(&stopped);

    accepted.is_refused(&HOW_TO_ACCEPT);
    // To the very offset that is stored: what was read before it is given up nevertheless.
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
