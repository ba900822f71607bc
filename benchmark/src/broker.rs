//! The broker that everything reads from, and the topics in it.

use std::path::Path;

use testkit::{Cluster, ProduceOptions};

use crate::Result;
use crate::events::Shape;
use crate::options::Options;
use crate::sets::DataSet;

/// Records of one call: Kafka's client keeps them in memory until the broker has acknowledged all of them.
const RECORDS_PER_CALL: u64 = 100_000;
/// As producers of much data are set: larger batches than by default, and time to fill them
/// ([batch.size, linger.ms](https://kafka.apache.org/documentation/#producerconfigs)).
pub const BATCH_BYTES: u32 = 64 << 10;
pub const LINGER_MS: u32 = 20;
/// A log in one piece, so that the stages can read it as a file.
const SEGMENT_BYTES: &str = "2147483647";
/// By default a segment has the records of seven days, by their timestamps.
const SEGMENT_MS: &str = "9223372036854775807";

/// A running broker.
pub struct Broker {
    cluster: Cluster,
}

impl Broker {
    pub fn start(options: &Options) -> Result<Self> {
        println!("starting a broker, Kafka {}", testkit::NEWEST);
        std::fs::create_dir_all(&options.work)?;
        Ok(Self { cluster: Cluster::builder(testkit::NEWEST).start()? })
    }

    pub fn servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Kafka's own client, which creates topics.
    pub fn client(&self) -> Result<&testkit::Client> {
        Ok(self.cluster.client()?)
    }

    /// Creates a topic with the events of a data set.
    pub fn fill(&self, set: &DataSet) -> Result<String> {
        println!("producing {} events: {}", set.events, set.title);
        let topic = testkit::unique(set.name);
        let client = self.client()?;
        client.create_topic(&topic, set.partitions, &[("segment.bytes", SEGMENT_BYTES), ("segment.ms", SEGMENT_MS)])?;
        let how = ProduceOptions::default().codec(set.codec).batch_bytes(BATCH_BYTES).linger_ms(LINGER_MS);
        self.produce(&topic, set.shape, &how, set.events)?;
        Ok(topic)
    }

    fn produce(&self, topic: &str, shape: Shape, how: &ProduceOptions, events: u64) -> Result<()> {
        let mut from = 0;
        while from < events {
            let to = events.min(from + RECORDS_PER_CALL);
            self.client()?.produce(topic, how, (from..to).map(|number| shape.record(number)))?;
            from = to;
        }
        Ok(())
    }

    /// Removes a topic and its data.
    pub fn remove(&self, topic: &str) -> Result<()> {
        Ok(self.client()?.delete_topic(topic)?)
    }

    /// The broker's own files.
    pub fn data_dir(&self) -> Result<&Path> {
        Ok(self.cluster.node(1)?.data_dir())
    }
}
