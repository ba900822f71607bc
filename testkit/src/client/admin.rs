//! Topics, offsets and groups, through Kafka's admin client.

use std::collections::BTreeMap;

use super::Client;
use crate::error::{Error, Result};

/// The committed offset of a group for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch that was committed with it.
    pub leader_epoch: Option<i32>,
    /// The text that was committed with it.
    pub metadata: String,
}

impl Client {
    /// Creates a topic, with its [settings](https://kafka.apache.org/documentation/#topicconfigs), and waits until each
    /// partition has a leader. Returns the topic's id as Kafka prints it.
    pub fn create_topic(&self, name: &str, partitions: u32, settings: &[(&str, &str)]) -> Result<String> {
        let partitions = partitions.to_string();
        let mut arguments = vec![name, &partitions];
        arguments.extend(settings.iter().flat_map(|(name, value)| [*name, *value]));
        self.ask_one("create a topic", "create-topic", &arguments)
    }

    /// Creates a topic of one partition on these nodes alone, the first of which is to lead it; else as
    /// [`Self::create_topic`].
    pub fn create_topic_on(&self, name: &str, nodes: &[u16], settings: &[(&str, &str)]) -> Result<String> {
        let nodes = nodes.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
        let mut arguments = vec![name, &nodes];
        arguments.extend(settings.iter().flat_map(|(name, value)| [*name, *value]));
        self.ask_one("create a topic", "create-topic-on", &arguments)
    }

    /// Limits what clients of that id may do, such as
    /// [`consumer_byte_rate`](https://kafka.apache.org/documentation/#design_quotas), in units per second.
    pub fn set_client_quota(&self, client_id: &str, quota: &str, per_second: u32) -> Result<()> {
        let arguments = [client_id, quota, &per_second.to_string()];
        self.ask("set a quota", "client-quota", &arguments).map(drop)
    }

    /// Deletes a topic and waits until it does not exist.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        self.ask("delete a topic", "delete-topic", &[name]).map(drop)
    }

    /// Whether there is a topic of that name.
    pub fn topic_exists(&self, name: &str) -> Result<bool> {
        Ok(self.ask_one("describe a topic", "topic-exists", &[name])? == "true")
    }

    /// A topic's id, as Kafka prints it.
    pub fn topic_id(&self, name: &str) -> Result<String> {
        self.ask_one("describe a topic", "topic-id", &[name])
    }

    /// The node that leads each partition; `None` while there is none.
    pub fn leaders(&self, topic: &str) -> Result<Vec<Option<u16>>> {
        let leaders = self.ask("describe a topic", "leaders", &[topic])?;
        Ok(leaders.iter().map(|id| id.parse().ok()).collect())
    }

    /// Adds partitions to a topic, and waits until they have leaders.
    pub fn add_partitions(&self, topic: &str, total: u32) -> Result<()> {
        self.ask("add partitions", "add-partitions", &[topic, &total.to_string()]).map(drop)
    }

    /// Changes settings of a topic.
    pub fn configure_topic(&self, topic: &str, settings: &[(&str, &str)]) -> Result<()> {
        let mut arguments = vec![topic];
        arguments.extend(settings.iter().flat_map(|(name, value)| [*name, *value]));
        self.ask("configure a topic", "configure-topic", &arguments).map(drop)
    }

    /// Deletes the records of a partition before an offset, as retention does.
    pub fn delete_records(&self, topic: &str, partition: i32, before_offset: i64) -> Result<()> {
        let (partition, offset) = (partition.to_string(), before_offset.to_string());
        self.ask("delete records", "delete-records", &[topic, &partition, &offset]).map(drop)
    }

    /// The first offset of each partition.
    pub fn start_offsets(&self, topic: &str) -> Result<Vec<i64>> {
        self.list_offsets(topic, "start")
    }

    /// The next offset of each partition (the high watermark).
    pub fn end_offsets(&self, topic: &str) -> Result<Vec<i64>> {
        self.list_offsets(topic, "end")
    }

    /// The offset of each partition up to which no transaction is open (the last stable offset).
    pub fn stable_offsets(&self, topic: &str) -> Result<Vec<i64>> {
        self.list_offsets(topic, "stable")
    }

    /// The committed offsets of a group, by topic and partition; empty for a group that does not exist.
    pub fn committed_offsets(&self, group: &str) -> Result<BTreeMap<(String, i32), CommittedOffset>> {
        const REQUEST: &str = "list the offsets of a group";
        let fields = self.ask(REQUEST, "committed", &[group])?;
        let (rows, _) = fields.as_chunks::<5>();
        let parsed = rows.iter().map(|[topic, partition, offset, epoch, metadata]| {
            let leader_epoch = epoch.parse().ok().filter(|&epoch: &i32| epoch >= 0);
            let committed = CommittedOffset { offset: offset.parse().ok()?, leader_epoch, metadata: metadata.clone() };
            Some(((topic.clone(), partition.parse().ok()?), committed))
        });
        parsed.collect::<Option<_>>().ok_or_else(|| unreadable(REQUEST, &fields))
    }

    /// Commits an offset for a group without members, as another client would.
    pub fn commit_offset(&self, group: &str, topic: &str, partition: i32, offset: i64, metadata: &str) -> Result<()> {
        let (partition, offset) = (partition.to_string(), offset.to_string());
        self.ask("commit an offset", "commit-offset", &[group, topic, &partition, &offset, metadata]).map(drop)
    }

    /// Removes a group without members, and its offsets.
    pub fn delete_group(&self, group: &str) -> Result<()> {
        self.ask("delete a group", "delete-group", &[group]).map(drop)
    }

    /// Creates a user that authenticates by `SCRAM-SHA-256` or `SCRAM-SHA-512`, or changes its password.
    pub fn set_scram_password(&self, user: &str, mechanism: &str, password: &str) -> Result<()> {
        self.ask("set a password", "set-scram-password", &[user, mechanism, password]).map(drop)
    }

    /// Allows a user an operation (such as `READ`) on a `TOPIC` or a `GROUP`; for secure clusters.
    pub fn allow(&self, user: &str, operation: &str, resource: &str, name: &str) -> Result<()> {
        self.ask("create an ACL", "allow", &[user, operation, resource, name]).map(drop)
    }

    fn list_offsets(&self, topic: &str, which: &str) -> Result<Vec<i64>> {
        const REQUEST: &str = "list offsets";
        let fields = self.ask(REQUEST, "list-offsets", &[topic, which])?;
        let offsets: Option<Vec<i64>> = fields.iter().map(|field| field.parse().ok()).collect();
        offsets.ok_or_else(|| unreadable(REQUEST, &fields))
    }

    fn ask_one(&self, request: &'static str, name: &str, arguments: &[&str]) -> Result<String> {
        let fields = self.ask(request, name, arguments)?;
        fields.into_iter().next().ok_or_else(|| unreadable(request, &[]))
    }
}

pub(super) fn unreadable(request: &'static str, fields: &[String]) -> Error {
    Error::Client { request, detail: format!("unreadable answer {fields:?}") }
}
