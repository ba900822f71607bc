//! Clusters of one or more nodes: creates their files and configuration, and starts the nodes together.

use std::fmt::Write as _;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use crate::OLDEST;
use crate::cache;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::guard::TempDir;
use crate::jars::Jars;
use crate::node::{Files, Node, Ports};
use crate::ports::{self, Port};
use crate::secure::{self, Certificates, Listener};
use crate::tokens::Tokens;
use crate::zookeeper::ZooKeeper;

/// Greatest number of starts, each after a foreign server has bound one of the ports.
const START_ATTEMPTS_MAX: u32 = 5;

/// Greatest number of log directories of earlier clusters that are kept.
const LOG_DIRECTORIES_MAX: usize = 40;

/// A running Kafka cluster. Dropping it kills the brokers and removes their data (unless
/// [`Builder::data_dir`] says where to keep it); their logs stay for a while in `target/testkit/logs`.
///
/// All methods take `&self`, so that one cluster can serve many tests at once: see [`shared`](crate::shared).
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: the directory after everything that uses it.
    client: OnceLock<Client>,
    client_starts: Mutex<()>,
    nodes: Vec<Node>,
    zookeeper: Option<ZooKeeper>,
    keeps_data: bool,
    version: String,
    /// The jars of the client and the tools.
    jars: Jars,
    directory: TempDir,
}

/// The configuration of a [`Cluster`].
#[derive(Clone, Debug)]
pub struct Builder {
    version: String,
    nodes: u16,
    port: Option<u16>,
    data_dir: Option<PathBuf>,
    is_secure: bool,
    properties: Vec<(String, String)>,
}

impl Builder {
    /// The number of nodes; 1 by default. The internal topics are replicated to each node.
    #[must_use]
    pub fn nodes(mut self, nodes: u16) -> Self {
        self.nodes = nodes;
        self
    }

    /// The port of a single node. Without it, free ones are found.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Keeps data and logs of the brokers in this directory, and uses existing data; the brokers are stopped in order when the
    /// cluster is dropped.
    #[must_use]
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Gives each broker every [`Listener`] in addition to the plain one, and an authorizer.
    #[must_use]
    pub fn secure(mut self) -> Self {
        self.is_secure = true;
        self
    }

    /// Adds a [broker property](https://kafka.apache.org/documentation/#brokerconfigs), or replaces one of the kit's.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Starts the brokers, together, and waits until each of them is ready.
    pub fn start(&self) -> Result<Cluster> {
        if self.nodes == 0 || (self.nodes > 1 && self.port.is_some()) {
            return Err(Error::Usage("a cluster has at least one node, and one with a fixed port just one".to_owned()));
        }
        if let Some(port) = self.port.filter(|&port| !ports::is_free(port)) {
            return Err(Error::Usage(format!("port {port} is in use by another program")));
        }
        let jars = Jars::of(&self.version)?;
        if jars.needs_zookeeper() && (self.is_secure || self.data_dir.is_some()) {
            return Err(Error::Usage(format!("a cluster of Kafka {} has no TLS and keeps no data here", self.version)));
        }
        let mut attempt = 1;
        loop {
            let cluster = self.lay_out(&jars)?;
            let outcome = cluster.spawn().and_then(|()| cluster.wait_ready());
            match outcome {
                Ok(()) => return Ok(cluster),
                Err(_) if attempt < START_ATTEMPTS_MAX && cluster.nodes.iter().any(Node::lost_its_port) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Creates everything except the processes.
    fn lay_out(&self, jars: &Jars) -> Result<Cluster> {
        let name = format!("{}-{:08x}", process::id(), ports::random() & 0xffff_ffff);
        let path = cache::root().join("run").join(&name);
        let directory = TempDir::create(&path).map_err(Error::io(format!("create {}", path.display())))?;
        let data = self.data_dir.clone().unwrap_or_else(|| path.clone());
        // Absolute paths: the configuration must not depend on the working directory.
        let data = std::path::absolute(&data).map_err(Error::io(format!("find {}", data.display())))?;
        let logs = match self.data_dir {
            Some(_) => data.join("logs"),
            None => new_log_directory(&name),
        };
        fs::create_dir_all(&logs).map_err(Error::io(format!("create {}", logs.display())))?;

        let ids: Vec<u16> = (1..=self.nodes).collect();
        let controllers = ids.iter().map(|_| Port::choose()).collect::<Result<Vec<Port>>>()?;
        let voters: Vec<String> =
            iter::zip(&ids, &controllers).map(|(id, port)| format!("{id}@127.0.0.1:{}", port.number())).collect();
        let voters = voters.join(",");
        let zookeeper = jars
            .needs_zookeeper()
            .then(|| ZooKeeper::lay_out(path.join("zookeeper"), logs.join("zookeeper.log"), jars.class_path()))
            .transpose()?;
        let cluster_id = zookeeper.is_none().then(new_cluster_id);
        let certificates = self.is_secure.then(Certificates::get).transpose()?;
        let mut nodes = Vec::new();
        for (id, controller) in iter::zip(ids, controllers) {
            let port = self.port.map_or_else(Port::choose, |number| Ok(Port::fixed(number)))?;
            let scratch = path.join(format!("scratch-{id}"));
            fs::create_dir_all(&scratch).map_err(Error::io(format!("create {}", scratch.display())))?;
            let properties = path.join(format!("node-{id}.properties"));
            let files = Files { data: data.join(format!("node-{id}")), properties, logs: logs.clone(), scratch };
            let mode = match &zookeeper {
                Some(zookeeper) => with_zookeeper(id, &port, zookeeper),
                None => with_kraft(id, &port, &controller, &voters),
            };
            let mut text = self.properties_of(id, &mode, &files.data);
            let (mut secure, mut java_options) = (Vec::new(), Vec::new());
            if let Some(certificates) = &certificates {
                for listener in Listener::ALL {
                    secure.push((listener, Port::choose()?));
                }
                let plain = plain_listeners(&port, &controller);
                let key_url = Tokens::get()?.key_url()?;
                text += &secure::properties(&plain, &secure, certificates, &key_url);
                java_options.push(format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={key_url}"));
            }
            fs::write(&files.properties, text).map_err(Error::io(format!("write {}", files.properties.display())))?;
            nodes.push(Node::new(
                id,
                Ports { plain: port, _controller: controller, secure },
                files,
                jars.class_path(),
                java_options,
                cluster_id.clone(),
            ));
        }
        let keeps_data = self.data_dir.is_some();
        let jars = if jars.needs_zookeeper() { Jars::of(OLDEST)? } else { jars.clone() };
        let (client, client_starts, version) = (OnceLock::new(), Mutex::new(()), self.version.clone());
        Ok(Cluster { client, client_starts, nodes, zookeeper, keeps_data, version, jars, directory })
    }

    /// A node's configuration file: small and quick, without retention by time (a broker deletes records with timestamps of a week ago
    /// half a minute after its start); otherwise Kafka's defaults.
    fn properties_of(&self, id: u16, mode: &str, data: &Path) -> String {
        let replicas = self.nodes;
        let in_sync_min = replicas.div_ceil(2);
        let mut text = format!(
            "{mode}\
             broker.rack=rack-{id}\n\
             log.dirs={}\n\
             default.replication.factor={replicas}\n\
             log.retention.ms=-1\n\
             offsets.topic.replication.factor={replicas}\n\
             offsets.topic.num.partitions={replicas}\n\
             transaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.num.partitions={replicas}\n\
             transaction.state.log.min.isr={in_sync_min}\n\
             group.initial.rebalance.delay.ms=0\n\
             num.network.threads=2\n\
             num.io.threads=3\n\
             background.threads=2\n\
             log.cleaner.dedupe.buffer.size=2097152\n\
             log.cleaner.backoff.ms=500\n",
            data.display()
        );
        for (name, value) in &self.properties {
            // The last line of a name wins. Writing to a String cannot fail.
            let _ = writeln!(text, "{name}={}", value.replace('\\', "\\\\"));
        }
        text
    }
}

impl Cluster {
    /// One node of that version (such as `4.3.1`) with default properties.
    pub fn start(version: &str) -> Result<Self> {
        Self::builder(version).start()
    }

    /// Configures a cluster.
    pub fn builder(version: &str) -> Builder {
        Builder {
            version: version.to_owned(),
            nodes: 1,
            port: None,
            data_dir: None,
            is_secure: false,
            properties: Vec::new(),
        }
    }

    /// Kafka's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The value of `KAFKA_BOOTSTRAP_SERVERS`: every node as `host:port`, separated by commas.
    pub fn bootstrap_servers(&self) -> String {
        self.nodes.iter().map(Node::address).collect::<Vec<_>>().join(",")
    }

    /// Like [`Self::bootstrap_servers`], for another listener; empty if the cluster is not [secure](Builder::secure).
    pub fn bootstrap_servers_of(&self, listener: Listener) -> String {
        self.nodes.iter().filter_map(|node| node.address_of(listener)).collect::<Vec<_>>().join(",")
    }

    /// The nodes, by id.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with this id; the first has 1.
    pub fn node(&self, id: u16) -> Result<&Node> {
        let node = self.nodes.iter().find(|node| node.id() == id);
        node.ok_or_else(|| Error::Usage(format!("the cluster has no node {id}, only 1 to {}", self.nodes.len())))
    }

    /// Starts every node that does not run, without waiting.
    pub fn spawn(&self) -> Result<()> {
        self.zookeeper.as_ref().map_or(Ok(()), ZooKeeper::start)?;
        self.nodes.iter().try_for_each(Node::spawn)
    }

    /// Waits until every node is ready.
    pub fn wait_ready(&self) -> Result<()> {
        self.nodes.iter().try_for_each(Node::wait_ready)
    }

    /// The official Java client, connected to this cluster; the first call starts it (half a second).
    pub fn client(&self) -> Result<&Client> {
        let _one_at_a_time = self.client_starts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::start(&self.jars, &self.bootstrap_servers())?;
        Ok(self.client.get_or_init(|| client))
    }

    pub(crate) fn jars(&self) -> &Jars {
        &self.jars
    }

    /// A directory for files that are removed with the cluster.
    pub fn run_dir(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.keeps_data {
            for node in &self.nodes {
                // A broker that does not stop in time is killed; its data survives that too.
                let _ = node.stop();
            }
        }
    }
}

/// Broker and controller in one process.
fn with_kraft(id: u16, port: &Port, controller: &Port, voters: &str) -> String {
    let listeners = plain_listeners(port, controller);
    format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         controller.listener.names=CONTROLLER\n\
         listeners={listeners}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,\
         SSL:SSL,SASL_SSL:SASL_SSL\n\
         group.consumer.min.heartbeat.interval.ms=200\n\
         group.consumer.heartbeat.interval.ms=500\n\
         controller.quorum.election.timeout.ms=500\n\
         controller.quorum.fetch.timeout.ms=2000\n\
         broker.heartbeat.interval.ms=1000\n\
         broker.session.timeout.ms=6000\n"
    )
}

fn with_zookeeper(id: u16, port: &Port, zookeeper: &ZooKeeper) -> String {
    format!(
        "broker.id={id}\n\
         zookeeper.connect={}\n\
         listeners=PLAINTEXT://127.0.0.1:{}\n",
        zookeeper.address(),
        port.number()
    )
}

/// The plain listeners of every broker.
fn plain_listeners(port: &Port, controller: &Port) -> String {
    format!("PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}", port.number(), controller.number())
}

/// Kafka's form of a UUID: 22 characters of URL-safe base64, the last of which holds two bits.
fn new_cluster_id() -> String {
    const ALPHABET: [char; 32] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
        'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7',
    ];
    let letters = (0..21).filter_map(|_| ALPHABET.get(usize::try_from(ports::random() % 32).ok()?));
    letters.chain(iter::once(&'A')).collect()
}

/// Creates a log directory, after removing old ones: they are kept for a while to explain failed tests.
fn new_log_directory(name: &str) -> PathBuf {
    let logs = cache::root().join("logs");
    let mut old: Vec<(SystemTime, PathBuf)> = fs::read_dir(&logs)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    old.sort();
    let surplus = old.len().saturating_sub(LOG_DIRECTORIES_MAX - 1);
    for (_, path) in old.into_iter().take(surplus) {
        // A directory that cannot be removed, or that another process removes at the same time, is harmless.
        let _ = fs::remove_dir_all(path);
    }
    logs.join(name)
}
