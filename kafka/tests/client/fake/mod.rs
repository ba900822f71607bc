//! A broker and group coordinator in memory, for what a real broker does not do on demand: it refuses chosen requests
//! with chosen codes, and responds to the requests of a group by a script. One node, one topic, one member. Encodes and
//! decodes by `kafka-protocol`; must not know what the client does with a response.

mod responses;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use kafka::Address;
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use testkit::FrameServer;

pub const TOPIC: &str = "t";
pub const TOPIC_ID: [u8; 16] = [7; 16];
pub const PARTITIONS: i32 = 2;
/// How long the response to a fetch without records is delayed.
const FETCH_WAIT: Duration = Duration::from_millis(10);

/// The place of an error code in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    MetadataTopic,
    MetadataPartition,
    FindCoordinator,
    JoinGroup,
    SyncGroup,
    Heartbeat,
    LeaveGroup,
    DescribeGroups,
    OffsetFetch,
    OffsetFetchPartition,
    OffsetCommit,
    ListOffsets,
    OffsetForLeaderEpoch,
    Fetch,
    FetchPartition,
    ConsumerGroupHeartbeat,
}

impl Place {
    /// The request of the response.
    pub fn request(self) -> &'static str {
        match self {
            Self::MetadataTopic | Self::MetadataPartition => "Metadata",
            Self::FindCoordinator => "FindCoordinator",
            Self::JoinGroup => "JoinGroup",
            Self::SyncGroup => "SyncGroup",
            Self::Heartbeat => "Heartbeat",
            Self::LeaveGroup => "LeaveGroup",
            Self::DescribeGroups => "DescribeGroups",
            Self::OffsetFetch | Self::OffsetFetchPartition => "OffsetFetch",
            Self::OffsetCommit => "OffsetCommit",
            Self::ListOffsets => "ListOffsets",
            Self::OffsetForLeaderEpoch => "OffsetForLeaderEpoch",
            Self::Fetch | Self::FetchPartition => "Fetch",
            Self::ConsumerGroupHeartbeat => "ConsumerGroupHeartbeat",
        }
    }
}

/// Refusals of the next requests.
#[derive(Clone, Copy, Debug)]
struct Fault {
    place: Place,
    code: i16,
    left: u32,
}

/// The coordinator's response to a member that joins a classic group.
#[derive(Clone, Debug)]
pub enum Joined {
    /// The member leads: it gets the assignment that it makes for itself.
    Leads,
    /// The member rejoins as the leader of a group that keeps its assignments.
    LeadsAgain { ours: Vec<i32>, others: Vec<i32> },
    /// Another member leads.
    Follows { ours: Vec<i32>, others: Vec<i32> },
}

/// A running broker; a drop stops it.
pub struct FakeBroker {
    shared: Arc<Shared>,
    server: FrameServer,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    port: i32,
    partitions: i32,
    /// Records of each partition, in order.
    logs: BTreeMap<i32, Vec<Bytes>>,
    /// Each leader epoch and the offset that it began at, of all partitions.
    epochs: Vec<(i32, i64)>,
    committed: BTreeMap<i32, i64>,
    fault: Option<Fault>,
    received: BTreeMap<i16, u32>,
    joins: VecDeque<Joined>,
    joined: Joined,
    generation: i32,
    /// The member's assignment, as the leader has encoded it.
    assignment: Bytes,
    /// The next heartbeat says that the group rebalances.
    rebalances: bool,
    has_left: bool,
}

impl FakeBroker {
    pub fn start(partitions: i32) -> Self {
        let listener = testkit::listen().unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            port: port.into(),
            partitions,
            logs: (0..partitions).map(|partition| (partition, Vec::new())).collect(),
            epochs: vec![(1, 0)],
            committed: BTreeMap::new(),
            fault: None,
            received: BTreeMap::new(),
            joins: VecDeque::new(),
            joined: Joined::Leads,
            generation: 0,
            assignment: Bytes::new(),
            rebalances: false,
            has_left: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        let server = FrameServer::start(listener, move |_, stream| serve(&serving, stream)).unwrap();
        Self { shared, server }
    }

    pub fn address(&self) -> Address {
        Address { host: "127.0.0.1".to_owned(), port: self.server.port() }
    }

    /// Refuses the next requests.
    pub fn refuse(&self, place: Place, code: i16, times: u32) {
        self.shared.lock().fault = Some(Fault { place, code, left: times });
    }

    /// The count of refusals that remain.
    pub fn refusals_left(&self) -> u32 {
        self.shared.lock().fault.map_or(0, |fault| fault.left)
    }

    /// The responses to the next joins, in order; the last one is repeated.
    pub fn script(&self, joins: impl IntoIterator<Item = Joined>) {
        self.shared.lock().joins.extend(joins);
    }

    /// The next heartbeat says that the group rebalances.
    pub fn rebalance(&self) {
        self.shared.lock().rebalances = true;
    }

    /// Appends records to each partition, each with its offset as value.
    pub fn append(&self, count: i64) {
        let mut state = self.shared.lock();
        let epoch = state.epoch();
        for log in state.logs.values_mut() {
            for _ in 0..count {
                let offset = i64::try_from(log.len()).unwrap();
                log.push(batch(offset, epoch));
            }
        }
        self.shared.changed.notify_all();
    }

    /// Begins another leader epoch, as after an election.
    pub fn elect(&self) {
        let mut state = self.shared.lock();
        let next = (state.epoch() + 1, state.end_offset(0));
        state.epochs.push(next);
    }

    pub fn committed(&self, partition: i32) -> Option<i64> {
        self.shared.lock().committed.get(&partition).copied()
    }

    pub fn has_left(&self) -> bool {
        self.shared.lock().has_left
    }

    /// How often a request was received.
    pub fn received(&self, api: ApiKey) -> u32 {
        self.shared.lock().received.get(&(api as i16)).copied().unwrap_or(0)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn epoch(&self) -> i32 {
        self.epochs.last().unwrap().0
    }

    fn end_offset(&self, partition: i32) -> i64 {
        self.logs.get(&partition).map_or(0, |log| i64::try_from(log.len()).unwrap())
    }

    /// The error code for this place; 0 for none.
    fn code(&mut self, place: Place) -> i16 {
        match &mut self.fault {
            Some(fault) if fault.place == place && fault.left > 0 => {
                fault.left -= 1;
                fault.code
            }
            _ => 0,
        }
    }
}

/// One record, uncompressed.
fn batch(offset: i64, epoch: i32) -> Bytes {
    let record = Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: epoch,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: -1,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::from(offset.to_string())),
        headers: IndexMap::new(),
    };
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, [&record], &options).unwrap();
    bytes.freeze()
}

fn serve(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let mut request = Bytes::from(testkit::read_frame(&mut stream)?);
        let api = ApiKey::try_from(request.slice(0..2).get_i16()).unwrap();
        let version = request.slice(2..4).get_i16();
        let header = RequestHeader::decode(&mut request, api.request_header_version(version)).unwrap();
        let mut response = BytesMut::new();
        ResponseHeader::default()
            .with_correlation_id(header.correlation_id)
            .encode(&mut response, api.response_header_version(version))
            .unwrap();
        if api == ApiKey::Fetch {
            wait_for_records(shared, &request, version);
        }
        {
            let mut state = shared.lock();
            *state.received.entry(api as i16).or_default() += 1;
            state.respond(api, version, &mut request, &mut response);
        }
        stream.write_all(&testkit::frame(&response))?;
    }
}

/// Delays a fetch until there are records.
fn wait_for_records(shared: &Shared, request: &Bytes, version: i16) {
    let until = Instant::now() + FETCH_WAIT;
    let mut state = shared.lock();
    while !state.has_records(request, version)
        && let Some(left) = until.checked_duration_since(Instant::now())
    {
        state = shared.changed.wait_timeout(state, left).unwrap().0;
    }
}
