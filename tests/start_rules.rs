//! Where a partition starts, rule by rule, on real brokers and with Kafka's own tools: a stored position is obeyed, an operator's
//! reset is obeyed, a loss is never passed over in silence, and every jump is on record.

// Helpers of tests may panic as tests may; clippy.toml's exception knows only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/child.rs"]
mod child;
#[path = "support/load.rs"]
mod load;
#[path = "support/scene.rs"]
mod scene;

use load::Load;
use scene::{Change, Scene};
use testkit::ProduceOptions;

fn change(partition: i32, from: impl Into<Option<i64>>, to: i64, reason: &str) -> Change {
    (partition, from.into(), to, reason.to_owned())
}

/// Every row that came of an event, and where it came from.
fn events(scene: &Scene) -> Vec<(String, i32, i64, String)> {
    let query = "SELECT event_id, kafka_partition, kafka_offset, created_at FROM opportunities
                 UNION ALL SELECT event_id, kafka_partition, kafka_offset, created_at FROM projects ORDER BY 1";
    scene.rows(query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
}

/// What an operator sees: Kafka's tool shows every partition of the group without lag.
fn assert_no_lag(scene: &Scene, partitions: usize) {
    let offsets = scene.cluster.group_offsets(&scene.group()).unwrap();
    assert_eq!(offsets.len(), partitions, "{offsets:?}");
    assert!(offsets.iter().all(|offset| offset.lag == Some(0) && offset.current == offset.end), "{offsets:?}");
}

/// A topic of 3 partitions with events and other things in it.
fn loaded(scene: &Scene) -> Load {
    let load = Load::of(900, 3, 200);
    scene.kafka.produce(&scene.topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    load
}

/// The topic has been replayed as a whole: the same rows from the same places, counters anew.
fn assert_replayed(scene: &Scene, load: &Load, before: &[(String, i32, i64, String)]) {
    scene.assert_at_end();
    load.assert_stored(&scene.place.database());
    assert_eq!(events(scene), before, "rows and where they come from");
    assert_eq!(scene.first_offsets(), [0, 0, 0], "counters anew");
    let expected: Vec<Change> = (0..3).map(|partition| change(partition, 300, 0, "group_reset")).collect();
    assert_eq!(scene.changes_after(3), expected);
    assert_no_lag(scene, 3);
}

#[test]
fn a_reset_while_stopped_replays_the_topic() {
    for version in testkit::VERSIONS {
        let scene = Scene::on(version, "reset-stopped", 3);
        let load = loaded(&scene);
        scene.run_to_end();
        assert_no_lag(&scene, 3);
        assert_eq!(scene.changes_after(0), [0, 1, 2].map(|partition| change(partition, None, 0, "first_start")));
        let before = events(&scene);
        scene.reset("", &["--to-earliest"]);
        scene.run_to_end();
        assert_replayed(&scene, &load, &before);
    }
}

#[test]
fn a_reset_while_running_replays_the_topic() {
    let scene = Scene::new("reset-running", 3);
    let load = loaded(&scene);
    let mut service = scene.place.start(&["run"]);
    scene.place.wait_for("the load", |place| place.stored() == 900);
    // What is still to be committed would make the service look at the group's offsets: here nothing is.
    scene.place.wait_for("the last commit", |_| {
        let committed = scene.kafka.committed_offsets(&scene.group()).unwrap();
        committed.values().map(|committed| committed.offset).sum::<i64>() == 900
    });
    let before = events(&scene);
    scene.reset("", &["--to-earliest"]);
    scene.place.wait_for("the replay", |place| scene.changes().len() == 6 && place.stored() == 900);
    Scene::stop(&mut service);
    assert_replayed(&scene, &load, &before);
}
