//! A simulation of the service loop, one thread and one seed at a time: the real loop and the real database, against a model of a
//! cluster in which everything goes wrong that the client lets through. Instances are killed between any two calls, disks lose
//! what was not synced, partitions wander, offsets are reset, records expire, logs are truncated and written again, a topic is made
//! again.
//!
//! `cargo test --lib simulation` runs thousands of seeds, `TEST_SIZE=full` many more; `SEED=n` runs one of them again.

mod cluster;
mod disk;
mod log;
mod member;
mod random;
mod truth;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use kafka::RetryPolicy;

use super::commits::Pace;
use super::{Service, ServiceError};
use crate::runtime::backoff::RetryError;
use crate::runtime::shutdown::Stop;
use crate::service::start_rules::StartError;
use crate::settings::{GroupProtocol, Settings};
use crate::storage::{self, ErrorKind};

use cluster::Cluster;
use disk::{Disk, Observed};
use member::Member;
use random::Random;

const NEVER: Duration = Duration::from_hours(1);

#[test]
fn whatever_happens_every_record_takes_effect_once() {
    if let Ok(seed) = std::env::var("SEED") {
        return simulate_each(std::iter::once(seed.parse().unwrap()));
    }
    let seeds = if std::env::var("TEST_SIZE").is_ok_and(|size| size == "full") { 100_000 } else { 2_000 };
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || simulate_each((0..seeds).skip(thread).step_by(threads)));
        }
    });
}

fn simulate_each(seeds: impl Iterator<Item = u64>) {
    // In memory, where there is such a place: what a sync is for, the model decides.
    let shared_memory = Path::new("/dev/shm");
    let directory = if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() };
    let directory = tempfile::tempdir_in(directory).unwrap();
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| simulate(seed, directory.path())));
        assert!(run.is_ok(), "seed {seed} fails; again by: SEED={seed} cargo test --lib simulation");
    }
}

/// One instance of the service: its place, and what runs there.
struct Instance<'a> {
    me: usize,
    settings: &'a Settings,
    pace: Pace,
    stop: &'a Stop,
    disk: Rc<RefCell<Disk>>,
    cluster: Rc<RefCell<Cluster>>,
    running: Option<Service<'a, Member>>,
}

fn simulate(seed: u64, directory: &Path) {
    let mut random = Random::new(seed);
    let exclusive = random.one_in(2);
    let instances = if exclusive { 1 } else { random.within(1..3) };
    let power_cuts = random.one_in(3);
    let stop = Stop::manual();
    let settings: Vec<Settings> = (0..instances)
        .map(|me| settings(&mut random, exclusive, power_cuts, &directory.join(format!("{me}"))))
        .collect();
    let choose = |random: &mut Random| random.pick(&[Duration::ZERO, NEVER]);
    let pace = Pace {
        commit_interval: choose(&mut random),
        commit_again: choose(&mut random),
        handover_patience: choose(&mut random),
        handover_step: Duration::ZERO,
    };
    let steps = random.within(20..150);
    let cluster = Rc::new(RefCell::new(Cluster::new(random)));
    let mut instances: Vec<Instance<'_>> = (0..)
        .zip(&settings)
        .map(|(me, settings)| {
            let disk = Rc::new(RefCell::new(Disk::new(settings, power_cuts)));
            Instance { me, settings, pace, stop: &stop, disk, cluster: Rc::clone(&cluster), running: None }
        })
        .collect();
    for _ in 0..steps {
        something_happens(&cluster, &mut instances, exclusive);
        let which = cluster.borrow_mut().random.within(0..i64::try_from(instances.len()).unwrap());
        instances[usize::try_from(which).unwrap()].step();
    }
    come_to_rest(&cluster, &mut instances);
    truth::check(&cluster.borrow(), &instances);
}

fn settings(random: &mut Random, exclusive: bool, power_cuts: bool, directory: &Path) -> Settings {
    let _ = std::fs::remove_dir_all(directory); // Of the seed before.
    std::fs::create_dir(directory).unwrap();
    let mut settings = Settings::load([], Some(Path::new("/dev/null"))).unwrap();
    if exclusive {
        settings.kafka.group_protocol = GroupProtocol::None;
    }
    settings.database.path = directory.join("events.db");
    settings.batch_records_max = random.pick(&[1, 4, 16]).try_into().unwrap();
    settings.fail_on_data_loss = random.one_in(2);
    settings.retry = RetryPolicy { initial: Duration::ZERO, max: Duration::ZERO, attempts_max: None };
    // What a power cut takes of a log file is no matter of the loop.
    settings.unidentified_log_file = (!power_cuts).then(|| directory.join("unidentified.log"));
    settings
}

/// Whatever may happen beside a step of the service.
fn something_happens(cluster: &RefCell<Cluster>, instances: &mut [Instance<'_>], exclusive: bool) {
    let which = cluster.borrow_mut().random.within(0..i64::try_from(instances.len()).unwrap());
    let instance = &mut instances[usize::try_from(which).unwrap()];
    let choice = cluster.borrow_mut().random.within(0..100);
    match choice {
        0..25 => cluster.borrow_mut().grow(),
        25..30 => instance.light_fuse(),
        30..32 => instance.end(),
        32..35 => cluster.borrow_mut().divide(),
        35..37 => cluster.borrow_mut().remove(instance.me),
        37 => cluster.borrow_mut().add_partition(),
        38 => cluster.borrow_mut().expire(),
        39 if cluster.borrow_mut().random.one_in(3) => cluster.borrow_mut().recreate_topic(),
        43 | 44 => cluster.borrow_mut().truncate(),
        // Of a group with members nobody else can set offsets.
        40..43 if exclusive || cluster.borrow().members.is_empty() => {
            let mut cluster = cluster.borrow_mut();
            let partition = cluster.any_partition();
            let (start, end) = (cluster.log(partition).start, cluster.log(partition).end());
            let offset = cluster.random.within(start..end + 1);
            cluster.reset(partition, offset);
        }
        _ => {}
    }
}

/// Nothing goes wrong any more: everything must be read to its end.
fn come_to_rest(cluster: &RefCell<Cluster>, instances: &mut [Instance<'_>]) {
    for instance in &mut *instances {
        instance.disk.borrow_mut().faults = false;
        instance.disk.borrow_mut().fuse = None;
    }
    cluster.borrow_mut().grow();
    for _ in 0..2000 {
        for instance in &mut *instances {
            instance.step();
        }
        if instances
            .iter()
            .all(|instance| instance.is_at_end(&cluster.borrow()) && instance.has_told(&cluster.borrow()))
        {
            for instance in instances {
                instance.end();
            }
            return;
        }
    }
    let cluster = cluster.borrow();
    let ends: Vec<i64> = cluster.partitions().map(|number| cluster.log(number).end()).collect();
    let stored: Vec<_> = instances.iter().map(|instance| instance.disk.borrow().seen.positions.clone()).collect();
    panic!(
        "no end comes: the logs end at {ends:?}, stored is {stored:?}, targets are {:?}, owners {:?}, committed is {:?}",
        cluster.targets, cluster.owners, cluster.committed
    );
}

impl Instance<'_> {
    /// One event of the loop; a new process where none runs.
    fn step(&mut self) {
        if self.running.is_none() {
            self.begin();
        }
        let Some(service) = &mut self.running else { return };
        let result = service.step();
        if self.disk.borrow().is_dead() {
            service.source.die();
            self.running = None; // Its last words change nothing: what was on the disk is kept.
        } else if let Err(error) = result {
            self.has_ended_by_itself(&error);
        }
    }

    fn begin(&mut self) {
        self.disk.borrow_mut().come_back(&mut self.cluster.borrow_mut().random);
        let mut database = storage::open(&self.settings.database, &self.settings.kafka.group_id).unwrap();
        truth::check_positions(&mut *database, &self.disk.borrow().seen);
        let source = Member::new(self.me, self.settings, &self.cluster, &self.disk);
        let store = Observed::new(database, &self.disk, &self.cluster);
        self.running = Some(Service::new(self.settings, self.pace, self.stop, source, Box::new(store)));
    }

    /// A fatal error must be one that the model gave cause for. The operator then does what it says.
    fn has_ended_by_itself(&mut self, error: &ServiceError) {
        let has_lied = self.running.as_ref().is_some_and(|service| service.source.has_lied);
        match error {
            ServiceError::Start(StartError::DataLoss { partition, .. }) if self.settings.fail_on_data_loss => {
                self.end();
                let mut cluster = self.cluster.borrow_mut();
                // Of a group with members nobody can set offsets: the operator stops the others, which makes no difference here.
                let start = cluster.log(partition.partition).start;
                cluster.reset(partition.partition, start);
            }
            ServiceError::Database(RetryError::Fatal(error)) if has_lied && error.kind() == ErrorKind::Conflict => {
                self.end();
            }
            error => panic!("ended without cause: {error}: {error:?}"),
        }
    }

    /// A clean stop.
    fn end(&mut self) {
        if let Some(mut service) = self.running.take() {
            let finished = service.finish();
            if self.disk.borrow().is_dead() {
                service.source.die();
            } else {
                // A stop finds nothing that only an operator could fix, unless the model gave cause for it.
                assert!(finished.is_ok(), "{finished:?}");
            }
        }
    }

    /// It will be killed soon.
    fn light_fuse(&mut self) {
        let calls = self.cluster.borrow_mut().random.within(1..20);
        self.disk.borrow_mut().fuse = self.running.is_some().then_some(calls);
    }

    /// Whether everything that it has to read is stored.
    fn is_at_end(&self, cluster: &Cluster) -> bool {
        let seen = &self.disk.borrow().seen;
        let is_stored =
            |number: &i32| seen.positions.get(number).is_some_and(|(_, next)| *next == cluster.log(*number).end());
        let mut ours = cluster.owners.iter().filter(|(_, owner)| **owner == self.me);
        self.running.as_ref().is_some_and(Service::is_at_end) && ours.all(|(number, _)| is_stored(number))
    }

    /// Whether the group knows of that, unless it is told only at a stop.
    fn has_told(&self, cluster: &Cluster) -> bool {
        let is_told = |number: &i32| {
            cluster.committed.get(number).is_some_and(|committed| committed.offset == cluster.log(*number).end())
        };
        let mut ours = cluster.owners.iter().filter(|(_, owner)| **owner == self.me);
        self.pace.commit_interval == NEVER || ours.all(|(number, _)| is_told(number))
    }

    fn unidentified_log(&self) -> Option<&PathBuf> {
        self.settings.unidentified_log_file.as_ref()
    }
}
