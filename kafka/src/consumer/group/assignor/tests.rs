//! Assignments as text: members with their topics and owned partitions, and the partitions that each is assigned.

use testkit::Random;

use super::*;

fn partitions(text: &str) -> BTreeSet<TopicPartition> {
    text.split_whitespace()
        .map(|at| {
            let (topic, number) = at.split_at(1);
            TopicPartition::new(topic, number.parse().unwrap())
        })
        .collect()
}

/// `topics: owned partitions`.
fn member(id: &str, text: &str, generation: i32) -> GroupMember {
    let (topics, owned) = text.split_once(':').unwrap();
    let topics = topics.chars().map(|topic| Arc::from(topic.to_string())).collect();
    let subscription = Subscription { topics, owned: partitions(owned), generation: Some(generation) };
    GroupMember { id: id.to_owned(), instance_id: None, subscription }
}

fn topics(counts: &[(&str, i32)]) -> Topics {
    counts.iter().map(|(topic, count)| (Arc::from(*topic), (0..*count).collect())).collect()
}

fn members(texts: &[&str]) -> Vec<GroupMember> {
    texts.iter().zip('a'..).map(|(text, id)| member(&id.to_string(), text, 1)).collect()
}

fn check(assignor: Assignor, counts: &[(&str, i32)], texts: &[&str], expected: &[&str]) {
    let assignments = assignor.assign(&members(texts), &topics(counts));
    let expected: Vec<_> = expected.iter().map(|text| partitions(text)).collect();
    assert_eq!(assignments, expected, "{counts:?} {texts:?}");
}

#[test]
fn range_assigns_ranges_of_each_topic() {
    let check = |counts: &[_], texts: &[_], expected: &[_]| check(Assignor::Range, counts, texts, expected);
    check(&[("t", 3)], &["t:"], &["t0 t1 t2"]);
    check(&[("t", 5)], &["t:", "t:"], &["t0 t1 t2", "t3 t4"]);
    check(&[("t", 3), ("u", 3)], &["tu:", "tu:"], &["t0 t1 u0 u1", "t2 u2"]);
    check(&[("t", 2)], &["t:", "t:", "t:"], &["t0", "t1", ""]);
    check(&[("t", 2), ("u", 2)], &["u:", "tu:"], &["u0", "t0 t1 u1"]);
    check(&[("t", 2)], &["u:"], &[""]);
    check(&[], &["t:"], &[""]);
}

#[test]
fn static_members_are_ordered_by_instance_id() {
    let mut members = members(&["t:", "t:", "t:"]);
    members[2].instance_id = Some("m".to_owned());
    members[0].instance_id = Some("n".to_owned());
    let assignments = Assignor::Range.assign(&members, &topics(&[("t", 3)]));
    assert_eq!(assignments, [partitions("t1"), partitions("t2"), partitions("t0")]);
}

#[test]
fn sticky_balances_and_moves_nothing_else() {
    let check = |counts: &[_], texts: &[_], expected: &[_]| check(Assignor::CooperativeSticky, counts, texts, expected);
    check(&[("t", 3)], &["t:"], &["t0 t1 t2"]);
    check(&[("t", 4)], &["t:", "t:"], &["t0 t2", "t1 t3"]);
    // Balanced: nothing moves.
    check(&[("t", 4)], &["t:t3 t0", "t:t1 t2"], &["t0 t3", "t1 t2"]);
    check(&[("t", 3)], &["t:t1", "t:t0 t2"], &["t1", "t0 t2"]);
    // A new member gets nothing yet: other members still own its partitions.
    check(&[("t", 4)], &["t:t0 t1 t2 t3", "t:"], &["t0 t1", ""]);
    // Released meanwhile.
    check(&[("t", 4)], &["t:t0 t1", "t:"], &["t0 t1", "t2 t3"]);
    // A member has left: only its partitions move.
    check(&[("t", 6)], &["t:t0 t1", "t:t4 t5"], &["t0 t1 t2", "t3 t4 t5"]);
    // New partitions.
    check(&[("t", 4)], &["t:t0", "t:t1"], &["t0 t2", "t1 t3"]);
    // Over topics, and only to members that subscribe to them.
    check(&[("t", 1), ("u", 1)], &["tu:", "tu:"], &["t0", "u0"]);
    check(&[("t", 4), ("u", 2)], &["t:", "tu:"], &["t0 t2 t3", "t1 u0 u1"]);
    check(&[("t", 2), ("u", 4)], &["t:t0 t1", "u:u0 u1", "u:u2 u3"], &["t0 t1", "u0 u1", "u2 u3"]);
    // Partitions that no longer exist, or that the member no longer subscribes to.
    check(&[("t", 1)], &["t:t0 t1 x0", "t:"], &["t0", ""]);
    check(&[("t", 2)], &["u:t0 t1", "t:"], &["", "t0 t1"]);
    check(&[], &["t:t0"], &[""]);
}

#[test]
fn of_several_owners_the_latest_counts() {
    let assignments = |of_a, of_b| {
        let members = [member("a", "t:t0 t1", of_a), member("b", "t:t1", of_b)];
        Assignor::CooperativeSticky.assign(&members, &topics(&[("t", 2)]))
    };
    assert_eq!(assignments(1, 2), [partitions("t0"), partitions("t1")]);
    // Of two owners in one generation neither is certain: it is assigned to neither, so that both release it.
    assert_eq!(assignments(2, 2), [partitions("t0"), partitions("")]);
}

/// Whatever happens to a group, rebalances end soon: each partition has one owner, and the sizes differ by one at most.
#[test]
fn sticky_settles() {
    let mut random = Random::from_seed(7);
    let mut members: Vec<GroupMember> = Vec::new();
    for change in 0..300_u32 {
        match random.below(3_usize) {
            0 if members.len() > 1 => drop(members.remove(random.below(members.len()))),
            _ if members.len() < 7 => members.push(member(&change.to_string(), "tu:", -1)),
            _ => {}
        }
        let topics = topics(&[("t", random.below(9_i32)), ("u", 5)]);
        let total: usize = topics.values().map(BTreeSet::len).sum();
        let mut generation = 0;
        loop {
            generation += 1;
            let assignments = Assignor::CooperativeSticky.assign(&members, &topics);
            let mut moves = false;
            for (member, share) in members.iter_mut().zip(&assignments) {
                let owned = &mut member.subscription.owned;
                for other in &assignments {
                    assert!(std::ptr::eq(other, share) || other.is_disjoint(share), "two owners of {share:?}");
                }
                moves |= !owned.is_subset(share);
                *owned = share.clone();
                member.subscription.generation = Some(generation);
            }
            if !moves {
                let sizes: Vec<usize> = assignments.iter().map(BTreeSet::len).collect();
                assert_eq!(sizes.iter().sum::<usize>(), total, "{assignments:?}");
                assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
                break;
            }
            assert!(generation <= 3, "the group does not come to rest: {assignments:?}");
        }
    }
}
