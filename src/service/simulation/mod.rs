//! A simulation of the service: the real loop, reader and database against models of the Kafka consumer, the cluster
//! and the disk. Everything happens on one thread, and one seed decides all of it: the order in which the reader, the
//! loop, syncs and checkpoints go on, failures, kills between any two calls, power cuts that lose what was not synced,
//! rebalances, resets of offsets, retention, truncated logs, a recreated topic.
//!
//! | file | holds |
//! |-|-|
//! | `instance.rs` | one instance of the service: starts, stops, kills |
//! | `runner.rs` | runs the reader's core step by step |
//! | `consumer.rs`, `partitions.rs` | the model of the Kafka consumer |
//! | `cluster.rs`, `log.rs` | the model of the cluster and its logs |
//! | `writer.rs`, `disk.rs` | the real database, its failures, and what a kill or a power cut leaves |
//! | `truth.rs` | what the databases must hold in the end |
//!
//! `cargo test --lib simulation` runs thousands of seeds, `TEST_SIZE=full` many more; `SEED=n` runs one of them again.

mod cluster;
mod consumer;
mod disk;
mod instance;
mod log;
mod partitions;
mod runner;
mod truth;
mod writer;

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use fuzzkit::Random;
use kafka::RetryPolicy;

use super::committer::CommitTimings;
use crate::runtime::shutdown::Stop;
use crate::settings::{GroupProtocol, Settings};

use cluster::Cluster;
use disk::Disk;
use instance::{Instance, NEVER};

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
    // In memory if possible: the model decides what a sync makes durable.
    let shared_memory = Path::new("/dev/shm");
    let directory = if shared_memory.is_dir() { shared_memory.to_owned() } else { std::env::temp_dir() };
    let directory = tempfile::tempdir_in(directory).unwrap();
    for seed in seeds {
        let run = catch_unwind(AssertUnwindSafe(|| simulate(seed, directory.path())));
        assert!(run.is_ok(), "seed {seed} fails; again by: SEED={seed} cargo test --lib simulation");
    }
}

fn simulate(seed: u64, directory: &Path) {
    let mut random = Random::new(seed, "simulation");
    let exclusive = random.one_in(2);
    let instances = if exclusive { 1 } else { usize::try_from(random.within(1..3)).unwrap() };
    let power_cuts = random.one_in(3);
    let stop = Stop::manual();
    let settings: Vec<Settings> = (0..instances)
        .map(|me| settings(&mut random, exclusive, power_cuts, &directory.join(format!("{me}"))))
        .collect();
    let zero_or_never = |random: &mut Random| if random.one_in(2) { Duration::ZERO } else { NEVER };
    let timings = CommitTimings {
        commit_interval: zero_or_never(&mut random),
        idle_commit_interval: zero_or_never(&mut random),
        revocation_timeout: zero_or_never(&mut random),
        revocation_retry_interval: Duration::ZERO,
    };
    let steps = random.within(20..150);
    let cluster = Rc::new(RefCell::new(Cluster::new(random)));
    let mut instances: Vec<Instance<'_>> = (0..)
        .zip(&settings)
        .map(|(me, settings)| Instance::new(me, settings, timings, &stop, Disk::new(settings, power_cuts), &cluster))
        .collect();
    for _ in 0..steps {
        something_happens(&cluster, &mut instances, exclusive);
        let which = cluster.borrow_mut().random.below(instances.len());
        instances[which].step();
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
    settings.batch_records_max = (*random.pick(&[1, 4, 16]).unwrap()).try_into().unwrap();
    settings.fail_on_data_loss = random.one_in(2);
    settings.retry = RetryPolicy { initial: Duration::ZERO, max: Duration::ZERO, attempts_max: None };
    // The model has no log files that lose what was not synced.
    settings.unidentified_log_file = (!power_cuts).then(|| directory.join("unidentified.log"));
    settings
}

/// Something happens between two rounds of the loop, or nothing.
fn something_happens(cluster: &RefCell<Cluster>, instances: &mut [Instance<'_>], exclusive: bool) {
    let which = cluster.borrow_mut().random.below(instances.len());
    let instance = &mut instances[which];
    let choice = cluster.borrow_mut().random.below(100);
    match choice {
        0..25 => cluster.borrow_mut().grow(),
        25..30 => instance.kill_soon(),
        30..32 => instance.stop(),
        32..35 => cluster.borrow_mut().rebalance(),
        35..37 => instance.time_out(),
        37 => cluster.borrow_mut().add_partition(),
        38 => cluster.borrow_mut().expire(),
        39 if cluster.borrow_mut().random.one_in(3) => cluster.borrow_mut().recreate_topic(),
        43 | 44 => cluster.borrow_mut().truncate(),
        45..48 => instance.checkpoint(),
        48..51 => instance.prune(),
        // The offsets of a group with members can only be committed by its members.
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

/// Nothing fails any more: everything must be read, stored and committed to its end.
fn come_to_rest(cluster: &RefCell<Cluster>, instances: &mut [Instance<'_>]) {
    for instance in &mut *instances {
        let mut disk = instance.disk.borrow_mut();
        (disk.faults, disk.fuse) = (false, None);
    }
    cluster.borrow_mut().grow();
    for _ in 0..2000 {
        for instance in &mut *instances {
            instance.step();
        }
        if instances.iter().all(|instance| instance.is_at_end() && instance.has_committed()) {
            for instance in instances {
                instance.stop();
            }
            return;
        }
    }
    let cluster = cluster.borrow();
    let ends: Vec<i64> = cluster.partitions().map(|number| cluster.log(number).end()).collect();
    let stored: Vec<_> = instances.iter().map(|instance| instance.disk.borrow().seen.positions.clone()).collect();
    panic!(
        "the end is not reached: the logs end at {ends:?}, stored is {stored:?}, targets are {:?}, owners {:?}, committed is {:?}",
        cluster.targets, cluster.owners, cluster.committed
    );
}
