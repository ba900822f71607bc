//! What is done to the service, its broker and its database, and how soon it goes on after that.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use testkit::Node;

use super::Size;
use super::watch::Watch;
use crate::support::child::{Place, Service};
use crate::support::events::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    KilledService,
    StoppedService,
    KilledBroker,
    RestartedBroker,
    PausedBroker,
    /// A reader holds on to a snapshot until the write-ahead log is full, and then for a while.
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

    /// What to call many of them.
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

    /// Whether the service ends by it.
    pub fn ends_service(self) -> bool {
        matches!(self, Self::KilledService | Self::StoppedService)
    }
}

/// How often something happened, and the longest time from its end to the next stored row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub times: u32,
    pub recovery_max: Duration,
}

/// A running service that reads under a steady load, and whoever means it ill.
pub struct Chaos<'a> {
    place: &'a Place,
    node: &'a Node,
    watch: &'a Watch,
    random: Random,
    size: Size,
    service: Service<'a>,
    pub counts: BTreeMap<Fault, Count>,
    /// Kills while something else was wrong already.
    pub kills_meanwhile: u32,
}

impl<'a> Chaos<'a> {
    pub fn begin(place: &'a Place, node: &'a Node, watch: &'a Watch, seed: u64, size: Size) -> Self {
        let service = start(place, watch);
        let (counts, random) = (BTreeMap::new(), Random::new(seed));
        Self { place, node, watch, random, size, service, counts, kills_meanwhile: 0 }
    }

    /// Every fault, in a random order.
    pub fn round(&mut self) -> Vec<Fault> {
        let mut faults = Fault::ALL.to_vec();
        (0..faults.len())
            .map(|_| faults.swap_remove(usize::try_from(self.random.below(faults.len() as u64)).unwrap()))
            .collect()
    }

    /// Nothing for a while, then a fault, which ends with a row that was not stored before. `may_kill`: the service may be killed during another
    /// fault too.
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
        let (ended, before) = (Instant::now(), self.place.stored());
        if fault.ends_service() {
            self.service = start(self.place, self.watch);
        }
        self.place.wait_for("the next row", |place| place.stored() > before);
        assert!(self.service.is_running(), "ended by itself after {fault:?}; {}", self.place.tail());
        let count = self.counts.entry(fault).or_default();
        count.times += 1;
        count.recovery_max = count.recovery_max.max(ended.elapsed());
    }

    /// In order.
    pub fn stop(&mut self) {
        self.service.signal("TERM");
        self.service.ends_with(0);
    }

    /// Lets a fault last.
    fn last(&mut self, may_kill: bool) {
        thread::sleep(self.some_time());
        assert!(self.service.is_running(), "ended by itself; {}", self.place.tail());
        if may_kill && self.random.below(3) == 0 {
            self.service.kill();
            self.service = start(self.place, self.watch);
            self.kills_meanwhile += 1;
        }
    }

    fn hold_snapshot(&mut self, may_kill: bool) {
        let lines = self.place.log().len();
        let reader = self.place.database();
        reader.execute_batch("BEGIN; SELECT count(*) FROM opportunities").unwrap();
        let limit = format!("limit is {}", self.size.wal_max_bytes);
        self.place.wait_warning(lines, &["the WAL has", &limit, "trying again"]);
        let before = self.place.stored();
        self.last(may_kill);
        assert_eq!(self.place.stored(), before, "stored beyond the limit of the write-ahead log");
        reader.execute_batch("COMMIT").unwrap();
    }

    fn some_time(&mut self) -> Duration {
        Duration::from_millis(self.random.below(u64::try_from(self.size.lasting_max.as_millis()).unwrap()))
    }
}

fn start<'a>(place: &'a Place, watch: &Watch) -> Service<'a> {
    let service = place.start(&["run"]);
    watch.pid.store(service.pid(), Ordering::Relaxed);
    service
}
