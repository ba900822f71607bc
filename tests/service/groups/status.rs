//! `status` and `check` of each instance of a group: partitions that other members read.

use serde_json::{Value, json};
use testkit::{NEWEST, OLDEST};

use super::team::{Protocol, Team, partitions_of, stop};
use crate::support::child::{PATIENCE, Place};

fn status(place: &Place) -> Value {
    let answer = place.ask(&["status", "--json"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

#[test]
fn a_partition_of_another_member_has_the_lag_of_the_group() {
    for (version, protocol) in [(OLDEST, Protocol::Classic), (NEWEST, Protocol::Classic), (NEWEST, Protocol::Consumer)]
    {
        let cluster = testkit::shared(version).unwrap();
        // One more member than partitions: a standby has no lag of its own.
        let team = Team::new(cluster, protocol, 3, 4);
        let mut services = team.start_all();
        team.wait_divided(4);
        let produced = team.produce(10);
        team.wait_read_once(&produced, PATIENCE, &[]);
        team.wait_for("the commits", PATIENCE, || {
            let committed = team.kafka.committed_offsets(&team.group()).unwrap();
            (0..3).all(|partition| committed.get(&(team.topic.clone(), partition)).is_some_and(|at| at.offset == 10))
        });
        let group = team.described().unwrap();
        for (instance, place) in team.places.iter().enumerate() {
            let report = status(place);
            assert_eq!(
                (&report["kafka"]["members"], &report["kafka"]["state"]),
                (&json!(4), &json!("Stable")),
                "{report}"
            );
            let ours = partitions_of(&group, instance);
            for row in report["partitions"].as_array().unwrap() {
                let partition = i32::try_from(row["partition"].as_i64().unwrap()).unwrap();
                assert_eq!((&row["lag_records"], &row["lag_seconds"]), (&json!(0), &json!(0.0)), "{row}");
                assert_eq!(row["read_by"]["is_this_instance"], ours.contains(&partition), "{row}");
                assert!(row["read_by"]["client_id"].as_str().is_some_and(|id| !id.is_empty()), "{row}");
                assert_eq!(row["next_start"], Value::Null, "{row}");
            }
            assert_eq!(place.ask(&["status", "--max-lag-seconds", "60"]).code, Some(0));
            assert_eq!(place.ask(&["check"]).code, Some(0));
        }
        services.iter_mut().for_each(stop);
        // Nobody reads any more: each database would go on where the group is.
        for place in &team.places {
            let rows = status(place)["partitions"].clone();
            assert!(rows.as_array().unwrap().iter().all(|row| row["lag_records"] == 0), "{rows}");
        }
    }
}
