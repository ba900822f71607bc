//! The service as a process: its settings, its run to the end, its own check of the result.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::measure::{Measured, Usage};
use crate::{Result, database};

/// Longer than anything takes unless it hangs.
const TIMEOUT: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_micros(200);

/// A directory in which the service keeps everything, and what it reads.
pub struct Place {
    directory: PathBuf,
    binary: PathBuf,
    variables: Vec<(String, String)>,
}

impl Place {
    /// A new and empty one. Settings are those that it comes with, but for the protocol, so that a run has no group to wait for.
    pub fn new(directory: &Path, binary: &Path, servers: &str, topic: &str) -> Result<Self> {
        empty(directory)?;
        let group = testkit::unique("group");
        let variables = [
            ("KAFKA_BOOTSTRAP_SERVERS", servers),
            ("KAFKA_TOPIC", topic),
            ("KAFKA_GROUP_ID", &group),
            ("KAFKA_GROUP_PROTOCOL", "none"),
        ];
        Ok(Self {
            directory: directory.to_owned(),
            binary: binary.to_owned(),
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        })
    }

    /// Sets a variable instead of what it was.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(set, _)| set != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    pub fn database(&self) -> PathBuf {
        self.directory.join("data/enterprise.db")
    }

    /// Reads to the end of the topic, measured.
    pub fn run_to_end(&self) -> Result<Usage> {
        self.measured(&["run", "--exit-at-end"]).run()
    }

    /// The product's own check of its database; an error if it finds anything.
    pub fn verify(&self) -> Result<()> {
        self.measured(&["verify"]).run().map(drop)
    }

    fn measured(&self, arguments: &[&str]) -> Measured<'_> {
        Measured {
            program: &self.binary,
            arguments: arguments.iter().map(Into::into).collect(),
            variables: self.variables.clone(),
            directory: &self.directory,
        }
    }

    /// Starts it, to run until it ends or is dropped.
    pub fn start(&self, arguments: &[&str]) -> Result<Running> {
        let output = File::create(self.directory.join("output.log"))?;
        let child = Command::new(&self.binary)
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        Ok(Running(child))
    }

    /// A connection that only looks, once the service has made the tables.
    pub fn wait_for_database(&self) -> Result<Connection> {
        // Its log exists when the mode has been switched, which a reader could get in the way of.
        let log = self.directory.join("data/enterprise.db-wal");
        wait_for("the database", || Ok(log.exists()))?;
        Ok(database::open_to_read(&self.database())?)
    }
}

/// A running service; killed when dropped.
pub struct Running(Child);

impl Running {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Fails if it has failed.
    pub fn check(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            Some(status) if !status.success() => Err(format!("the service has ended: {status}").into()),
            _ => Ok(()),
        }
    }

    /// Waits for its end; fails if it has failed.
    pub fn wait(&mut self) -> Result<()> {
        self.0.wait()?;
        self.check()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the condition holds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !condition()? {
        if begun.elapsed() > TIMEOUT {
            return Err(format!("not within {} s: {what}", TIMEOUT.as_secs()).into());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Makes a directory, without what an earlier run has left in it.
pub fn empty(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    Ok(fs::create_dir_all(directory)?)
}
