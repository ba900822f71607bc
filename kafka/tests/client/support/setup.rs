//! A topic and a group of their own for a test, on one broker of each version.

use std::thread;
use std::time::Duration;

use kafka::{Builder, Client, ConnectionSettings, Consumer, TopicPartition};
use testkit::{Cluster, ProduceOptions, unique};

use super::{Reader, addresses};

/// One broker of each version, with a topic of its own and a consumer that requests metadata often.
pub fn on_each_version(topic: &str, partitions: u32, settings: &[(&str, &str)], test: impl Fn(&Setup) + Sync) {
    thread::scope(|scope| {
        let run = |version| {
            let cluster = testkit::shared(version).unwrap();
            let (topic, group) = (unique(topic), unique("group"));
            if partitions > 0 {
                let kafka = cluster.client().unwrap();
                kafka.create_topic(&topic, partitions, settings).unwrap();
                // The leaders respond: metadata names them a moment before they exist, and the first batches of an
                // idempotent producer that fall into that moment may come out of order, which it never recovers from.
                kafka.end_offsets(&topic).unwrap();
            }
            test(&Setup { cluster, topic, group });
        };
        for version in testkit::VERSIONS {
            scope.spawn(move || run(version));
        }
    });
}

pub struct Setup {
    pub cluster: &'static Cluster,
    pub topic: String,
    pub group: String,
}

impl Setup {
    pub fn kafka(&self) -> &testkit::Client {
        self.cluster.client().unwrap()
    }

    pub fn builder(&self) -> Builder {
        Consumer::from_hosts(addresses(&self.cluster.bootstrap_servers()))
            .with_topic(self.topic.as_str())
            .with_group(self.group.as_str())
            .with_client_id("test")
            .with_metadata_max_age(Duration::from_millis(200))
    }

    pub fn reader(&self) -> Reader {
        Reader::new(self.builder())
    }

    pub fn client(&self) -> Client {
        Client::new(addresses(&self.cluster.bootstrap_servers()), ConnectionSettings::default())
    }

    pub fn at(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), partition)
    }

    pub fn produce(&self, options: &ProduceOptions, records: impl IntoIterator<Item = testkit::Record>) {
        self.kafka().produce(&self.topic, options, records).unwrap();
    }

    /// Values `0`, `1`, … in one partition.
    pub fn produce_numbers(&self, partition: i32, numbers: std::ops::Range<i64>) {
        let records = numbers.map(|n| testkit::Record::value(n.to_string()).partition(partition));
        self.produce(&ProduceOptions::default(), records);
    }
}

/// The values of [`Setup::produce_numbers`].
pub fn numbers(range: std::ops::Range<i64>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}
