//! Writes the corpus of what brokers say: asks the oldest and the newest one everything, in every version that both sides know,
//! and keeps the answers as they came. To be run again only for other versions of Kafka:
//! `cargo test -p kafka --lib recorder -- --ignored`. Does not judge the answers.

use std::fs;
use std::path::Path;

use testkit::{Certificates, Cluster, Codec, Listener, NEWEST, OLDEST, PASSWORD, ProduceOptions, Record, USER};

use super::*;
use crate::protocol::fuzzing::{self as questions, PARTITIONS, TOPIC, member};
use crate::protocol::join_group::VERSION_MIN_STATIC;
use crate::protocol::{FindCoordinatorRequest, JoinAnswer, SaslAuthenticateRequest, SaslHandshakeRequest};
use crate::record_batch;
use crate::sasl::scram::fuzzing::NONCE;
use crate::sasl::scram::{ClientFirst, Hash};
use crate::security::Secret;
use crate::tls::{Tls, TlsFiles};
use crate::types::{Member, TopicId};

/// Who asks one broker.
struct Recorder {
    connection: Connection,
    release: &'static str,
}

impl Recorder {
    /// Connected, but nothing is said yet.
    fn new(address: &str, tls: Option<&Tls>, release: &'static str) -> Self {
        let (host, port) = address.rsplit_once(':').unwrap();
        let address = Address { host: host.to_owned(), port: port.parse().unwrap() };
        let settings = ConnectionSettings::default();
        let deadline = Deadline::after(settings.connect_timeout);
        let stream = Stream::open(&address, None, tls, &deadline, &SetupStep::default()).unwrap();
        Self { connection: Connection::over(stream, &address, &settings), release }
    }

    fn negotiated(address: &str, tls: Option<&Tls>, release: &'static str) -> Self {
        let mut recorder = Self::new(address, tls, release);
        recorder.connection.negotiate(ApiVersionsRequest::VERSIONS.1, &Deadline::after(LONG)).unwrap();
        recorder
    }

    /// The response as it came, behind its length.
    fn raw<R: Request>(&mut self, request: &R, version: i16) -> Bytes {
        self.connection.correlation_id += 1;
        let bytes = protocol::encode_request(request, version, self.connection.correlation_id, "recorder").unwrap();
        self.connection.transfer(request, &bytes, &Deadline::after(LONG)).unwrap()
    }

    /// Asks in each version and keeps the answers, with `before` before the response; gives the last one.
    fn ask<R: Request>(&mut self, target: &str, before: &[u8], request: &R) -> Option<R::Response> {
        self.ask_since(R::VERSIONS.0, target, before, request)
    }

    /// The same in versions since `since`.
    fn ask_since<R: Request>(&mut self, since: i16, target: &str, before: &[u8], request: &R) -> Option<R::Response> {
        let (lowest, _) = R::VERSIONS;
        let (low, high) = match self.connection.versions.get(&R::KEY) {
            Some((low, high)) => (since.max(*low), request.version_max().min(*high)),
            None => return None,
        };
        let mut last = None;
        for version in low..=high {
            let response = self.raw(request, version);
            let input = [&[u8::try_from(version - lowest).unwrap()], before, &response].concat();
            keep(target, &format!("{}-v{version}", self.release), &input);
            let answer = protocol::decode_response(request, version, self.connection.correlation_id, response);
            last = answer.ok().or(last);
        }
        last
    }

    /// For what a broker has to make ready first.
    fn ask_until_answered<R: Request>(&mut self, since: i16, target: &str, request: &R) -> R::Response {
        let deadline = Deadline::after(LONG);
        loop {
            if let Some(answer) = self.ask_since(since, target, &[], request) {
                return answer;
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

/// Some batches in each codec, and transactions of both ends.
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
    let metadata = recorder.ask("metadata", &[], &questions::metadata()).unwrap();
    let topic_id = metadata.topics[0].id.unwrap();
    recorder.ask("api_versions", &[], &ApiVersionsRequest);
    recorder.ask("list_offsets", &[], &questions::list_offsets());
    recorder.ask("offset_for_leader_epoch", &[], &questions::offset_for_leader_epoch());
    let TopicId(id) = topic_id;
    let fetched = recorder.ask("fetch", &id, &questions::fetch(topic_id)).unwrap();
    for fetched in fetched.partitions {
        // Checksums made right, read committed, from the start on.
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
    // The first question makes the topic that groups are kept in.
    recorder.ask_until_answered(FindCoordinatorRequest::VERSIONS.0, "find_coordinator", &questions::find_coordinator());
    let subscription = crate::consumer::fuzzing::subscription();
    keep("subscription", &format!("{}-sent", recorder.release), &subscription);
    // In older versions each would be another, dynamic member.
    let join = questions::join_group(String::new(), subscription);
    let joined = match recorder.ask_until_answered(VERSION_MIN_STATIC, "join_group", &join) {
        JoinAnswer::Joined(joined) => joined,
        JoinAnswer::IdRequired(_) => panic!("a static member needs no id"),
    };
    let member = Member { id: joined.member_id, epoch: joined.generation, ..member(0) };
    let assignment = crate::consumer::fuzzing::assignment();
    let assigned = recorder.ask("sync_group", &[], &questions::sync_group(member.clone(), assignment)).unwrap();
    keep("assignment", &format!("{}-sent", recorder.release), &assigned);
    keep("division", "three-members", &crate::consumer::fuzzing::members());
    recorder.ask("heartbeat", &[], &questions::heartbeat(member.clone()));
    recorder.ask("offset_commit", &[], &questions::offset_commit(Member { instance_id: None, ..member.clone() }));
    recorder.ask("offset_fetch", &[], &questions::offset_fetch());
    recorder.ask("leave_group", &[], &questions::leave_group(member.id));
    recorder.ask("consumer_group_heartbeat", &[], &questions::consumer_group_heartbeat());
}

/// All that a broker says on a connection, lengths and all.
fn record_conversation(address: &str, release: &'static str) {
    let mut recorder = Recorder::new(address, None, release);
    let versions = recorder.raw(&ApiVersionsRequest, ApiVersionsRequest::VERSIONS.1);
    recorder.connection.correlation_id -= 1;
    recorder.connection.negotiate(ApiVersionsRequest::VERSIONS.1, &Deadline::after(LONG)).unwrap();
    let request = questions::metadata();
    let version = recorder.connection.version_for(&request).unwrap();
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
            let mut say = |message: String, name: &str| {
                let request = SaslAuthenticateRequest { message: message.into() };
                let response = recorder.raw(&request, version);
                let input = [&[u8::try_from(version).unwrap()], &response[..]].concat();
                keep("sasl_authenticate", &format!("{release}-v{version}-{mechanism}-{name}"), &input);
                let id = recorder.connection.correlation_id;
                protocol::decode_response(&request, version, id, response).unwrap().message
            };
            let challenge = say(first.message(), "first");
            let (answer, proof) = first.answer(&Secret::new(PASSWORD), &challenge).unwrap();
            let last = say(answer, "last");
            proof.verify(&last).unwrap();
            let input = [&[u8::from(mechanism.ends_with("512"))], &challenge[..], &[0], &last[..]].concat();
            keep("scram", &format!("{release}-{mechanism}"), &input);
        }
    }
}

#[test]
#[ignore = "writes the corpus"]
fn record_what_brokers_say() {
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
