//! The transition table: each event in each phase.

use std::time::{Duration, Instant};

use super::*;

/// The phase without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consumer) enum PhaseName {
    New,
    AwaitingStart,
    Claiming,
    Validating,
    Probing,
    Reading,
    OutOfRange,
    Revoked,
}

use PhaseName::{AwaitingStart, Claiming, New, OutOfRange as Outside, Probing, Reading, Revoked, Validating};

impl Partition {
    pub(in crate::consumer) fn phase(&self) -> PhaseName {
        match self.phase {
            Phase::New => New,
            Phase::AwaitingStart { .. } => AwaitingStart,
            Phase::Claiming { .. } => Claiming,
            Phase::Validating { .. } => Validating,
            Phase::Probing { .. } => Probing,
            Phase::Reading { .. } => Reading,
            Phase::OutOfRange { .. } => Outside,
            Phase::Revoked { .. } => Revoked,
        }
    }

    /// The token of the event that requires a start position.
    pub(in crate::consumer) fn awaited_token(&self) -> Option<StartToken> {
        match self.phase {
            Phase::AwaitingStart { token, .. } => Some(token),
            _ => None,
        }
    }

    /// The token that commits are made under.
    pub(in crate::consumer) fn claimed_token(&self) -> Option<StartToken> {
        self.phase.claim_token()
    }
}

const PHASES: [PhaseName; 8] = [New, AwaitingStart, Claiming, Validating, Probing, Reading, Outside, Revoked];
const LOG_END: i64 = 1000;
const EPOCH: i32 = 2;
const LEADER_EPOCH: i32 = 3;

fn at() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn position(token: u64, offset: i64) -> OffsetPosition {
    OffsetPosition { partition: at(), token: StartToken::new(token), offset, leader_epoch: Some(EPOCH) }
}

/// The leader says where the epoch ends.
fn validate(partition: &mut Partition, end: Option<EpochEnd>, metadata_serial: u64) {
    let requested = OffsetForLeaderPartition { partition: at(), current_leader_epoch: LEADER_EPOCH, epoch: EPOCH };
    partition.validate(&requested, end, (metadata_serial, Instant::now()), &mut StartTokens::default());
}

/// A partition that has come to that phase under token 1.
fn in_phase(phase: PhaseName) -> Partition {
    let retry = RetryPolicy { initial: Duration::ZERO, max: Duration::ZERO, attempts_max: None };
    let mut partition = Partition::new(retry, true);
    partition.set_leader(Some(1), Some(LEADER_EPOCH));
    let start = if phase == Probing { 2 * LOG_END } else { 10 };
    let steps: [&dyn Fn(&mut Partition); 6] = [
        &|partition| ignore(partition.assign(None, LOG_END, &mut StartTokens::default())),
        &|partition| ignore(partition.start(&position(1, start), "ours")),
        &|partition| ignore(partition.commit_accepted(StartToken::new(1))),
        &|partition| validate(partition, None, 1),
        &|partition| ignore(partition.refuse_position()),
        &|partition| partition.revoke(),
    ];
    for step in steps {
        if partition.phase() == phase {
            break;
        }
        step(&mut partition);
    }
    assert_eq!(partition.phase(), phase);
    partition
}

/// Only the phase counts.
fn ignore<T>(_: T) {}

type Event<'a> = (&'a str, &'a dyn Fn(&mut Partition), [PhaseName; 8]);

#[test]
fn each_event_in_each_phase() {
    let tokens = StartTokens::default;
    let truncated = Some(EpochEnd { epoch: EPOCH, end_offset: 7 });
    let events: [Event; 15] = [
        (
            "set_leader, another epoch",
            &|partition| partition.set_leader(Some(1), Some(9)),
            [New, AwaitingStart, Claiming, Validating, Validating, Validating, Outside, Revoked],
        ),
        ("set_leader, the same epoch", &|partition| partition.set_leader(Some(2), Some(LEADER_EPOCH)), PHASES),
        (
            "assign",
            &|partition| ignore(partition.assign(None, LOG_END, &mut tokens())),
            [AwaitingStart, AwaitingStart, Claiming, Validating, Probing, Reading, Outside, Revoked],
        ),
        (
            "start",
            &|partition| ignore(partition.start(&position(1, 10), "ours")),
            [New, Claiming, Claiming, Validating, Probing, Reading, Outside, Revoked],
        ),
        ("start, stale", &|partition| ignore(partition.start(&position(0, 10), "ours")), PHASES),
        (
            "commit_accepted",
            &|partition| ignore(partition.commit_accepted(StartToken::new(1))),
            [New, AwaitingStart, Validating, Validating, Probing, Reading, Outside, Revoked],
        ),
        ("commit_accepted, stale", &|partition| ignore(partition.commit_accepted(StartToken::new(0))), PHASES),
        (
            "lose_claim",
            &|partition| ignore(partition.lose_claim(StartToken::new(1))),
            [New, AwaitingStart, New, New, New, New, New, Revoked],
        ),
        ("lose_claim, stale", &|partition| ignore(partition.lose_claim(StartToken::new(0))), PHASES),
        (
            "validate, not truncated",
            &|partition| validate(partition, None, 1),
            [New, AwaitingStart, Claiming, Reading, Probing, Reading, Outside, Revoked],
        ),
        (
            "validate, truncated twice",
            &|partition| (1..3).for_each(|serial| validate(partition, truncated, serial)),
            [New, AwaitingStart, Claiming, AwaitingStart, Probing, Reading, Outside, Revoked],
        ),
        (
            "confirm_position",
            &|partition| ignore(partition.confirm_position()),
            [New, AwaitingStart, Claiming, Validating, Reading, Reading, Outside, Revoked],
        ),
        (
            "refuse_position",
            &|partition| ignore(partition.refuse_position()),
            [New, AwaitingStart, Claiming, Validating, Outside, Outside, Outside, Revoked],
        ),
        (
            "confirm_out_of_range, outside",
            &|partition| ignore(partition.confirm_out_of_range(at(), (5000, 6000), Instant::now(), &mut tokens())),
            [New, AwaitingStart, Claiming, Validating, Probing, Reading, AwaitingStart, Revoked],
        ),
        (
            "confirm_out_of_range, inside",
            &|partition| ignore(partition.confirm_out_of_range(at(), (0, 6000), Instant::now(), &mut tokens())),
            [New, AwaitingStart, Claiming, Validating, Probing, Reading, Validating, Revoked],
        ),
    ];
    for (event, happen, after) in events {
        for (before, after) in PHASES.into_iter().zip(after) {
            let mut partition = in_phase(before);
            happen(&mut partition);
            assert_eq!(partition.phase(), after, "{event} in {before:?}");
        }
    }
    for before in PHASES {
        let mut partition = in_phase(before);
        partition.revoke();
        assert_eq!(partition.phase(), Revoked, "revoke in {before:?}");
    }
}

#[test]
fn commits_are_made_under_the_token_of_the_last_start() {
    for phase in PHASES {
        let may_commit = !matches!(phase, New | AwaitingStart | Claiming);
        let partition = in_phase(phase);
        assert_eq!(partition.commit(&position(1, 20), "ours").is_some(), may_commit, "{phase:?}");
        assert!(partition.commit(&position(0, 20), "ours").is_none(), "{phase:?}");
    }
    // While the user chooses another position, what was read before may still be committed.
    let mut partition = in_phase(Outside);
    let mut tokens = StartTokens::default();
    assert_eq!(tokens.next(), StartToken::new(1));
    partition.confirm_out_of_range(at(), (5000, 6000), Instant::now(), &mut tokens);
    assert_eq!(partition.awaited_token(), Some(StartToken::new(2)));
    assert!(partition.commit(&position(1, 20), "ours").is_some());
    assert!(partition.commit(&position(2, 20), "ours").is_none(), "not started yet");
    assert!(partition.start(&position(2, 5000), "ours").is_some());
    assert!(partition.commit(&position(1, 20), "ours").is_none());
}

#[test]
fn after_a_truncation_the_leader_has_to_confirm_a_start_after_the_divergence() {
    const DIVERGENCE: i64 = 7;
    for (start, expected) in [(DIVERGENCE, Reading), (DIVERGENCE + 1, Probing)] {
        let mut partition = in_phase(Validating);
        let end = Some(EpochEnd { epoch: EPOCH, end_offset: DIVERGENCE });
        (1..3).for_each(|serial| validate(&mut partition, end, serial));
        let token = partition.awaited_token().unwrap();
        partition.start(&OffsetPosition { token, ..position(1, start) }, "ours");
        partition.commit_accepted(token);
        validate(&mut partition, None, 3);
        assert_eq!(partition.phase(), expected, "{start}");
    }
}

#[test]
fn where_nothing_can_be_validated_a_claimed_partition_is_read_at_once() {
    for (offset, expected) in [(LOG_END, Reading), (LOG_END + 1, Probing)] {
        let mut partition = Partition::new(RetryPolicy::default(), false);
        partition.assign(None, LOG_END, &mut StartTokens::default());
        partition.start(&position(1, offset), "ours");
        assert_eq!(partition.commit_accepted(StartToken::new(1)), Accepted::Started);
        assert_eq!(partition.phase(), expected);
        // A position that the leader has confirmed stays confirmed.
        partition.confirm_position();
        partition.set_leader(Some(2), Some(4));
        assert_eq!(partition.phase(), Reading);
    }
}
