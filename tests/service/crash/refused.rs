//! A disk that is full, fails, or is read-only, from some call on and for some calls. The service retries and recovers by itself; no
//! record becomes an unidentified message, none is skipped or stored twice, and a failed sync never counts as successful later.

use super::commits::{Commits, commits};
use super::crash_fixture::{CrashFixture, calls_of, sample};
use super::disk::{Disk, Fate};
use super::power::Held;
use super::shim::{self, Call, DISK, EIO, ENOSPC, EROFS, Plan, read_trace};
use crate::support::process::Installation;

/// Calls of these kinds, in the words of the shim.
const WRITES: &str = "w";
const SYNCS: &str = "s";
/// The calls that a read-only disk refuses.
const CHANGES: &str = "owtum";

fn is_write(call: &Call) -> bool {
    matches!(call, Call::Written { .. })
}

fn is_sync(call: &Call) -> bool {
    matches!(call, Call::Synced(_))
}

fn is_change(call: &Call) -> bool {
    !is_sync(call)
}

/// Refuses `refused` calls of the kinds, from each call on.
fn survives(kinds: &'static str, is_one: fn(&Call) -> bool, error: i32, refused: usize, set: fn(&mut Installation)) {
    let fixture = CrashFixture::new("refused", 60);
    let installation = || {
        let mut installation = fixture.installation("none");
        set(&mut installation);
        installation
    };
    let mut calls = calls_of(&mut installation());
    calls.retain(is_one);
    for call in sample(&calls, |_| false) {
        let plan = Plan::Refuse { kinds, calls: call..call + refused, error };
        eprintln!("{plan} of {}", calls.len());
        let mut installation = installation();
        let trace = installation.path().join("trace");
        shim::install(&mut installation, &plan, Some(&trace));
        installation.run_to_end();
        assert_committed_is_synced(&read_trace(&trace), &installation);
        // The next start commits and logs what could not be committed or logged at the end.
        shim::remove(&mut installation);
        fixture.assert_stored(&installation);
        fixture.assert_ends_well(&mut installation);
    }
}

/// Checks that everything committed to Kafka was synced before.
fn assert_committed_is_synced(calls: &[Call], installation: &Installation) {
    let (mut disk, mut committed) = (Disk::default(), Commits::new());
    for call in calls {
        if let Call::Sent(bytes) = call {
            let now = commits(bytes);
            if !now.is_empty() {
                committed.extend(now);
                let image = disk.image(&mut Fate::Nothing);
                Held::by(&image, &installation.path().join(DISK)).assert_covers(&committed);
            }
        }
        disk.take(call);
    }
    assert!(!committed.is_empty(), "nothing was committed to Kafka");
}

fn as_it_comes(_: &mut Installation) {}

fn synced_in_full(installation: &mut Installation) {
    installation.set("DATABASE_SYNCHRONOUS", "FULL");
}

#[test]
fn a_full_disk_is_retried() {
    survives(WRITES, is_write, ENOSPC, 7, as_it_comes);
}

#[test]
fn a_failed_write_is_retried() {
    survives(WRITES, is_write, EIO, 1, as_it_comes);
}

#[test]
fn a_read_only_disk_is_retried() {
    survives(CHANGES, is_change, EROFS, 20, as_it_comes);
}

#[test]
fn a_failed_sync_never_counts_as_successful() {
    survives(SYNCS, is_sync, EIO, 1, as_it_comes);
}

#[test]
fn a_failed_sync_of_a_transaction_never_counts_as_successful() {
    survives(SYNCS, is_sync, EIO, 1, synced_in_full);
}

#[test]
fn several_failed_syncs_never_count_as_successful() {
    survives(SYNCS, is_sync, EIO, 3, synced_in_full);
}

#[test]
fn a_disk_that_stays_full_ends_the_service_where_attempts_are_counted() {
    let fixture = CrashFixture::new("stays-full", 60);
    let mut calls = calls_of(&mut fixture.installation("none"));
    calls.retain(is_write);
    for call in sample(&calls, |_| false) {
        let mut installation = fixture.installation("none");
        installation.set("RETRY_MAX_ATTEMPTS", "3");
        let plan = Plan::Refuse { kinds: WRITES, calls: call..usize::MAX, error: ENOSPC };
        eprintln!("{plan} of {}", calls.len());
        shim::install(&mut installation, &plan, None);
        let answer = installation.ask(&["run", "--exit-at-end"]);
        // At the end only those calls remain that the next start repeats.
        let is_last = installation.stored() == 60;
        assert_eq!(answer.code, Some(i32::from(!is_last)), "{answer:?}");
        if !is_last {
            let last = answer.stderr.lines().last().unwrap();
            assert!(last.contains("gave up after 3 failed attempts in a row") && last.contains("full"), "{last}");
        }
        fixture.assert_ends_well(&mut installation);
    }
}
