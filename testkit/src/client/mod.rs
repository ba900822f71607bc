//! Kafka's official Java client in a separate process (`testkit/java/`), and the connection to it. Must not know how the brokers were
//! started: it takes any bootstrap servers.

mod admin;
mod frame;
mod group;
mod produce;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::cache;
use crate::error::{Error, Result};
use crate::guard::TempDir;
use crate::jars::Jars;
use crate::java::{self, Limits};
use crate::ports;
use frame::Field;

pub use admin::CommittedOffset;
pub use group::{GroupDescription, GroupMember, GroupState};
pub use produce::{Codec, Position, ProduceOptions, Record, Transaction};

/// Longest time of a request: Java's own timeouts are 30 s each and 120 s for a delivery, and a request may have several.
const RESPONSE_DEADLINE: Duration = Duration::from_mins(3);

/// The producer buffers 32 MiB; the rest is for a request's records on their way.
const HEAP_MIB_MAX: u32 = 384;

/// Kafka's official Java client: produces, and manages topics, offsets and groups.
///
/// One process serves all threads, one request after the other; it runs from
/// [`Cluster::client`](crate::Cluster::client) or [`Client::connect`] until it is dropped.
#[derive(Debug)]
pub struct Client {
    process: Mutex<Driver>,
    log: PathBuf,
    // Dropped last: Java has its native libraries there.
    _scratch: TempDir,
}

#[derive(Debug)]
struct Driver {
    child: Child,
    requests: Option<BufWriter<ChildStdin>>,
    responses: Receiver<io::Result<Vec<Field>>>,
}

impl Client {
    /// Starts a client of that version of Kafka for any cluster that listens without encryption.
    ///
    /// Returns at once; the first request fails if the cluster cannot be reached.
    pub fn connect(version: &str, bootstrap_servers: &str) -> Result<Self> {
        Self::start(&Jars::of(version)?, bootstrap_servers)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).child.id()
    }

    pub(crate) fn start(jars: &Jars, bootstrap_servers: &str) -> Result<Self> {
        let name = format!("client-{}-{:08x}", process::id(), ports::random() & 0xffff_ffff);
        let path = cache::root().join("run").join(name);
        let scratch = TempDir::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
        let log = path.join("client.log");
        let errors = File::create(&log).map_err(Error::io(format!("create {}", log.display())))?;
        let class_path = jars.class_path_with_driver()?;
        let mut arguments = java::command(&class_path, &path, Limits { heap_mib_max: HEAP_MIB_MAX })?;
        arguments.extend(["Driver", bootstrap_servers].map(OsString::from));
        let process = Driver::spawn(&arguments, errors).map_err(Error::io("run java"))?;
        Ok(Self { process: Mutex::new(process), log, _scratch: scratch })
    }

    /// Sends a request of text fields and returns the response's fields.
    fn ask(&self, request: &'static str, name: &str, arguments: &[&str]) -> Result<Vec<String>> {
        let fields: Vec<&[u8]> = iter_bytes(name, arguments);
        let response = self.exchange(request, |requests| frame::write(requests, fields.iter().copied().map(Some)))?;
        Ok(response.into_iter().map(|field| String::from_utf8_lossy(&field.unwrap_or_default()).into_owned()).collect())
    }

    /// Sends a request, receives the response, and removes its status field.
    fn exchange(
        &self,
        request: &'static str,
        write: impl FnOnce(&mut BufWriter<ChildStdin>) -> io::Result<()>,
    ) -> Result<Vec<Field>> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let response = process.exchange(write).map_err(|source| self.failed(request, &source.to_string()))?;
        let mut fields = response.into_iter();
        if fields.next().flatten().as_deref() == Some(b"ok") {
            return Ok(fields.collect());
        }
        let detail = fields.next().flatten().unwrap_or_default();
        Err(Error::Client { request, detail: String::from_utf8_lossy(&detail).into_owned() })
    }

    fn failed(&self, request: &'static str, what: &str) -> Error {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        Error::Client { request, detail: format!("{what}; it said:\n{said}") }
    }
}

fn iter_bytes<'a>(name: &'a str, arguments: &[&'a str]) -> Vec<&'a [u8]> {
    std::iter::once(name).chain(arguments.iter().copied()).map(str::as_bytes).collect()
}

impl Driver {
    fn spawn(command: &[OsString], errors: File) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()?;
        let requests = child.stdin.take().map(|input| BufWriter::with_capacity(1 << 16, input));
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, responses) = mpsc::channel();
        // Reads on a thread, so that waiting for a response can have a deadline. Ends with the process.
        thread::Builder::new().name("kafka client".to_owned()).spawn(move || {
            let mut output = BufReader::with_capacity(1 << 16, output);
            loop {
                let response = frame::read(&mut output);
                let last = response.is_err();
                if sender.send(response).is_err() || last {
                    break;
                }
            }
        })?;
        Ok(Self { child, requests, responses })
    }

    fn exchange(&mut self, write: impl FnOnce(&mut BufWriter<ChildStdin>) -> io::Result<()>) -> io::Result<Vec<Field>> {
        let requests =
            self.requests.as_mut().ok_or_else(|| io::Error::other("it was discarded after an earlier failure"))?;
        let written = write(requests).and_then(|()| requests.flush());
        let response = match written {
            Ok(()) => self.responses.recv_timeout(RESPONSE_DEADLINE),
            Err(error) => {
                self.requests = None;
                return Err(error);
            }
        };
        match response {
            Ok(response) => response,
            Err(reason) => {
                // Its next response would belong to this request: discard the process.
                self.requests = None;
                Err(match reason {
                    RecvTimeoutError::Timeout => {
                        io::Error::other(format!("no response within {} s", RESPONSE_DEADLINE.as_secs()))
                    }
                    RecvTimeoutError::Disconnected => io::Error::other("it has ended"),
                })
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Killed, not stopped in order: an open transaction stays open, as documented in `Transaction`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
