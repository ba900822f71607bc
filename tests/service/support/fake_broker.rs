//! A hand-made Kafka broker that lies on request: one node, one topic, one partition, one group. Speaks the last versions without
//! compact lengths and encodes everything itself, so that it shares no line with the client under test. Knows nothing of the
//! service.
//!
//! Left alone it is a good broker. [`FakeBroker::misbehave`] hands every answer to one kind of request to a function that may
//! send anything instead.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use testkit::FrameServer;

pub use testkit::frame;

/// The requests that a consumer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Api {
    Fetch = 1,
    ListOffsets = 2,
    Metadata = 3,
    OffsetCommit = 8,
    OffsetFetch = 9,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    Versions = 18,
}

impl Api {
    pub const ALL: [Self; 11] = [
        Self::Versions,
        Self::Metadata,
        Self::FindCoordinator,
        Self::JoinGroup,
        Self::SyncGroup,
        Self::Heartbeat,
        Self::LeaveGroup,
        Self::OffsetFetch,
        Self::ListOffsets,
        Self::Fetch,
        Self::OffsetCommit,
    ];

    /// The only version that the fake knows: the last one that is not "flexible" (KIP-482).
    pub fn version(self) -> i16 {
        match self {
            Self::Fetch => 11,
            Self::ListOffsets | Self::OffsetFetch | Self::JoinGroup => 5,
            Self::SyncGroup | Self::Heartbeat | Self::LeaveGroup => 3,
            Self::Metadata => 8,
            Self::OffsetCommit => 7,
            Self::FindCoordinator | Self::Versions => 2,
        }
    }
}

/// What goes back over the wire.
pub enum Answer {
    /// A response: correlation id and body, framed with its true length.
    Response(Vec<u8>),
    /// These very bytes; then the connection stays open.
    Raw(Vec<u8>),
    /// These very bytes; then the connection is closed.
    RawThenClose(Vec<u8>),
    /// These bytes, one every few milliseconds, again and again.
    Drip(Vec<u8>),
    /// Nothing, and the connection stays open.
    Silence,
}

/// Makes an answer out of the good response (correlation id and body).
pub type Mischief = Box<dyn FnMut(Vec<u8>) -> Answer + Send>;

/// A running broker; it goes away with this.
pub struct FakeBroker {
    shared: Arc<Shared>,
    server: FrameServer,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    topic: String,
    port: u16,
    log: Log,
    committed: Option<(i64, String)>,
    mischief: BTreeMap<Api, Mischief>,
    asked: BTreeMap<Api, u64>,
}

/// What the partition holds.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Sent from the offset on that is asked for: whole batches, and the offset after each.
    pub batches: Vec<(i64, Vec<u8>)>,
    /// The high watermark, and the last stable offset.
    pub end_offset: i64,
}

impl FakeBroker {
    /// Starts with a log that is never changed.
    pub fn start(topic: &str, log: Log) -> Self {
        let listener = testkit::listen().unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            topic: topic.to_owned(),
            port,
            log,
            committed: None,
            mischief: BTreeMap::new(),
            asked: BTreeMap::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        let server = FrameServer::start(listener, move |_, stream| serve(&serving, stream)).unwrap();
        Self { shared, server }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// From now on answers to this request are what `mischief` makes of them.
    pub fn misbehave(&self, api: Api, mischief: impl FnMut(Vec<u8>) -> Answer + Send + 'static) {
        self.shared.lock().mischief.insert(api, Box::new(mischief));
    }

    /// No mischief any more.
    pub fn behave(&self) {
        self.shared.lock().mischief.clear();
    }

    /// Another log.
    pub fn replace_log(&self, log: Log) {
        self.shared.lock().log = log;
    }

    /// What the group has committed: offset and metadata.
    pub fn committed(&self) -> Option<(i64, String)> {
        self.shared.lock().committed.clone()
    }

    /// Waits until this request has been made so often since the start; false past the deadline.
    pub fn wait_asked(&self, api: Api, times: u64, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut state = self.shared.lock();
        while state.asked.get(&api).copied().unwrap_or(0) < times {
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            state = self.shared.changed.wait_timeout(state, left).unwrap().0;
        }
        true
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn serve(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let request = testkit::read_frame(&mut stream)?;
        let mut request = Request(&request);
        let (key, version, correlation_id) = (request.i16(), request.i16(), request.i32());
        request.string(); // client id
        let api = Api::ALL.into_iter().find(|api| *api as i16 == key).unwrap();
        let answer = {
            let mut state = shared.lock();
            let good = state.answer(api, version, correlation_id, request);
            let answer = match state.mischief.get_mut(&api) {
                Some(mischief) => mischief(good),
                None => Answer::Response(good),
            };
            *state.asked.entry(api).or_default() += 1;
            shared.changed.notify_all();
            answer
        };
        match answer {
            Answer::Response(body) => stream.write_all(&frame(&body))?,
            Answer::Raw(bytes) => stream.write_all(&bytes)?,
            Answer::RawThenClose(bytes) => return stream.write_all(&bytes),
            Answer::Drip(bytes) => {
                for byte in bytes.iter().cycle() {
                    stream.write_all(&[*byte])?;
                    thread::sleep(Duration::from_millis(5));
                }
            }
            Answer::Silence => {}
        }
        // An idle consumer would ask a broker without new records without a pause: a real one lets it wait.
        if api == Api::Fetch {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl State {
    /// The good response: correlation id and body.
    fn answer(&mut self, api: Api, version: i16, correlation_id: i32, mut request: Request<'_>) -> Vec<u8> {
        let topic = self.topic.clone();
        let to = Response::default().i32(correlation_id);
        match api {
            Api::Versions => {
                let known = version <= api.version();
                let error = if known { 0 } else { 35 };
                let count = i32::try_from(Api::ALL.len()).unwrap();
                let ranges = Api::ALL.iter().fold(to.i16(error).i32(count), |to, api| {
                    to.i16(*api as i16).i16(if *api == Api::Versions { 0 } else { api.version() }).i16(api.version())
                });
                if known { ranges.i32(0).0 } else { ranges.0 }
            }
            Api::Metadata => {
                let to = to.i32(0).i32(1).i32(1).string("127.0.0.1").i32(self.port.into()).null();
                let to = to.string("fake-cluster").i32(1);
                let to = to.i32(1).i16(0).string(&topic).i8(0).i32(1);
                // One partition: its error, number, leader, epoch, replicas, in-sync and offline ones.
                let to = to.i16(0).i32(0).i32(1).i32(0).i32(1).i32(1).i32(1).i32(1).i32(0);
                to.i32(0).i32(0).0
            }
            Api::FindCoordinator => to.i32(0).i16(0).null().i32(1).string("127.0.0.1").i32(self.port.into()).0,
            Api::JoinGroup => {
                request.string(); // group
                request.skip(4 + 4); // time-outs
                request.string(); // member
                let instance = request.string();
                request.string(); // kind of group
                request.skip(4);
                let (assignor, subscription) = (request.string(), request.bytes());
                // The only member leads: generation, assignor, leader, member, and the member once more.
                let to = to.i32(0).i16(0).i32(1).string(&assignor).string("m").string("m");
                to.i32(1).string("m").string(&instance).bytes(&subscription).0
            }
            Api::SyncGroup => {
                request.string(); // group
                request.skip(4); // generation
                request.string(); // member
                request.string(); // instance
                request.skip(4);
                request.string();
                to.i32(0).i16(0).bytes(&request.bytes()).0
            }
            Api::Heartbeat => to.i32(0).i16(0).0,
            Api::LeaveGroup => to.i32(0).i16(0).i32(1).string("m").null().i16(0).0,
            Api::OffsetFetch => {
                let to = to.i32(0).i32(1).string(&topic).i32(1).i32(0);
                let to = match &self.committed {
                    Some((offset, metadata)) => to.i64(*offset).i32(-1).string(metadata),
                    None => to.i64(-1).i32(-1).string(""),
                };
                to.i16(0).i16(0).0
            }
            Api::ListOffsets => {
                request.skip(4 + 1 + 4); // replica id, isolation level, one topic
                request.string();
                request.skip(4 + 4 + 4); // one partition, its number, leader epoch
                let offset = if request.i64() == -2 { 0 } else { self.log.end_offset };
                to.i32(0).i32(1).string(&topic).i32(1).i32(0).i16(0).i64(-1).i64(offset).i32(0).0
            }
            Api::Fetch => {
                // Replica id, wait, sizes, isolation level, session, one topic; one partition, its number, leader epoch.
                request.skip(4 + 4 + 4 + 4 + 1 + 4 + 4 + 4);
                request.string();
                request.skip(4 + 4 + 4);
                let (asked, end) = (request.i64(), self.log.end_offset);
                let records =
                    self.log.batches.iter().filter(|(next, _)| *next > asked).flat_map(|(_, bytes)| bytes.clone());
                let error = i16::from(!(0..=end).contains(&asked));
                let to = to.i32(0).i16(0).i32(0).i32(1).string(&topic).i32(1);
                to.i32(0).i16(error).i64(end).i64(end).i64(0).i32(-1).i32(-1).bytes(&records.collect::<Vec<u8>>()).0
            }
            Api::OffsetCommit => {
                request.string(); // group
                request.skip(4); // generation
                request.string(); // member
                request.string(); // instance
                request.skip(4);
                request.string();
                request.skip(4 + 4);
                let offset = request.i64();
                request.skip(4);
                self.committed = Some((offset, request.string()));
                to.i32(0).i32(1).string(&topic).i32(1).i32(0).i16(0).0
            }
        }
    }
}

/// Writes a response.
#[derive(Default)]
pub struct Response(pub Vec<u8>);

impl Response {
    pub fn i8(self, number: i8) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub fn i16(self, number: i16) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub fn i32(self, number: i32) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub fn i64(self, number: i64) -> Self {
        self.raw(&number.to_be_bytes())
    }

    /// A string that is not there.
    pub fn null(self) -> Self {
        self.i16(-1)
    }

    pub fn string(self, text: &str) -> Self {
        self.i16(text.len().try_into().unwrap()).raw(text.as_bytes())
    }

    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.i32(bytes.len().try_into().unwrap()).raw(bytes)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Reads a request, which the client under test has written well.
struct Request<'a>(&'a [u8]);

impl Request<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk::<N>().unwrap();
        self.0 = rest;
        *taken
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }

    fn skip(&mut self, bytes: usize) {
        self.0 = self.0.split_at(bytes).1;
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::try_from(self.i32()).unwrap();
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes.to_vec()
    }

    /// Null is empty.
    fn string(&mut self) -> String {
        let length = usize::try_from(self.i16()).unwrap_or(0);
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(text.to_vec()).unwrap()
    }
}
