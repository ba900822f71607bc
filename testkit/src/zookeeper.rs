//! One ZooKeeper server, for clusters of Kafka 2 and older. Must not know brokers.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::guard::Guarded;
use crate::java::{self, Limits};
use crate::ports::Port;
use crate::wait;

const START_DEADLINE: Duration = Duration::from_mins(2);

const HEAP_MIB_MAX: u32 = 64;

/// A server on the loopback; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct ZooKeeper {
    port: Port,
    directory: PathBuf,
    log: PathBuf,
    class_path: String,
    process: Mutex<Option<Guarded>>,
}

impl ZooKeeper {
    /// Creates its files below `directory`, which must exist; its log is `log`. Does not start it.
    pub(crate) fn lay_out(directory: PathBuf, log: PathBuf, class_path: String) -> Result<Self> {
        let port = Port::choose()?;
        let properties = format!(
            "dataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\ntickTime=500\n\
             admin.enableServer=false\n",
            directory.join("data").display(),
            port.number()
        );
        for path in [directory.clone(), directory.join("scratch")] {
            fs::create_dir_all(&path).map_err(Error::io(format!("create {}", path.display())))?;
        }
        let path = directory.join("zookeeper.properties");
        fs::write(&path, properties).map_err(Error::io(format!("write {}", path.display())))?;
        Ok(Self { port, directory, log, class_path, process: Mutex::new(None) })
    }

    /// The value of a broker's `zookeeper.connect`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// Starts it and waits until it listens. No effect if it was started.
    pub(crate) fn start(&self) -> Result<()> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if process.is_some() {
            return Ok(());
        }
        let log = File::create(&self.log).map_err(Error::io(format!("create {}", self.log.display())))?;
        let scratch = self.directory.join("scratch");
        let mut command = java::command(&self.class_path, &scratch, Limits { heap_mib_max: HEAP_MIB_MAX })?;
        command.push(OsString::from("org.apache.zookeeper.server.quorum.QuorumPeerMain"));
        command.push(self.directory.join("zookeeper.properties").into_os_string());
        let mut started = Guarded::spawn(&command, &log).map_err(Error::io("run java"))?;
        let ready = wait::poll(Instant::now() + START_DEADLINE, || {
            if started.try_wait().map_err(Error::io("wait for ZooKeeper"))?.is_some() {
                let output = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(Error::Program { command: "ZooKeeper".to_owned(), output });
            }
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port.number())).is_ok().then_some(()))
        })?;
        *process = Some(started);
        ready.ok_or_else(|| Error::TimedOut { what: "ZooKeeper's start".to_owned(), waited: START_DEADLINE })
    }
}
