//! The rate of each peer with each data set: in turns, so that other load of the machine affects all of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::unistd;

use crate::Result;
use crate::broker::Broker;
use crate::database::{self, Stored};
use crate::measure::{Measured, Usage};
use crate::options::Options;
use crate::peers::{LimitSize, Peer};
use crate::results::{PeerResult, Results, SetResult};
use crate::service::{self, Place};
use crate::sets::{self, DataSet};
use crate::sql::Table;

/// Measures every data set that is wanted, and saves after each.
pub fn measure(options: &Options, broker: &Broker, results: &mut Results) -> Result<()> {
    for set in sets::all(options.events).into_iter().filter(|set| options.wants(set.name)) {
        let begun = Instant::now();
        let topic = broker.fill(&set)?;
        let measured = Turn { options, servers: broker.servers(), topic: &topic, set: &set }.rounds()?;
        broker.remove(&topic)?;
        results.put(measured);
        results.save(options)?;
        println!("  {}: {} s", set.name, begun.elapsed().as_secs());
    }
    Ok(())
}

/// One data set in its topic.
struct Turn<'a> {
    options: &'a Options,
    servers: String,
    topic: &'a str,
    set: &'a DataSet,
}

impl Turn<'_> {
    fn rounds(&self) -> Result<SetResult> {
        // The broker has nothing of the topic in its page cache yet; no peer shall wait for that alone.
        self.run(Peer::Tuned)?;
        let rounds = if self.set.counts() { self.options.rounds } else { self.options.rounds.saturating_sub(1).max(1) };
        let mut peers: Vec<PeerResult> = self.peers().map(PeerResult::new).collect();
        let mut expected = None;
        for _ in 0..rounds {
            for result in &mut peers {
                let (usage, stored) = self.run(result.peer)?;
                self.check(result.peer, stored, *expected.get_or_insert(stored))?;
                self.tell(result.peer, &usage);
                result.runs.push(usage);
            }
        }
        let (name, title) = (self.set.name.to_owned(), self.set.title.to_owned());
        let bytes = (0..100).map(|number| self.set.shape.event(number).1.len()).sum::<usize>() / 100;
        Ok(SetResult { name, title, events: self.set.events, event_bytes: bytes, peers })
    }

    fn peers(&self) -> impl Iterator<Item = Peer> {
        self.set.peers.iter().copied().filter(|&peer| self.options.wants_peer(peer))
    }

    /// All must have stored the same.
    fn check(&self, peer: Peer, stored: Stored, expected: Stored) -> Result<()> {
        if stored.is_same(&expected) {
            return Ok(());
        }
        Err(format!("{} has stored {stored:?} of '{}', not {expected:?}", peer.title(), self.set.name).into())
    }

    fn tell(&self, peer: Peer, usage: &Usage) {
        let rate = self.set.events as f64 / usage.wall_seconds;
        println!("  {:<39} {rate:>9.0} rows/s, {:>6.2} s CPU", peer.title(), usage.cpu_seconds);
    }

    fn run(&self, peer: Peer) -> Result<(Usage, Stored)> {
        // What the one before has written shall not be written at the cost of this one.
        unistd::sync();
        let directory = self.options.work.join("run");
        let (usage, database) = if peer.is_service() {
            self.run_service(peer, &directory)?
        } else {
            service::empty(&directory)?;
            let database = directory.join("peer.db");
            (self.run_peer(peer, &directory, &database)?, database)
        };
        let stored = database::stored(&database)?;
        std::fs::remove_dir_all(&directory)?;
        Ok((usage, stored))
    }

    fn run_service(&self, peer: Peer, directory: &Path) -> Result<(Usage, PathBuf)> {
        let binary = match peer {
            Peer::ServiceGlibc => &self.options.service_glibc,
            _ => &self.options.service_static,
        };
        let place = Place::new(directory, binary, &self.servers, self.topic)?;
        let usage = place.run_to_end()?;
        place.verify()?;
        Ok((usage, place.database()))
    }

    fn run_peer(&self, peer: Peer, directory: &Path, database: &Path) -> Result<Usage> {
        if let Some(size) = peer.limit_size() {
            return self.run_limit(directory, database, size);
        }
        let topic: [OsString; 3] = [self.servers.clone().into(), self.topic.into(), database.into()];
        if peer == Peer::Python {
            let mut arguments = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/peer.py").into()];
            arguments.extend(topic);
            arguments.push(concat!(env!("CARGO_MANIFEST_DIR"), "/../schema.sql").into());
            let variables = vec![
                ("UPSERT_OPPORTUNITIES".to_owned(), Table::Opportunities.upsert(1)),
                ("UPSERT_PROJECTS".to_owned(), Table::Projects.upsert(1)),
            ];
            return Measured { program: &self.options.python, arguments, variables, directory }.run();
        }
        let mut arguments = vec!["peer".into(), peer.name().into()];
        arguments.extend(topic);
        Measured { program: &std::env::current_exe()?, arguments, variables: Vec::new(), directory }.run()
    }

    /// Measures itself, as it makes the rows first.
    fn run_limit(&self, directory: &Path, database: &Path, size: LimitSize) -> Result<Usage> {
        let usage = directory.join("limit.json");
        let arguments = vec![
            "limit".into(),
            self.set.name.into(),
            // Of which a data set of large events has a part.
            self.options.events.to_string().into(),
            size.transaction_rows.to_string().into(),
            size.statement_rows.to_string().into(),
            database.into(),
            usage.clone().into(),
        ];
        Measured { program: &std::env::current_exe()?, arguments, variables: Vec::new(), directory }.run()?;
        Ok(serde_json::from_slice(&std::fs::read(usage)?)?)
    }
}
