//! One broker process: starts, stops, kills, pauses and resumes it. Must not know the other nodes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::guard::{Guarded, Signal};
use crate::java::{self, Limits};
use crate::ports::Port;
use crate::secure::Listener;
use crate::wait;

/// Longest time from the start of the process to "started"; two seconds on an idle machine with two cores.
const START_DEADLINE: Duration = Duration::from_mins(2);

/// Longest time of a stop in order, which takes a fraction of a second.
const STOP_DEADLINE: Duration = Duration::from_mins(1);

/// The broker logs this when it has registered, caught up with the metadata log, and serves every listener.
const STARTED: &str = "Kafka Server started";

/// A broker logs this when another program has its port.
const PORT_TAKEN: [&str; 2] = ["Address already in use", "BindException"];

/// Lines of the log in an error: enough for an exception with its cause.
const TAIL_LINES: usize = 60;

const HEAP_MIB_MAX: u32 = 256;

/// Formats the data directory if it is new and belongs to a cluster without ZooKeeper, then becomes the broker.
const RUN: &str = r#"set -e
config=$1 cluster=$2 data=$3
shift 3
[ -z "$cluster" ] || [ -e "$data/meta.properties" ] || "$@" kafka.tools.StorageTool format -t "$cluster" -c "$config"
exec "$@" kafka.Kafka "$config""#;

/// One broker of a [`Cluster`](crate::Cluster): broker and controller in one process, on one machine's loopback.
///
/// It keeps its port and its data when it is stopped or killed and started again.
#[derive(Debug)]
pub struct Node {
    id: u16,
    ports: Ports,
    files: Files,
    class_path: String,
    /// In addition to those of every Java program.
    java_options: Vec<String>,
    /// For clusters without ZooKeeper.
    cluster_id: Option<String>,
    run: Mutex<Run>,
}

/// The ports of a node.
#[derive(Debug)]
pub(crate) struct Ports {
    /// For clients.
    pub(crate) plain: Port,
    /// For the other nodes; kept, so that no other process takes it.
    pub(crate) _controller: Port,
    /// For clients too.
    pub(crate) secure: Vec<(Listener, Port)>,
}

/// The files of a node.
#[derive(Debug)]
pub(crate) struct Files {
    /// Kafka's `log.dirs`.
    pub(crate) data: PathBuf,
    /// Its configuration.
    pub(crate) properties: PathBuf,
    /// One log file per start goes here.
    pub(crate) logs: PathBuf,
    /// For unpacked native libraries.
    pub(crate) scratch: PathBuf,
}

#[derive(Debug)]
struct Run {
    starts: u32,
    process: Option<Guarded>,
    log: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    None,
    Running,
    Ended(ExitStatus),
}

impl Node {
    pub(crate) fn new(
        id: u16,
        ports: Ports,
        files: Files,
        class_path: String,
        java_options: Vec<String>,
        cluster_id: Option<String>,
    ) -> Self {
        let run = Mutex::new(Run { starts: 0, process: None, log: PathBuf::new() });
        Self { id, ports, files, class_path, java_options, cluster_id, run }
    }

    /// Its `node.id`, from 1.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The port that clients connect to, on `127.0.0.1`.
    pub fn port(&self) -> u16 {
        self.ports.plain.number()
    }

    /// Its address as `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Its address for another listener, if it has that.
    pub fn address_of(&self, listener: Listener) -> Option<String> {
        let (_, port) = self.ports.secure.iter().find(|(of, _)| *of == listener)?;
        Some(format!("127.0.0.1:{}", port.number()))
    }

    /// Its process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.run().process.as_ref().map(Guarded::pid)
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.files.data
    }

    /// The log file of its last start.
    pub fn log_file(&self) -> PathBuf {
        self.run().log.clone()
    }

    /// Starts it after [`Self::stop`] or [`Self::kill`], on the same port and data, and waits until it is ready.
    ///
    /// One of three nodes becomes ready only while a majority runs: start them with [`Self::spawn`] first.
    pub fn start(&self) -> Result<()> {
        self.spawn()?;
        self.wait_ready()
    }

    /// Starts it without waiting. No effect if it runs.
    pub fn spawn(&self) -> Result<()> {
        let mut run = self.run();
        if run.process.is_some() {
            return Ok(());
        }
        run.starts += 1;
        run.log = self.files.logs.join(format!("node-{}-start-{}.log", self.id, run.starts));
        let log = File::create(&run.log).map_err(Error::io(format!("create {}", run.log.display())))?;
        let mut command: Vec<OsString> = ["sh", "-c", RUN, "sh"].map(OsString::from).into();
        command.push(self.files.properties.clone().into());
        command.push(self.cluster_id.clone().unwrap_or_default().into());
        command.push(self.files.data.clone().into());
        let limits = Limits { heap_mib_max: HEAP_MIB_MAX };
        let mut java = java::command(&self.class_path, &self.files.scratch, limits)?;
        command.append(&mut java);
        command.extend(self.java_options.iter().map(OsString::from));
        run.process = Some(Guarded::spawn(&command, &log).map_err(Error::io("run java"))?);
        Ok(())
    }

    /// Waits until the broker serves; an error with the end of its log if it ends before.
    pub fn wait_ready(&self) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        let with_zookeeper = format!("[KafkaServer id={}] started", self.id);
        let ready = wait::poll(deadline, || {
            let state = self.state()?;
            // After the state: by then the log has everything that a broker wrote before its end.
            match state {
                _ if self.log_has(&[STARTED, &with_zookeeper]) && state == State::Running => Ok(Some(())),
                State::Running => Ok(None),
                State::Ended(status) => Err(self.failed(&format!("ended at its start ({status})"))),
                State::None => Err(self.failed("is not running")),
            }
        })?;
        ready.ok_or_else(|| self.failed(&format!("was not ready within {} s", START_DEADLINE.as_secs())))
    }

    /// Stops it in order (SIGTERM) and waits for its end. No effect if it does not run; resume a paused one first.
    pub fn stop(&self) -> Result<()> {
        let mut run = self.run();
        let Some(process) = &mut run.process else { return Ok(()) };
        process.signal(Signal::Term).map_err(Error::io("stop a broker"))?;
        let ended = process.wait_until(Instant::now() + STOP_DEADLINE).map_err(Error::io("wait for a broker"))?;
        run.process = None;
        drop(run);
        match ended {
            Some(_) => Ok(()),
            None => Err(self.failed(&format!("did not stop within {} s and was killed", STOP_DEADLINE.as_secs()))),
        }
    }

    /// Kills it (SIGKILL), paused or not, and waits for its end. No effect if it does not run.
    pub fn kill(&self) -> Result<()> {
        match self.run().process.take() {
            Some(mut process) => process.kill().map_err(Error::io("kill a broker")),
            None => Ok(()),
        }
    }

    /// Pauses it (SIGSTOP): its connections stay open, and it sends no responses.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::Stop)
    }

    /// Resumes it after [`Self::pause`] (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::Cont)
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.state()? == State::Running)
    }

    /// Whether the last start failed because another program had its port.
    pub(crate) fn lost_its_port(&self) -> bool {
        self.log_has(&PORT_TAKEN)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        match &self.run().process {
            Some(process) => process.signal(signal).map_err(Error::io("signal a broker")),
            None => Err(Error::Usage(format!("Kafka node {} is not running", self.id))),
        }
    }

    fn state(&self) -> Result<State> {
        let mut run = self.run();
        let Some(process) = &mut run.process else { return Ok(State::None) };
        let ended = process.try_wait().map_err(Error::io("wait for a broker"))?;
        Ok(ended.map_or(State::Running, State::Ended))
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        // A panic of another test leaves the process in a known state.
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_has(&self, texts: &[&str]) -> bool {
        // A missing log is an empty log.
        let log = read_lossy(&self.log_file()).unwrap_or_default();
        texts.iter().any(|text| log.contains(text))
    }

    fn failed(&self, what: &str) -> Error {
        let log = self.log_file();
        let tail = match read_lossy(&log) {
            Ok(text) => {
                let lines: Vec<&str> = text.lines().collect();
                lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
            }
            Err(error) => format!("(unreadable: {error})"),
        };
        Error::Broker { node: self.id, what: what.to_owned(), log, tail }
    }
}

fn read_lossy(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}
