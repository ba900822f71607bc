//! Members of groups on real brokers: partitions are assigned to all of them, move without a gap or a repetition, and are kept over a
//! crash.
//! Each test runs for the classic protocol on both versions and for the consumer protocol on the newest.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Reader, addresses};
use kafka::{Assignment, Builder, Consumer, Error, ErrorCode, GroupProtocol, TopicPartition};
use testkit::{Cluster, NEWEST, OLDEST, ProduceOptions, unique};

const PARTITIONS: i32 = 4;
/// Long: if a test waits for less, no session has timed out.
const SESSION_TIMEOUT: Duration = Duration::from_mins(2);
/// Far longer than a test takes, and far shorter than the session timeout (45 s where the broker decides).
const SOON: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Classic,
    Consumer,
}

struct Setup {
    cluster: &'static Cluster,
    protocol: Protocol,
    topic: String,
    produced: std::cell::Cell<i32>,
}

fn on_each_protocol(test: impl Fn(&Setup) + Sync) {
    thread::scope(|scope| {
        for (version, protocol) in
            [(OLDEST, Protocol::Classic), (NEWEST, Protocol::Classic), (NEWEST, Protocol::Consumer)]
        {
            let test = &test;
            scope.spawn(move || {
                let cluster = testkit::shared(version).unwrap();
                let topic = unique("shared");
                cluster.client().unwrap().create_topic(&topic, 4, &[]).unwrap();
                test(&Setup { cluster, protocol, topic, produced: 0.into() });
            });
        }
    });
}

#[expect(clippy::unnecessary_wraps, reason = "what a reader takes")]
fn committed_or_start(assignment: &Assignment) -> Option<i64> {
    Some(assignment.committed.as_ref().map_or(assignment.log_start_offset, |committed| committed.offset))
}

impl Setup {
    fn builder(&self, name: &str) -> Builder {
        let group_protocol = match self.protocol {
            Protocol::Classic => {
                GroupProtocol::Classic { instance_id: name.to_owned(), session_timeout: SESSION_TIMEOUT / 4 }
            }
            Protocol::Consumer => GroupProtocol::Consumer { member_id: name.to_owned(), instance_id: None },
        };
        Consumer::from_hosts(addresses(&self.cluster.bootstrap_servers()))
            .with_topic(self.topic.as_str())
            .with_group(self.topic.as_str())
            .with_group_protocol(group_protocol)
            .with_metadata_max_age(Duration::from_millis(200))
    }

    fn member(&self, name: &str) -> Reader {
        Reader::new(self.builder(name)).choose(committed_or_start)
    }

    /// Each partition gets the next numbers.
    fn produce(&self, count: i32) {
        let begin = self.produced.get();
        self.produced.set(begin + count);
        let records = (begin..begin + count).flat_map(|number| {
            (0..PARTITIONS).map(move |partition| testkit::Record::value(number.to_string()).partition(partition))
        });
        self.cluster.client().unwrap().produce(&self.topic, &ProduceOptions::default(), records).unwrap();
    }

    /// Polls all of them until `done`.
    fn until(&self, what: &str, members: &mut [&mut Reader], done: impl Fn(&[&mut Reader]) -> bool) {
        let deadline = Instant::now() + SOON;
        while !done(members) {
            let shares: Vec<_> = members.iter().map(|member| member.positions.clone()).collect();
            assert!(Instant::now() < deadline, "{:?}: {what} did not come: {shares:?}", self.protocol);
            for member in members.iter_mut() {
                member.poll().unwrap();
            }
        }
    }

    /// Polls all of them until each has partitions, and has read them to their ends.
    fn until_shared(&self, members: &mut [&mut Reader]) {
        let end = i64::from(self.produced.get());
        self.until("equal shares", members, |members| {
            let shares: Vec<_> = members.iter().map(|member| member.positions.len()).collect();
            let total: usize = shares.iter().sum();
            total == 4
                && shares.iter().all(|share| *share == 4 / members.len())
                && members.iter().all(|member| member.positions.values().all(|position| *position == end))
        });
    }

    /// Each number of each partition was read by one of them, once.
    fn assert_read_once(&self, members: &[&Reader]) {
        for partition in 0..PARTITIONS {
            let at = TopicPartition::new(self.topic.as_str(), partition);
            let mut numbers: Vec<i32> =
                members.iter().flat_map(|member| member.values(&at)).map(|number| number.parse().unwrap()).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..self.produced.get()).collect::<Vec<_>>(), "{:?} {at}", self.protocol);
        }
    }
}

fn share(member: &Reader) -> BTreeSet<TopicPartition> {
    member.positions.keys().cloned().collect()
}

#[test]
fn another_member_reads_on_from_the_committed_offset() {
    on_each_protocol(|setup| {
        let mut first = setup.member("first");
        setup.produce(10);
        setup.until_shared(&mut [&mut first]);
        let mut second = setup.member("second");
        setup.produce(10);
        setup.until_shared(&mut [&mut first, &mut second]);
        assert!(first.lost.is_empty() && first.revoked.len() == 2, "{:?}", first.revoked);
        setup.produce(10);
        setup.until_shared(&mut [&mut first, &mut second]);

        // The group does not wait for a member that leaves.
        first.commit();
        assert!(first.consumer.leave(SOON).unwrap());
        setup.produce(10);
        setup.until_shared(&mut [&mut second]);
        setup.assert_read_once(&[&first, &second]);
        assert!(second.lost.is_empty() && second.revoked.is_empty());
        second.commit();
        let offsets = setup.cluster.group_offsets(&setup.topic).unwrap();
        assert!(offsets.len() == 4 && offsets.iter().all(|offset| offset.lag == Some(0)), "{offsets:?}");
    });
}

#[test]
fn a_member_keeps_its_partitions_over_a_crash_without_a_rebalance() {
    on_each_protocol(|setup| {
        let (mut first, mut second) = (setup.member("first"), setup.member("second"));
        setup.produce(10);
        setup.until_shared(&mut [&mut first, &mut second]);
        first.commit();
        let (had, revoked_before) = (share(&first), second.revoked.len());
        drop(first);
        let mut again = setup.member("first");
        setup.produce(10);
        setup.until_shared(&mut [&mut again, &mut second]);
        assert_eq!(share(&again), had, "{:?}", setup.protocol);
        assert!(again.revoked.is_empty() && again.lost.is_empty());
        assert!(second.revoked.len() == revoked_before && second.lost.is_empty(), "{:?}", setup.protocol);
    });
}

/// The rebalance timeout is a minute; until then the group waits for a member to acknowledge.
#[test]
fn the_group_waits_for_a_member_whose_user_is_busy() {
    on_each_protocol(|setup| {
        let mut first = setup.member("first");
        setup.produce(10);
        setup.until_shared(&mut [&mut first]);
        let mut second = setup.member("second");
        // The first one does not poll: it stores records.
        let waits = Instant::now();
        while waits.elapsed() < Duration::from_secs(4) {
            second.poll().unwrap();
        }
        assert!(share(&second).is_empty(), "{:?}", share(&second));
        setup.until_shared(&mut [&mut first, &mut second]);
        assert!(first.lost.is_empty(), "{:?}", first.lost);
        setup.assert_read_once(&[&first, &second]);
    });
}

#[test]
fn a_member_that_waits_for_others_to_join_can_leave() {
    on_each_protocol(|setup| {
        let mut first = setup.member("first");
        setup.until("partitions", &mut [&mut first], |members| share(members[0]).len() == 4);
        let mut second = setup.member("second");
        second.poll().unwrap();
        assert!(second.consumer.leave(SOON).unwrap(), "{:?}", setup.protocol);
        setup.produce(10);
        setup.until_shared(&mut [&mut first]);
    });
}

#[test]
fn of_two_members_with_one_instance_id_the_older_is_fenced() {
    on_each_protocol(|setup| {
        if setup.protocol == Protocol::Consumer {
            return;
        }
        let mut older = setup.member("same");
        setup.until("partitions", &mut [&mut older], |members| share(members[0]).len() == 4);
        let mut newer = setup.member("same");
        let error = loop {
            newer.poll().unwrap();
            if let Err(error) = older.poll() {
                break error;
            }
        };
        assert!(matches!(error, Error::Broker { code: ErrorCode::FENCED_INSTANCE_ID, .. }), "{error}");
        assert!(older.consumer.leave(SOON).unwrap(), "there is nothing that it could leave");
        setup.produce(10);
        setup.until_shared(&mut [&mut newer]);
    });
}

#[test]
fn new_partitions_and_topics_are_assigned() {
    on_each_protocol(|setup| {
        let later = unique("later");
        let member = |name| Reader::new(setup.builder(name).with_topic(later.as_str())).choose(committed_or_start);
        let (mut first, mut second) = (member("first"), member("second"));
        let total = |members: &[&mut Reader]| members.iter().map(|member| share(member).len()).collect::<Vec<_>>();
        setup.until("equal shares", &mut [&mut first, &mut second], |members| total(members) == [2, 2]);
        let kafka = setup.cluster.client().unwrap();
        kafka.create_topic(&later, 2, &[]).unwrap();
        setup.until("a new topic", &mut [&mut first, &mut second], |members| total(members) == [3, 3]);
        kafka.add_partitions(&setup.topic, 6).unwrap();
        setup.until("new partitions", &mut [&mut first, &mut second], |members| total(members) == [4, 4]);
    });
}

#[test]
fn a_member_that_comes_back_gets_new_topics_and_partitions() {
    on_each_protocol(|setup| {
        let later = unique("later");
        let kafka = setup.cluster.client().unwrap();
        let (mut first, mut second) = (setup.member("first"), setup.member("second"));
        setup.until_shared(&mut [&mut first, &mut second]);
        // It subscribes to another topic than before, and no other member does.
        drop(second);
        kafka.create_topic(&later, 2, &[]).unwrap();
        let mut second = Reader::new(setup.builder("second").with_topic(later.as_str())).choose(committed_or_start);
        let of = |member: &Reader, topic: &str| share(member).iter().filter(|at| *at.topic == *topic).count();
        setup.until("the new topic", &mut [&mut first, &mut second], |members| of(members[1], &later) == 2);
        // While the leader is away.
        drop(first);
        kafka.add_partitions(&setup.topic, 6).unwrap();
        let mut first = setup.member("first");
        setup.until("the new partitions", &mut [&mut first, &mut second], |members| {
            members.iter().map(|member| of(member, &setup.topic)).sum::<usize>() == 6 && of(members[1], &later) == 2
        });
    });
}

/// With the same member id and instance id as before a crash it takes its place back; with another member id it waits until the instance
/// id is free.
#[test]
fn a_static_member_of_the_consumer_protocol_comes_back_from_a_crash_and_from_leave() {
    let cluster = testkit::shared(NEWEST).unwrap();
    let topic = unique("static");
    cluster.client().unwrap().create_topic(&topic, 4, &[]).unwrap();
    let setup = Setup { cluster, protocol: Protocol::Consumer, topic, produced: 0.into() };
    let named = |member_id: &str| {
        let protocol =
            GroupProtocol::Consumer { member_id: member_id.to_owned(), instance_id: Some("instance".to_owned()) };
        Reader::new(setup.builder("").with_group_protocol(protocol)).choose(committed_or_start)
    };
    let (mut first, mut second) = (named("first"), setup.member("second"));
    setup.produce(10);
    setup.until_shared(&mut [&mut first, &mut second]);
    first.commit();
    let (had, revoked_before) = (share(&first), second.revoked.len());
    drop(first);
    let mut again = named("first");
    setup.until_shared(&mut [&mut again, &mut second]);
    assert_eq!(share(&again), had);

    again.commit();
    assert!(again.consumer.leave(SOON).unwrap());
    setup.produce(10);
    let mut another = named("another");
    setup.until_shared(&mut [&mut another, &mut second]);
    assert_eq!(share(&another), had, "its place was kept");
    let mut late = named("late");
    late.until("a refusal of the name", |late| {
        late.retried.iter().any(|retrying| retrying.error.to_string().contains("UNRELEASED_INSTANCE_ID"))
    });
    assert_eq!(second.revoked.len(), revoked_before, "no rebalance");
}

#[test]
fn a_broker_without_the_consumer_protocol_says_so() {
    let cluster = testkit::shared(OLDEST).unwrap();
    let topic = unique("old");
    cluster.client().unwrap().create_topic(&topic, 1, &[]).unwrap();
    let setup = Setup { cluster, protocol: Protocol::Consumer, topic, produced: 0.into() };
    let error = setup.member("m").until_error(|_| {});
    assert!(
        matches!(
            error,
            Error::UnsupportedVersion { request: "ConsumerGroupHeartbeat", .. }
                | Error::Broker { request: "ConsumerGroupHeartbeat", code: ErrorCode::UNSUPPORTED_VERSION, .. }
        ),
        "{error}"
    );
}
