//! The responses of the fake broker, with the error codes that a test has set. A refused request has no effect.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerProtocolAssignment, DescribeGroupsResponse, FetchRequest, FetchResponse, FindCoordinatorResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, SyncGroupRequest,
    SyncGroupResponse, TopicName, consumer_protocol_assignment,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::{Joined, Place, State, TOPIC, TOPIC_ID};

const NODE: BrokerId = BrokerId(1);
const MEMBER: &str = "m";
const HEARTBEAT_INTERVAL_MS: i32 = 100;
const UNKNOWN_MEMBER_ID: i16 = 25;
const ILLEGAL_GENERATION: i16 = 22;
const REBALANCE_IN_PROGRESS: i16 = 27;
const FENCED_LEADER_EPOCH: i16 = 74;
const UNKNOWN_LEADER_EPOCH: i16 = 75;
const FENCED_MEMBER_EPOCH: i16 = 110;
const STALE_MEMBER_EPOCH: i16 = 113;

/// The supported versions, lowest and highest.
const VERSIONS: [(ApiKey, i16, i16); 14] = [
    (ApiKey::Fetch, 12, 12),
    (ApiKey::ListOffsets, 7, 7),
    (ApiKey::Metadata, 12, 12),
    (ApiKey::OffsetCommit, 9, 9),
    (ApiKey::OffsetFetch, 9, 9),
    (ApiKey::FindCoordinator, 4, 4),
    (ApiKey::JoinGroup, 9, 9),
    (ApiKey::Heartbeat, 4, 4),
    (ApiKey::LeaveGroup, 5, 5),
    (ApiKey::SyncGroup, 5, 5),
    (ApiKey::DescribeGroups, 5, 5),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::OffsetForLeaderEpoch, 4, 4),
    (ApiKey::ConsumerGroupHeartbeat, 0, 0),
];

fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}

fn topic() -> TopicName {
    TopicName(text(TOPIC))
}

fn read<M: Decodable>(request: &mut Bytes, version: i16) -> M {
    M::decode(request, version).unwrap()
}

fn write(message: &impl Encodable, version: i16, to: &mut BytesMut) {
    message.encode(to, version).unwrap();
}

/// An assignment in the embedded consumer protocol.
fn encoded(partitions: &[i32]) -> Bytes {
    let of_topic = consumer_protocol_assignment::TopicPartition::default()
        .with_topic(topic())
        .with_partitions(partitions.to_vec());
    let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![of_topic]);
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    write(&assignment, 0, &mut bytes);
    bytes.freeze()
}

impl State {
    pub fn respond(&mut self, api: ApiKey, version: i16, request: &mut Bytes, to: &mut BytesMut) {
        match api {
            ApiKey::ApiVersions => {
                let known = VERSIONS.map(|(api, low, high)| {
                    ApiVersion::default().with_api_key(api as i16).with_min_version(low).with_max_version(high)
                });
                write(&ApiVersionsResponse::default().with_api_keys(known.to_vec()), version, to);
            }
            ApiKey::Metadata => write(&self.metadata(), version, to),
            ApiKey::FindCoordinator => write(&self.find_coordinator(), version, to),
            ApiKey::JoinGroup => write(&self.join_group(&read(request, version)), version, to),
            ApiKey::SyncGroup => write(&self.sync_group(read(request, version)), version, to),
            ApiKey::Heartbeat => write(&self.heartbeat(&read(request, version)), version, to),
            ApiKey::LeaveGroup => write(&self.leave_group(), version, to),
            ApiKey::DescribeGroups => write(&self.describe_groups(), version, to),
            ApiKey::OffsetFetch => write(&self.offset_fetch(read(request, version)), version, to),
            ApiKey::OffsetCommit => write(&self.offset_commit(read(request, version)), version, to),
            ApiKey::ListOffsets => write(&self.list_offsets(read(request, version)), version, to),
            ApiKey::OffsetForLeaderEpoch => write(&self.epoch_ends(read(request, version)), version, to),
            ApiKey::Fetch => write(&self.fetch(read(request, version)), version, to),
            ApiKey::ConsumerGroupHeartbeat => write(&self.server_side(&read(request, version)), version, to),
            other => panic!("request {other:?}"),
        }
    }

    fn metadata(&mut self) -> MetadataResponse {
        let (of_topic, of_partition) = (self.code(Place::MetadataTopic), self.code(Place::MetadataPartition));
        let broker = MetadataResponseBroker::default()
            .with_node_id(NODE)
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(self.port);
        let partition = |number| {
            let code = if number == 0 { of_partition } else { 0 };
            MetadataResponsePartition::default()
                .with_error_code(code)
                .with_partition_index(number)
                .with_leader_id(if code == 0 { NODE } else { BrokerId(-1) })
                .with_leader_epoch(self.epoch())
        };
        let partitions = if of_topic == 0 { (0..self.partitions).map(partition).collect() } else { Vec::new() };
        let topic = MetadataResponseTopic::default()
            .with_error_code(of_topic)
            .with_name(Some(topic()))
            .with_topic_id(kafka_id())
            .with_partitions(partitions);
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(text("fake")))
            .with_topics(vec![topic])
    }

    fn find_coordinator(&mut self) -> FindCoordinatorResponse {
        let coordinator = Coordinator::default()
            .with_key(text("g"))
            .with_node_id(NODE)
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(self.port)
            .with_error_code(self.code(Place::FindCoordinator));
        FindCoordinatorResponse::default().with_coordinators(vec![coordinator])
    }

    fn join_group(&mut self, request: &JoinGroupRequest) -> JoinGroupResponse {
        let code = self.code(Place::JoinGroup);
        if code != 0 {
            return JoinGroupResponse::default().with_error_code(code);
        }
        if let Some(next) = self.joins.pop_front() {
            self.joined = next;
        }
        self.generation += 1;
        self.rebalances = false;
        self.has_left = false;
        if let Joined::LeadsAgain { ours, .. } | Joined::Follows { ours, .. } = &self.joined {
            self.assignment = encoded(ours);
        }
        let protocol = request.protocols.first().unwrap();
        let member = JoinGroupResponseMember::default()
            .with_member_id(text(MEMBER))
            .with_group_instance_id(request.group_instance_id.clone())
            .with_metadata(protocol.metadata.clone());
        let leads = !matches!(self.joined, Joined::Follows { .. });
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(protocol.name.clone()))
            .with_leader(text(if leads { MEMBER } else { "other" }))
            .with_skip_assignment(matches!(self.joined, Joined::LeadsAgain { .. }))
            .with_member_id(text(MEMBER))
            .with_members(if leads { vec![member] } else { Vec::new() })
    }

    fn sync_group(&mut self, request: SyncGroupRequest) -> SyncGroupResponse {
        let code = self.code(Place::SyncGroup);
        if code != 0 {
            return SyncGroupResponse::default().with_error_code(code);
        }
        if let Some(ours) = request.assignments.into_iter().find(|of| &*of.member_id == MEMBER) {
            self.assignment = ours.assignment;
        }
        SyncGroupResponse::default()
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(request.protocol_name)
            .with_assignment(self.assignment.clone())
    }

    fn heartbeat(&mut self, request: &HeartbeatRequest) -> HeartbeatResponse {
        let code = match self.code(Place::Heartbeat) {
            0 if &*request.member_id != MEMBER => UNKNOWN_MEMBER_ID,
            0 if request.generation_id != self.generation => ILLEGAL_GENERATION,
            0 if self.rebalances => REBALANCE_IN_PROGRESS,
            code => code,
        };
        HeartbeatResponse::default().with_error_code(code)
    }

    fn leave_group(&mut self) -> LeaveGroupResponse {
        let code = self.code(Place::LeaveGroup);
        self.has_left |= code == 0;
        let member = MemberResponse::default().with_member_id(text(MEMBER));
        LeaveGroupResponse::default().with_error_code(code).with_members(vec![member])
    }

    fn describe_groups(&mut self) -> DescribeGroupsResponse {
        let code = self.code(Place::DescribeGroups);
        let member = |name: &str, assignment| {
            DescribedGroupMember::default()
                .with_member_id(text(name))
                .with_client_id(text(name))
                .with_client_host(text("/127.0.0.1"))
                .with_member_assignment(assignment)
        };
        let mut members = vec![member(MEMBER, self.assignment.clone())];
        if let Joined::LeadsAgain { others, .. } | Joined::Follows { others, .. } = &self.joined {
            members.push(member("other", encoded(others)));
        }
        let state = if self.generation == 0 || self.rebalances { "PreparingRebalance" } else { "Stable" };
        let group = DescribedGroup::default()
            .with_error_code(code)
            .with_group_id(GroupId(text("g")))
            .with_group_state(text(state))
            .with_protocol_type(text("consumer"))
            .with_members(members);
        DescribeGroupsResponse::default().with_groups(vec![group])
    }

    fn offset_fetch(&mut self, request: OffsetFetchRequest) -> OffsetFetchResponse {
        let (of_group, of_partition) = (self.code(Place::OffsetFetch), self.code(Place::OffsetFetchPartition));
        let partition = |number: i32| {
            let committed = self.committed.get(&number);
            OffsetFetchResponsePartitions::default()
                .with_partition_index(number)
                .with_committed_offset(committed.copied().unwrap_or(-1))
                .with_committed_leader_epoch(-1)
                .with_metadata(Some(text("ours")))
                .with_error_code(of_partition)
        };
        let requested = request.groups.into_iter().next().unwrap();
        let topics = requested.topics.unwrap_or_default().into_iter().map(|of| {
            OffsetFetchResponseTopics::default()
                .with_name(of.name)
                .with_partitions(of.partition_indexes.into_iter().map(partition).collect())
        });
        let topics = if of_group == 0 { topics.collect() } else { Vec::new() };
        let group = OffsetFetchResponseGroup::default()
            .with_group_id(requested.group_id)
            .with_error_code(of_group)
            .with_topics(topics);
        OffsetFetchResponse::default().with_groups(vec![group])
    }

    fn offset_commit(&mut self, request: OffsetCommitRequest) -> OffsetCommitResponse {
        let is_member = request.generation_id_or_member_epoch == self.generation;
        let current = is_member || (request.generation_id_or_member_epoch == -1 && self.generation == 0);
        let code = match self.code(Place::OffsetCommit) {
            0 if !current && &*request.member_id == MEMBER => ILLEGAL_GENERATION,
            0 if !current => STALE_MEMBER_EPOCH,
            code => code,
        };
        let topics = request.topics.into_iter().map(|of| {
            let partitions = of.partitions.into_iter().map(|partition| {
                if code == 0 {
                    self.committed.insert(partition.partition_index, partition.committed_offset);
                }
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code)
            });
            OffsetCommitResponseTopic::default().with_name(of.name).with_partitions(partitions.collect())
        });
        OffsetCommitResponse::default().with_topics(topics.collect())
    }

    fn list_offsets(&mut self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let code = self.code(Place::ListOffsets);
        let topics = request.topics.into_iter().map(|of| {
            let partitions = of.partitions.into_iter().map(|requested| {
                let end = self.end_offset(requested.partition_index);
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(requested.partition_index)
                    .with_error_code(code)
                    .with_timestamp(-1)
                    .with_offset(if requested.timestamp == -2 { 0 } else { end })
                    .with_leader_epoch(self.epoch())
            });
            ListOffsetsTopicResponse::default().with_name(of.name).with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }

    fn epoch_ends(&mut self, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
        let code = self.code(Place::OffsetForLeaderEpoch);
        let topics = request.topics.into_iter().map(|of| {
            let partitions = of.partitions.into_iter().map(|requested| {
                let known = self.epochs.iter().rposition(|(epoch, _)| *epoch <= requested.leader_epoch).unwrap();
                let end = self.epochs.get(known + 1).map_or(self.end_offset(requested.partition), |(_, begin)| *begin);
                EpochEndOffset::default()
                    .with_error_code(code)
                    .with_partition(requested.partition)
                    .with_leader_epoch(self.epochs[known].0)
                    .with_end_offset(end)
            });
            OffsetForLeaderTopicResult::default().with_topic(of.topic).with_partitions(partitions.collect())
        });
        OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
    }

    pub fn has_records(&self, request: &Bytes, version: i16) -> bool {
        let request: FetchRequest = read(&mut request.clone(), version);
        let mut requested = request.topics.iter().flat_map(|of| &of.partitions);
        requested.any(|requested| {
            requested.fetch_offset < self.end_offset(requested.partition)
                || requested.current_leader_epoch != self.epoch()
        })
    }

    fn fetch(&mut self, request: FetchRequest) -> FetchResponse {
        let code = self.code(Place::Fetch);
        if code != 0 {
            return FetchResponse::default().with_error_code(code);
        }
        let of_partition = self.code(Place::FetchPartition);
        let topics = request.topics.into_iter().map(|of| {
            let partitions = of.partitions.into_iter().map(|requested| {
                let code = match requested.current_leader_epoch.cmp(&self.epoch()) {
                    _ if of_partition != 0 => of_partition,
                    std::cmp::Ordering::Less => FENCED_LEADER_EPOCH,
                    std::cmp::Ordering::Greater => UNKNOWN_LEADER_EPOCH,
                    std::cmp::Ordering::Equal => 0,
                };
                let log = self.logs.get(&requested.partition).into_iter().flatten();
                let records: Vec<Bytes> = if code == 0 {
                    log.skip(usize::try_from(requested.fetch_offset).unwrap()).cloned().collect()
                } else {
                    Vec::new()
                };
                let end = self.end_offset(requested.partition);
                PartitionData::default()
                    .with_partition_index(requested.partition)
                    .with_error_code(code)
                    .with_high_watermark(end)
                    .with_last_stable_offset(end)
                    .with_log_start_offset(0)
                    .with_preferred_read_replica(BrokerId(-1))
                    .with_records(Some(Bytes::from(records.concat())))
            });
            FetchableTopicResponse::default().with_topic(of.topic).with_partitions(partitions.collect())
        });
        FetchResponse::default().with_responses(topics.collect())
    }

    fn server_side(&mut self, request: &ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        let refusal = ConsumerGroupHeartbeatResponse::default();
        let place = if request.member_epoch < 0 { Place::LeaveGroup } else { Place::ConsumerGroupHeartbeat };
        let code = self.code(place);
        if code != 0 {
            return refusal.with_error_code(code);
        }
        match request.member_epoch {
            0 => self.generation += 1,
            epoch if epoch < 0 => self.has_left = true,
            epoch if epoch != self.generation => return refusal.with_error_code(FENCED_MEMBER_EPOCH),
            _ => {}
        }
        let all = TopicPartitions::default().with_topic_id(kafka_id()).with_partitions((0..self.partitions).collect());
        let is_full = request.subscribed_topic_names.is_some();
        ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(request.member_id.clone()))
            .with_member_epoch(if request.member_epoch < 0 { request.member_epoch } else { self.generation })
            .with_heartbeat_interval_ms(HEARTBEAT_INTERVAL_MS)
            .with_assignment(is_full.then(|| Assignment::default().with_topic_partitions(vec![all])))
    }
}

/// The id of the topic.
fn kafka_id<T: TryFrom<Vec<u8>>>() -> T {
    TOPIC_ID.to_vec().try_into().ok().unwrap()
}
