//! Records the fuzzing corpus: sends every request to the oldest and the newest broker, in every common version, and
//! writes the responses to `fuzz/corpus`. Needed again only for other versions of Kafka; without the variable the test
//! does nothing: `RECORD_FUZZ_CORPUS=1 cargo test -p kafka --lib recorder`. Does not check the responses.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use testkit::{Certificates, Cluster, Codec, Listener, NEWEST, OLDEST, PASSWORD, ProduceOptions, Record, USER};

use super::channel::Channel;
use super::settings::ConnectionSettings;
use crate::protocol::fuzzing::{self as requests, PARTITIONS, TOPIC, member};
use crate::protocol::join_group::VERSION_MIN_STATIC;
use crate::protocol::{
    self, ApiVersionsRequest, FindCoordinatorRequest, JoinGroupResponse, MetadataRequest, Request,
    SaslAuthenticateRequest, SaslHandshakeRequest,
};
use crate::record_batch;
use crate::sasl::scram::fuzzing::NONCE;
use crate::sasl::scram::{ClientFirst, Hash};
use crate::secret::Secret;
use crate::stream::{Deadline, SetupStep, Stream};
use crate::tls::{Tls, TlsFiles};
use crate::types::{Address, Member, TopicId};

/// A channel to one broker.
struct Recorder {
    channel: Channel,
    release: &'static str,
}

impl Recorder {
    /// Connects; sends no request yet.
    fn new(address: &str, tls: Option<&Tls>, release: &'static str) -> Self {
        let (host, port) = address.rsplit_once(':').unwrap();
        let address = Address { host: host.to_owned(), port: port.parse().unwrap() };
        let settings = ConnectionSettings::default();
        let deadline = Deadline::after(settings.connect_timeout);
        let stream = Stream::open(&address, None, tls, &deadline, &SetupStep::default()).unwrap();
        Self { channel: Channel::new(stream, &address, &settings, &settings.security.current()), release }
    }

    fn negotiated(address: &str, tls: Option<&Tls>, release: &'static str) -> Self {
        let mut recorder = Self::new(address, tls, release);
        recorder.channel.negotiate(ApiVersionsRequest::VERSIONS.1, &Deadline::after(LONG)).unwrap();
        recorder
    }

    /// Sends a request; returns the response without its length.
    fn raw<R: Request>(&mut self, request: &R, version: i16) -> Bytes {
        self.channel.correlation_id += 1;
        let bytes = protocol::encode_request(request, version, self.channel.correlation_id, "recorder").unwrap();
        self.channel.transfer(request, &bytes, &Deadline::after(LONG)).unwrap()
    }

    /// Sends a request in each version and writes the responses, each after `before`; returns the last one.
    fn record<R: Request>(&mut self, target: &str, before: &[u8], request: &R) -> Option<R::Response> {
        self.record_since(R::VERSIONS.0, target, before, request)
    }

    /// The same in versions since `since`.
    fn record_since<R: Request>(
        &mut self,
        since: i16,
        target: &str,
        before: &[u8],
        request: &R,
    ) -> Option<R::Response> {
        let (lowest, _) = R::VERSIONS;
        let (low, high) = match self.channel.versions.get(&R::KEY) {
            Some((low, high)) => (since.max(*low), request.version_max().min(*high)),
            None => return None,
        };
        let mut last = None;
        for version in low..=high {
            let response = self.raw(request, version);
            let input = [&[u8::try_from(version - lowest).unwrap()], before, &response].concat();
            keep(target, &format!("{}-v{version}", self.release), &input);
            let decoded = protocol::decode_response(request, version, self.channel.correlation_id, response);
            last = decoded.ok().or(last);
        }
        last
    }

    /// Repeats a request that the broker refuses at first, until it has created the topic of the committed offsets.
    fn record_until_accepted<R: Request>(&mut self, since: i16, target: &str, request: &R) -> R::Response {
        let deadline = Deadline::after(LONG);
        loop {
            if let Some(response) = self.record_since(since, target, &[], request) {
                return response;
            }
            deadline.left().unwrap();
        }
    }
}

const LONG: Duration = Duration::from_mins(1);

fn keep(target: &str, name: &str, bytes: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(format!("sound-{name}")), bytes).unwrap();
}

/// Produces some batches with each codec, and a committed and an aborted transaction.
fn fill(cluster: &Cluster) {
    let client = cluster.client().unwrap();
    client.create_topic(TOPIC, PARTITIONS.unsigned_abs(), &[]).unwrap();
    let records = |partition| {
        (0..6_u8).map(move |number| {
            let json = format!(r#"{{"event_id":"opp_{number}","name":"Acme","stage":"won","amount":{number}00.5}}"#);
            let record = Record::value(json).key([number; 3]).partition(partition);
            if number == 3 { record.header("trace", Some(b"\x01\x02")).header("trace", None) } else { record }
        })
    };
    for (number, codec) in (0..).zip(Codec::ALL) {
        let options = ProduceOptions::default().codec(codec).linger_ms(1000);
        client.produce(TOPIC, &options, records(number % 2)).unwrap();
    }
    client.produce(TOPIC, &ProduceOptions::default(), [Record::tombstone().partition(2)]).unwrap();
    for commits in [true, false] {
        let transaction = client.begin("transactional", &ProduceOptions::default()).unwrap();
        transaction.produce(TOPIC, records(2).take(2)).unwrap();
        if commits { transaction.commit().unwrap() } else { transaction.abort().unwrap() }
    }
}

fn record_data(recorder: &mut Recorder) {
    let metadata = recorder.record("metadata", &[], &requests::metadata()).unwrap();
    let topic_id = metadata.topics[0].id.unwrap();
    recorder.record("api_versions", &[], &ApiVersionsRequest);
    recorder.record("list_offsets", &[], &requests::list_offsets());
    recorder.record("offset_for_leader_epoch", &[], &requests::offset_for_leader_epoch());
    let TopicId(id) = topic_id;
    let fetched = recorder.record("fetch", &id, &requests::fetch(topic_id)).unwrap();
    for fetched in fetched.partitions {
        // Options: correct checksums, read committed, from offset 0.
        let input = [&[3, 0], &fetched.records[..]].concat();
        let name = format!("{}-{}", recorder.release, fetched.partition);
        keep("batches", &name, &input);
        for (number, (compression, records)) in record_batch::fuzzing::parts(&fetched.records).iter().enumerate() {
            keep("compression", &format!("{name}-{number}"), compression);
            keep("records", &format!("{name}-{number}"), records);
        }
    }
}

fn record_groups(recorder: &mut Recorder) {
    // The first request creates the topic of the committed offsets.
    recorder.record_until_accepted(
        FindCoordinatorRequest::VERSIONS.0,
        "find_coordinator",
        &requests::find_coordinator(),
    );
    let subscription = crate::consumer::fuzzing::subscription();
    keep("subscription", &format!("{}-sent", recorder.release), &subscription);
    // In older versions each request would join as another, dynamic member.
    let join = requests::join_group(String::new(), subscription);
    let joined = match recorder.record_until_accepted(VERSION_MIN_STATIC, "join_group", &join) {
        JoinGroupResponse::Joined(joined) => joined,
        JoinGroupResponse::MemberIdRequired(_) => panic!("a static member needs no member id"),
    };
    let member = Member { id: joined.member_id, epoch: joined.generation, ..member(0) };
    let assignment = crate::consumer::fuzzing::assignment();
    let assigned = recorder.record("sync_group", &[], &requests::sync_group(member.clone(), assignment)).unwrap();
    keep("assignment", &format!("{}-sent", recorder.release), &assigned);
    keep("assignor", "three-members", &crate::consumer::fuzzing::members());
    recorder.record("heartbeat", &[], &requests::heartbeat(member.clone()));
    recorder.record("offset_commit", &[], &requests::offset_commit(Member { instance_id: None, ..member.clone() }));
    recorder.record("offset_fetch", &[], &requests::offset_fetch());
    recorder.record("leave_group", &[], &requests::leave_group(member.id));
    recorder.record("consumer_group_heartbeat", &[], &requests::consumer_group_heartbeat());
}

/// All bytes that a broker sends on a connection, including the lengths.
fn record_conversation(address: &str, release: &'static str) {
    let mut recorder = Recorder::new(address, None, release);
    let versions = recorder.raw(&ApiVersionsRequest, ApiVersionsRequest::VERSIONS.1);
    recorder.channel.correlation_id -= 1;
    recorder.channel.negotiate(ApiVersionsRequest::VERSIONS.1, &Deadline::after(LONG)).unwrap();
    let request = requests::metadata();
    let (_, highest) = recorder.channel.versions[&MetadataRequest::KEY];
    let version = highest.min(request.version_max());
    let metadata = recorder.raw(&request, version);
    let framed = [versions, metadata].map(|response| {
        let length = u32::try_from(response.len()).unwrap();
        [&length.to_be_bytes(), &response[..]].concat()
    });
    keep("frame", release, &framed[0]);
    keep("conversation", release, &framed.concat());
}

fn record_sasl(address: &str, release: &'static str) {
    let authority = Certificates::get().unwrap().authority();
    keep("pem", "authority", &fs::read(&authority).unwrap());
    let authorities = Some(authority);
    let tls = Tls::load(&TlsFiles { authorities, client: None }).unwrap();
    for (mechanism, hash) in [("SCRAM-SHA-256", Hash::sha256()), ("SCRAM-SHA-512", Hash::sha512())] {
        for version in 0..=2 {
            let mut recorder = Recorder::negotiated(address, Some(&tls), release);
            let handshake = recorder.raw(&SaslHandshakeRequest { mechanism: mechanism.to_owned() }, 1);
            keep("sasl_handshake", &format!("{release}-{mechanism}"), &[&[0], &handshake[..]].concat());
            let first = ClientFirst::new(hash, USER, NONCE.to_owned());
            let mut send = |message: String, name: &str| {
                let request = SaslAuthenticateRequest { message: message.into() };
                let response = recorder.raw(&request, version);
                let input = [&[u8::try_from(version).unwrap()], &response[..]].concat();
                keep("sasl_authenticate", &format!("{release}-v{version}-{mechanism}-{name}"), &input);
                let id = recorder.channel.correlation_id;
                protocol::decode_response(&request, version, id, response).unwrap().message
            };
            let server_first = send(first.message(), "first");
            let (client_final, proof) = first.finish(&Secret::new(PASSWORD), &server_first).unwrap();
            let server_final = send(client_final, "last");
            proof.verify(&server_final).unwrap();
            let input = [&[u8::from(mechanism.ends_with("512"))], &server_first[..], &[0], &server_final[..]].concat();
            keep("scram", &format!("{release}-{mechanism}"), &input);
        }
    }
}

#[test]
fn record_corpus() {
    if std::env::var_os("RECORD_FUZZ_CORPUS").is_none() {
        return;
    }
    for release in [OLDEST, NEWEST] {
        let cluster = Cluster::builder(release).secure().start().unwrap();
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            cluster.client().unwrap().set_scram_password(USER, mechanism, PASSWORD).unwrap();
        }
        fill(&cluster);
        let address = cluster.bootstrap_servers();
        let mut recorder = Recorder::negotiated(&address, None, release);
        record_data(&mut recorder);
        record_groups(&mut recorder);
        record_conversation(&address, release);
        record_sasl(&cluster.bootstrap_servers_of(Listener::SaslSsl), release);
    }
}
