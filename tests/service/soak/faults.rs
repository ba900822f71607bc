//! The faults of the service, its broker and its database, and the time until the service stores rows again.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use testkit::{Node, Random};

use super::Size;
use super::watch::Watch;
use crate::support::process::{Installation, Service};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KilledService,
    StoppedService,
    KilledBroker,
    RestartedBroker,
    PausedBroker,
    /// A long-running reader blocks checkpoints until the WAL has reached its limit, and for a while after that.
    HeldSnapshot,
}

impl Fault {
    pub const ALL: [Self; 6] = [
        Self::KilledService,
        Self::StoppedService,
        Self::KilledBroker,
        Self::RestartedBroker,
        Self::PausedBroker,
        Self::HeldSnapshot,
    ];

    /// Their name in the summary.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KilledService => "kills of the service",
            Self::StoppedService => "stops of the service",
            Self::KilledBroker => "kills of the broker",
            Self::RestartedBroker => "restarts of the broker",
            Self::PausedBroker => "pauses of the broker",
            Self::HeldSnapshot => "snapshots held",
        }
    }

    /// Whether it ends the service.
    pub fn ends_service(self) -> bool {
        matches!(self, Self::KilledService | Self::StoppedService)
    }
}

/// The number of faults of a kind, and the longest time from a fault's end to the next stored row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub times: u32,
    pub recovery_max: Duration,
}

/// A running service under a steady load, and the faults.
pub struct Chaos<'a> {
    installation: &'a Installation,
    node: &'a Node,
    watch: &'a Watch,
    random: Random,
    size: Size,
    service: Service<'a>,
    pub counts: BTreeMap<Fault, Count>,
    /// The number of kills during another fault.
    pub kills_meanwhile: u32,
}

impl<'a> Chaos<'a> {
    pub fn begin(installation: &'a Installation, node: &'a Node, watch: &'a Watch, seed: u64, size: Size) -> Self {
        let service = start(installation, watch);
        let (counts, random) = (BTreeMap::new(), Random::from_seed(seed));
        Self { installation, node, watch, random, size, service, counts, kills_meanwhile: 0 }
    }

    /// Every fault, in a random order.
    pub fn round(&mut self) -> Vec<Fault> {
        let mut faults = Fault::ALL.to_vec();
        (0..faults.len()).map(|_| faults.swap_remove(self.random.below(faults.len()))).collect()
    }

    /// Waits, then causes a fault, and waits for a new row after it. `may_kill`: the service may be killed during the fault.
    pub fn suffer(&mut self, fault: Fault, may_kill: bool) {
        thread::sleep(self.some_time());
        match fault {
            Fault::KilledService => self.service.kill(),
            Fault::StoppedService => self.stop(),
            Fault::KilledBroker => {
                self.node.kill().unwrap();
                self.last(may_kill);
                self.node.start().unwrap();
            }
            Fault::RestartedBroker => {
                self.node.stop().unwrap();
                self.last(may_kill);
                self.node.start().unwrap();
            }
            Fault::PausedBroker => {
                self.node.pause().unwrap();
                self.last(may_kill);
                self.node.resume().unwrap();
            }
            Fault::HeldSnapshot => self.hold_snapshot(may_kill),
        }
        let (ended, before) = (Instant::now(), self.installation.stored());
        if fault.ends_service() {
            self.service = start(self.installation, self.watch);
        }
        self.installation.wait_for("the next row", |installation| installation.stored() > before);
        assert!(self.service.is_running(), "ended by itself after {fault:?}; {}", self.installation.tail());
        let count = self.counts.entry(fault).or_default();
        count.times += 1;
        count.recovery_max = count.recovery_max.max(ended.elapsed());
    }

    /// In order.
    pub fn stop(&mut self) {
        self.service.signal("TERM");
        self.service.ends_with(0);
    }

    /// Waits for the duration of a fault.
    fn last(&mut self, may_kill: bool) {
        thread::sleep(self.some_time());
        assert!(self.service.is_running(), "ended by itself; {}", self.installation.tail());
        if may_kill && self.random.below(3) == 0 {
            self.service.kill();
            self.service = start(self.installation, self.watch);
            self.kills_meanwhile += 1;
        }
    }

    fn hold_snapshot(&mut self, may_kill: bool) {
        let lines = self.installation.log().len();
        let reader = self.installation.database();
        reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
        let limit = format!("limit is {}", self.size.wal_max_bytes);
        self.installation.wait_warning(lines, &["the WAL has", &limit, "trying again"]);
        let before = self.installation.stored();
        self.last(may_kill);
        assert_eq!(self.installation.stored(), before, "stored beyond the limit of the write-ahead log");
        reader.execute_batch("COMMIT").unwrap();
    }

    fn some_time(&mut self) -> Duration {
        Duration::from_millis(self.random.below(u64::try_from(self.size.lasting_max.as_millis()).unwrap()))
    }
}

fn start<'a>(installation: &'a Installation, watch: &Watch) -> Service<'a> {
    let service = installation.start(&["run"]);
    watch.pid.store(service.pid(), Ordering::Relaxed);
    service
}
