//! Commits of a consumer that is not a member of its group, on single brokers of the oldest and the newest version.

use std::thread;

use kafka::{CommittedOffset, Error, ErrorCode};
use testkit::unique;

use crate::support::{CLAIM, Reader, numbers, on_each_version};

#[test]
fn committed_offsets_come_with_the_next_assignment() {
    on_each_version("commits", 2, &[], |setup| {
        for partition in 0..2 {
            setup.produce_numbers(partition, 0..5);
        }
        let mut reader = setup.reader();
        reader.until("all records", |reader| reader.positions.values().sum::<i64>() == 10);
        assert_eq!(reader.assigned.len(), 2);
        assert!(reader.assigned.iter().all(|assignment| assignment.committed.is_none()));
        let claimed = setup.kafka().committed_offsets(&setup.group).unwrap();
        assert_eq!(
            claimed.values().map(|committed| (committed.offset, &*committed.metadata)).collect::<Vec<_>>(),
            [(0, CLAIM); 2]
        );
        reader.commit();
        let committed = &setup.kafka().committed_offsets(&setup.group).unwrap()[&(setup.topic.clone(), 1)];
        assert_eq!((committed.offset, committed.leader_epoch, &*committed.metadata), (5, Some(0), CLAIM));
        let printed = setup.cluster.group_offsets(&setup.group).unwrap();
        assert!(printed.iter().all(|offset| offset.lag == Some(0)), "{printed:?}");
        drop(reader);
        let expected = CommittedOffset { offset: 5, leader_epoch: Some(0), metadata: CLAIM.to_owned() };
        let committed = setup.client().committed(&setup.group, &[setup.at(0), setup.at(1)]).unwrap();
        assert_eq!(committed[&setup.at(1)], expected);

        setup.produce_numbers(0, 5..6);
        let mut next =
            setup.reader().choose(|assignment| assignment.committed.as_ref().map(|committed| committed.offset));
        next.until_position(&setup.at(0), 6);
        assert_eq!(next.values(&setup.at(0)), ["5"]);
        let assignment = next.assigned.iter().find(|assignment| assignment.partition == setup.at(0)).unwrap();
        assert_eq!(assignment.committed, Some(expected));
        assert_eq!((assignment.log_start_offset, assignment.end_offset), (0, 6));
        assert!(!assignment.cluster_id.is_empty());
        assert!(setup.client().committed(&unique("no group"), &[setup.at(0)]).unwrap().is_empty());
    });
}

#[test]
fn offsets_that_another_program_sets_are_never_overwritten() {
    on_each_version("foreign", 2, &[], |setup| {
        let (meddled, other) = (setup.at(0), setup.at(1));
        let committed = || setup.kafka().committed_offsets(&setup.group).unwrap()[&(setup.topic.clone(), 0)].clone();
        for partition in 0..2 {
            setup.produce_numbers(partition, 0..5);
        }
        // An offset from before the start may be replaced.
        setup.kafka().commit_offset(&setup.group, &setup.topic, 0, 1, "an earlier program").unwrap();
        let mut reader = setup.reader().choose(|assignment| {
            let committed = assignment.committed.as_ref();
            Some(committed.map_or(assignment.log_start_offset, |committed| committed.offset))
        });
        reader.until("all records", |reader| reader.positions.values().sum::<i64>() == 10);
        assert_eq!((committed().offset, &*committed().metadata), (1, CLAIM), "claimed at the committed offset");
        reader.commit();

        // As `kafka-consumer-groups --reset-offsets` does it.
        setup.kafka().commit_offset(&setup.group, &setup.topic, 0, 2, "").unwrap();
        assert!(reader.lost.is_empty());
        reader.commit_later();
        reader.until("the loss", |reader| !reader.lost.is_empty());
        assert_eq!(reader.lost, std::slice::from_ref(&meddled));
        assert_eq!((committed().offset, &*committed().metadata), (2, ""), "not overwritten before the user has chosen");
        reader.until_position(&meddled, 5);
        let assignment = reader.assigned.last().unwrap();
        let expected = CommittedOffset { offset: 2, leader_epoch: None, metadata: String::new() };
        assert_eq!((&assignment.partition, &assignment.committed), (&meddled, &Some(expected)));
        assert_eq!(reader.values(&meddled)[4..], numbers(2..5));
        assert_eq!(reader.values(&other), numbers(0..5), "the other partition is read on");
        assert_eq!((committed().offset, &*committed().metadata), (2, CLAIM));

        // Between the assignment and the claim.
        let mut slow = Reader::new(setup.builder()).choose(|_| None);
        slow.until("assignments", |reader| reader.assigned.len() == 2);
        setup.kafka().commit_offset(&setup.group, &setup.topic, 0, 3, "another program").unwrap();
        slow.start(&meddled, 0);
        slow.until("the loss", |reader| reader.lost == [meddled.clone()]);
        slow.until("another assignment", |reader| reader.assigned.len() == 3);
        assert_eq!(slow.assigned[2].committed.as_ref().unwrap().metadata, "another program");
        assert_eq!((committed().offset, &*committed().metadata), (3, "another program"));
        assert!(slow.records.is_empty());
    });
}

#[test]
fn a_group_with_members_refuses_commits_of_non_members() {
    on_each_version("members", 1, &[], |setup| {
        // The new protocol where it is the standard.
        let protocol = if setup.cluster.version() == testkit::NEWEST { "consumer" } else { "classic" };
        let member = thread::spawn({
            let (cluster, topic, group) = (setup.cluster, setup.topic.clone(), setup.group.clone());
            let (protocol, commit) = (format!("group.protocol={protocol}"), "enable.auto.commit=false");
            move || {
                let mut arguments = vec!["--topic", &topic, "--group", &group, "--max-messages", "1"];
                arguments.extend(["--consumer-property", &protocol, "--consumer-property", commit]);
                cluster.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments, b"")
            }
        });
        let mut reader = setup.reader();
        let error = reader.until_error(Reader::commit_later);
        assert!(
            matches!(&error, Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID, request: "OffsetCommit", .. }),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains(&format!("another program is a member of group '{}'", setup.group)), "{text}");
        // The member ends after one record.
        setup.produce_numbers(0, 0..1);
        member.join().unwrap().unwrap();
    });
}
