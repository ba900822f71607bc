//! What `check` and `status` find out about the cluster: [`requests`] reads from the brokers, [`judge`] applies the start rules of the
//! service to the responses, [`view`] holds the result. Changes nothing; must not print.

mod judge;
pub mod requests;
#[cfg(test)]
mod tests;
pub mod view;

use std::collections::BTreeMap;

use kafka::{Client, TopicPartition};

use crate::service::start_rules::Policy;
use crate::settings::Settings;
use judge::Judge;
use requests::{Requests, partitions_of};
use view::{Inspection, LocalState, PartitionInspection, TopicInspection};

/// Inspects the topics, the group and the partitions, with a few requests to each broker. Failed requests are among the failures of
/// the result.
pub fn inspect(settings: &Settings, client: &mut Client, local: &LocalState) -> Inspection {
    let mut inspection = Inspection::default();
    let mut requests = Requests::new(client, &settings.kafka);
    if let Some(metadata) = requests.metadata() {
        inspection.brokers = metadata.brokers.len();
        inspection.cluster_id = metadata.cluster_id.clone().unwrap_or_default();
        let existing = metadata.topics.iter().filter(|topic| topic.error.is_none());
        inspection.topics = existing.map(TopicInspection::of).collect();
        let judge = Judge { kafka: &settings.kafka, policy: Policy::of(settings), local, metadata: &metadata };
        let partitions = partitions_of(&metadata);
        inspection.partitions = partitions.iter().map(|at| (at.clone(), PartitionInspection::default())).collect();
        if !partitions.is_empty() {
            inspect_partitions(&mut requests, &judge, &mut inspection);
        }
    }
    requests.failures.into_inspection(inspection)
}

fn inspect_partitions(requests: &mut Requests<'_>, judge: &Judge<'_>, inspection: &mut Inspection) {
    let at: Vec<_> = inspection.partitions.keys().cloned().collect();
    update(inspection, requests.watermarks(&at), |partition, watermarks| partition.watermarks = Some(watermarks));
    if let Some(committed) = requests.committed(&at) {
        for (at, offset) in committed {
            inspection.partitions.entry(at).or_default().committed = Some(offset);
        }
        inspection.group = requests.group();
    }
    if let Some(group) = &inspection.group {
        let readers = judge.readers(group);
        update(inspection, readers, |partition, reader| partition.reader = reader);
    }
    judge.choose_starts(&mut inspection.partitions);
    let truncations: BTreeMap<_, _> =
        requests.truncations(&judge.positions_to_validate(&inspection.partitions)).into_iter().collect();
    judge.confirm_starts(&mut inspection.partitions, &truncations);
    let unread = requests.timestamps(&judge.unread_offsets(&inspection.partitions));
    update(inspection, unread, |partition, timestamp| partition.oldest_unread_ms = timestamp);
    let blocked = requests.timestamps(&judge::blocked_offsets(&inspection.partitions));
    update(inspection, blocked, |partition, timestamp| partition.blocked_since_ms = timestamp);
}

/// Sets a value of each known partition.
fn update<T>(
    inspection: &mut Inspection,
    values: impl IntoIterator<Item = (TopicPartition, T)>,
    mut set: impl FnMut(&mut PartitionInspection, T),
) {
    for (at, value) in values {
        if let Some(partition) = inspection.partitions.get_mut(&at) {
            set(partition, value);
        }
    }
}
