//! One broker per version and kind for all tests of a process: starting one takes longer than most tests.

use std::collections::HashMap;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::secure::{PASSWORD, USER};

type Slot = OnceLock<Result<Cluster, String>>;

/// A running single-node cluster of that version; the first caller starts it, the others wait for it, and it ends
/// with the process. Give every topic and group a [`unique`] name, and do not stop its node.
pub fn shared(version: &str) -> Result<&'static Cluster> {
    get_or_start(version, || Cluster::start(version))
}

/// Like [`shared`], with every [`Listener`](crate::Listener); [`USER`] is known by each mechanism.
pub fn shared_secure(version: &str) -> Result<&'static Cluster> {
    get_or_start(&format!("{version}, secure"), || {
        let cluster = Cluster::builder(version).secure().start()?;
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            cluster.client()?.set_scram_password(USER, mechanism, PASSWORD)?;
        }
        Ok(cluster)
    })
}

fn get_or_start(kind: &str, start: impl FnOnce() -> Result<Cluster>) -> Result<&'static Cluster> {
    static SLOTS: Mutex<Option<HashMap<String, &'static Slot>>> = Mutex::new(None);
    let slot = {
        let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
        *slots.get_or_insert_default().entry(kind.to_owned()).or_insert_with(|| Box::leak(Box::new(Slot::default())))
    };
    // Outside the lock: clusters of different kinds start at the same time.
    let started = slot.get_or_init(|| start().map_err(|error| error.to_string()));
    started.as_ref().map_err(|error| Error::Shared(error.clone()))
}

/// The name with a suffix that differs between calls and between processes.
pub fn unique(name: &str) -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}
