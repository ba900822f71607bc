//! Users that acknowledge late or not at all: the rebalance timeout ends the membership.

use super::*;

#[test]
fn without_an_acknowledgement_within_the_rebalance_timeout_the_partitions_are_lost() {
    const TIMEOUT: Duration = Duration::from_millis(50);
    for is_revocation in [false, true] {
        let kept: &[i32] = if is_revocation { &[0] } else { &[0, 1] };
        let joins = vec![Ok(assignment(&[0, 1], true)), Ok(assignment(kept, true)), Ok(assignment(&[5], true))];
        let thread = Running::start_within(TIMEOUT, true, joins);
        assert_eq!(thread.next_assignment().0, "0 1");
        thread.heartbeat(Ok(Heartbeat::Rebalance));
        let GroupEvent::Rebalancing(mut confirmation) = thread.next() else { panic!() };
        if is_revocation {
            thread.command(GroupCommand::Confirm(confirmation));
            let (_, RevocationMode::Cooperative(revocation)) = thread.next_assignment() else { panic!() };
            confirmation = revocation;
        }
        let begun = Instant::now();
        let GroupEvent::Lost(lost) = thread.next() else { panic!() };
        assert!(begun.elapsed() < TIMEOUT * 100);
        assert!(thread.sent().contains(&"heartbeat with 0 1".to_owned()), "heartbeats go on until then");
        // A confirmation that comes late does not let it rejoin; that of the loss does.
        let joined = thread.joins_left();
        thread.command(GroupCommand::Confirm(confirmation));
        thread.wait_sent("reset");
        assert_eq!(thread.joins_left(), joined);
        thread.command(GroupCommand::Confirm(lost));
        while thread.joins_left() == joined {
            thread::yield_now();
        }
        assert!(thread.sent().contains(&"join with ".to_owned()), "it owns nothing");
    }
}

#[test]
fn an_acknowledgement_in_time_counts_though_a_heartbeat_takes_longer() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let joins = vec![Ok(assignment(&[0], true)), Ok(assignment(&[0, 1], true))];
    let thread = Running::start_within(TIMEOUT, true, joins);
    assert_eq!(thread.next_assignment().0, "0");
    thread.heartbeat(Ok(Heartbeat::Rebalance));
    let GroupEvent::Rebalancing(confirmation) = thread.next() else { panic!() };
    let delayed = thread.script.delay.lock().unwrap();
    thread::sleep(TIMEOUT / 10);
    thread.command(GroupCommand::Verify(1));
    thread.command(GroupCommand::Confirm(confirmation));
    thread::sleep(TIMEOUT);
    drop(delayed);
    assert_eq!(thread.next_assignment().0, "0 1");
}
