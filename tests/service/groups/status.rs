//! `status` and `check` of each instance of a group: partitions that other members read.

use serde_json::{Value, json};
use testkit::{NEWEST, OLDEST};

use super::group_fixture::{GroupFixture, Protocol, partitions_of, stop};
use crate::support::process::{Installation, WAIT_MAX};

fn status(installation: &Installation) -> Value {
    let answer = installation.ask(&["status", "--json"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

#[test]
fn a_partition_of_another_member_has_the_lag_of_the_group() {
    for (version, protocol) in [(OLDEST, Protocol::Classic), (NEWEST, Protocol::Classic), (NEWEST, Protocol::Consumer)]
    {
        let cluster = testkit::shared(version).unwrap();
        // One more member than partitions: a standby has no lag.
        let group_fixture = GroupFixture::new(cluster, protocol, 3, 4);
        let mut services = group_fixture.start_all();
        group_fixture.wait_assigned(4);
        let produced = group_fixture.produce(10);
        group_fixture.wait_read_once(&produced, WAIT_MAX, &[]);
        group_fixture.wait_for("the commits", WAIT_MAX, || {
            let committed = group_fixture.kafka.committed_offsets(&group_fixture.group()).unwrap();
            (0..3).all(|partition| {
                committed.get(&(group_fixture.topic.clone(), partition)).is_some_and(|at| at.offset == 10)
            })
        });
        let group = group_fixture.described().unwrap();
        for (instance, installation) in group_fixture.installations.iter().enumerate() {
            let report = status(installation);
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
            assert_eq!(installation.ask(&["status", "--max-lag-seconds", "60"]).code, Some(0));
            assert_eq!(installation.ask(&["check"]).code, Some(0));
        }
        services.iter_mut().for_each(stop);
        // Without members: each database would continue at the group's offset.
        for installation in &group_fixture.installations {
            let rows = status(installation)["partitions"].clone();
            assert!(rows.as_array().unwrap().iter().all(|row| row["lag_records"] == 0), "{rows}");
        }
    }
}
