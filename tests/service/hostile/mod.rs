//! A broker that sends malformed responses: the service logs what is wrong and where, needs little memory, stores nothing wrong, can
//! be stopped, and continues when the broker sends correct responses.

mod forged_batches;

use std::net::TcpListener;
use std::time::Duration;

use testkit::Random;

use crate::support::batches::Batch;
use crate::support::fake_broker::{Answer, Api, FakeBroker, Log, frame};
use crate::support::process::{Installation, WAIT_MAX};
use crate::support::{decompression_bombs, process};

const TOPIC: &str = "hostile";

/// Limit of the service's private writable memory, in KiB. The kernel refuses more, which ends the process.
const MEMORY_KIB_MAX: u32 = 150 * 1024;

/// The limit of one response and of one decompressed batch in these tests.
const RECEIVE_BYTES_MAX: usize = 16 << 20;

/// Makes a malformed response from a correct one.
type Lie = fn(Vec<u8>) -> Answer;

fn event(number: usize) -> String {
    format!(r#"{{"event_id":"opp_{number}","name":"n{number}","stage":"won","amount":{number}}}"#)
}

/// Three good events in one batch.
fn good_batch() -> Batch {
    Batch::of(0, &[&event(0), &event(1), &event(2)])
}

fn log_of(batch: &Batch) -> Log {
    Log { batches: vec![(3, batch.encode())], end_offset: 3 }
}

fn installation(broker: &FakeBroker) -> Installation {
    let mut installation = Installation::new(&broker.address(), TOPIC);
    installation.set("KAFKA_FETCH_MAX_BYTES", "1048576").set("KAFKA_RECEIVE_MAX_BYTES", &RECEIVE_BYTES_MAX.to_string());
    installation.set("RETRY_INITIAL_MS", "2").set("RETRY_MAX_MS", "10");
    let limited = format!("ulimit -d {MEMORY_KIB_MAX} && exec \"$@\"");
    installation.wrap(&["sh", "-c", &limited, "sh"]);
    installation
}

/// Checks that the records of the log have taken effect, and nothing else.
fn assert_good_result(case: &str, installation: &Installation) {
    installation.assert_clean();
    let text = |query: &str| -> Vec<String> {
        let database = installation.database();
        let mut statement = database.prepare(query).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let rows = "SELECT event_id || name || stage || amount || kafka_offset FROM opportunities ORDER BY 1";
    assert_eq!(text(rows), ["opp_0n0won0.00", "opp_1n1won1.01", "opp_2n2won2.02"], "{case}");
    let others = "SELECT name FROM projects UNION ALL SELECT error FROM unidentified_messages";
    assert_eq!(text(others), [""; 0], "{case}");
    let positions = "SELECT topic || partition || ':' || first_offset || '-' || next_offset FROM consumer_offsets";
    assert_eq!(text(positions), ["hostile0:0-3"], "{case}");
}

/// Runs against a broker that sends malformed responses until the service has logged three warnings with all parts, and correct
/// responses after that.
fn survives(case: &str, parts: &[&str], lie: impl FnOnce(&FakeBroker)) {
    let broker = FakeBroker::start(TOPIC, log_of(&good_batch()));
    lie(&broker);
    let installation = installation(&broker);
    let mut service = installation.start(&["run", "--exit-at-end"]);
    let parts = [&["trying again"], parts].concat();
    installation.wait_for(&format!("{case}: three WARNs with {parts:?}"), |installation| {
        assert!(service.is_running(), "{case}: ended; {}", installation.tail());
        let warnings = installation.log().into_iter().filter(|line| process::is_warning(line, &parts));
        warnings.filter(|line| line["attempt"].is_u64() && line["wait_ms"].is_u64()).count() >= 3
    });
    let peak_kib = service.peak_kib();
    assert!(peak_kib < u64::from(MEMORY_KIB_MAX), "{case}: {peak_kib} KiB");
    broker.replace_log(log_of(&good_batch()));
    broker.behave();
    service.ends_with(0);
    assert_good_result(case, &installation);
    let (offset, metadata) = broker.committed().unwrap();
    assert!(offset == 3 && metadata.contains("fake-cluster"), "{case}: committed {offset} with '{metadata}'");
}

/// Runs cases on several threads; each is mostly waiting.
fn in_parallel<T: Send>(cases: Vec<T>, run: impl Fn(T) + Sync) {
    let queue = std::sync::Mutex::new(cases);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().pop() else { break };
                    run(case);
                }
            });
        }
    });
}

fn random_bytes(count: usize) -> Vec<u8> {
    let mut random = Random::new(1, "noise");
    (0..count).map(|_| random.byte()).collect()
}

#[test]
fn every_response_may_be_missing_or_cut() {
    let lies: [(&str, &[&str], Lie); 9] = [
        ("hangs up", &["broke during"], |_| Answer::RawThenClose(Vec::new())),
        ("cut short", &["broke during"], |good| Answer::RawThenClose(frame(&good)[..4 + good.len() / 2].to_vec())),
        ("cut in the length", &["broke during"], |_| Answer::RawThenClose(vec![0, 0])),
        ("gigantic", &["2147483647 bytes", "16777216"], |_| Answer::Raw(i32::MAX.to_be_bytes().to_vec())),
        ("negative", &["-1 bytes"], |_| Answer::Raw((-1_i32).to_be_bytes().to_vec())),
        ("empty", &["not Kafka's protocol"], |_| Answer::Raw(vec![0; 4])),
        ("of another request", &["not Kafka's protocol", "was asked"], |good| {
            Answer::Response([&[0x7f; 4], &good[4..]].concat())
        }),
        ("random", &["not Kafka's protocol"], |good| Answer::Response([&good[..4], &random_bytes(5000)].concat())),
        ("followed by more", &["not Kafka's protocol"], |good| Answer::Response([&good[..], &[0; 3]].concat())),
    ];
    // The service does not wait for commits and heartbeats, and a batch that is too large is fatal: see below.
    let unasked = [Api::OffsetCommit, Api::Heartbeat, Api::LeaveGroup];
    let apis = Api::ALL.into_iter().filter(|api| !unasked.contains(api));
    let mut cases: Vec<_> = apis.flat_map(|api| lies.map(move |lie| (api, lie))).collect();
    cases.retain(|(api, (name, ..))| (*api, *name) != (Api::Fetch, "gigantic"));
    in_parallel(cases, |(api, (name, parts, lie)): (Api, (&str, &[&str], Lie))| {
        let name_of_api = if api == Api::Versions { "ApiVersions".to_owned() } else { format!("{api:?}") };
        survives(&format!("{api:?} {name}"), &[&[name_of_api.as_str()], parts].concat(), |broker| {
            broker.misbehave(api, lie);
        });
    });
}

/// Replaces bytes of an answer; the places follow from how `fake_broker` writes it.
fn patched(at: usize, bytes: &[u8]) -> impl FnMut(Vec<u8>) -> Answer + Send + use<> {
    let bytes = bytes.to_vec();
    move |mut answer| {
        answer[at..at + bytes.len()].copy_from_slice(&bytes);
        Answer::Response(answer)
    }
}

/// A port without a server.
fn dead_port() -> i32 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().into()
}

/// Name, request, offset of the patch, patch, and parts of the WARN.
type Forgery<'a> = (&'a str, Api, usize, Vec<u8>, Vec<&'a str>);

#[test]
fn numbers_in_responses_may_be_forged() {
    const HUGE: [u8; 4] = i32::MAX.to_be_bytes();
    const NONE: [u8; 4] = (-1_i32).to_be_bytes();
    let dead = dead_port();
    let dead_address = format!("127.0.0.1:{dead}");
    let malformed = "not Kafka's protocol";
    let cases: Vec<Forgery<'_>> = vec![
        ("ranges", Api::Versions, 6, HUGE.into(), vec!["ApiVersions", malformed]),
        ("ranges are null", Api::Versions, 6, NONE.into(), vec!["ApiVersions", malformed]),
        ("brokers", Api::Metadata, 8, HUGE.into(), vec!["Metadata", malformed]),
        ("brokers are null", Api::Metadata, 8, NONE.into(), vec!["Metadata", malformed]),
        ("a host's length", Api::Metadata, 16, vec![0x7f, 0xff], vec!["Metadata", malformed]),
        ("a host is null", Api::Metadata, 16, vec![0xff, 0xff], vec!["Metadata", malformed]),
        ("a host is not UTF-8", Api::Metadata, 18, vec![0xff], vec!["Metadata", malformed]),
        ("port -1", Api::Metadata, 27, NONE.into(), vec!["Metadata", malformed, "port -1"]),
        ("port 65536", Api::Metadata, 27, 65536_i32.to_be_bytes().into(), vec!["Metadata", malformed, "port 65536"]),
        ("a dead broker", Api::Metadata, 27, dead.to_be_bytes().into(), vec!["cannot connect", &dead_address]),
        ("topics", Api::Metadata, 51, HUGE.into(), vec!["Metadata", malformed]),
        ("another topic", Api::Metadata, 59, b"Hostile".into(), vec!["Metadata", malformed, "'Hostile'"]),
        ("no such topic", Api::Metadata, 55, vec![0, 3], vec!["'hostile'", "does not exist"]),
        ("partitions", Api::Metadata, 67, HUGE.into(), vec!["Metadata", malformed]),
        ("a partition before the first", Api::Metadata, 73, NONE.into(), vec!["Metadata", malformed, "number -1"]),
        ("nobody's partition", Api::Metadata, 77, NONE.into(), vec!["hostile", "has no leader"]),
        ("a stranger's partition", Api::Metadata, 77, HUGE.into(), vec!["hostile", "has no leader"]),
        ("replicas", Api::Metadata, 85, HUGE.into(), vec!["Metadata", malformed]),
        ("no coordinator", Api::FindCoordinator, 8, vec![0, 15], vec!["FindCoordinator", "COORDINATOR_NOT_AVAILABLE"]),
        ("a dead coordinator", Api::FindCoordinator, 27, dead.to_be_bytes().into(), vec!["connect", &dead_address]),
        ("port of the coordinator", Api::FindCoordinator, 27, NONE.into(), vec!["FindCoordinator", malformed]),
        ("not the group's coordinator", Api::JoinGroup, 8, vec![0, 16], vec!["JoinGroup", "NOT_COORDINATOR"]),
        ("no such member", Api::JoinGroup, 8, vec![0, 25], vec!["JoinGroup", "UNKNOWN_MEMBER_ID"]),
        ("an assignor's length", Api::JoinGroup, 14, vec![0x7f, 0xff], vec!["JoinGroup", malformed]),
        ("an unknown assignor", Api::JoinGroup, 16, b"C".into(), vec!["JoinGroup", malformed, "'Cooperative-sticky'"]),
        ("members", Api::JoinGroup, 40, HUGE.into(), vec!["JoinGroup", malformed]),
        ("a subscription's length", Api::JoinGroup, 81, HUGE.into(), vec!["JoinGroup", malformed]),
        ("no such generation", Api::SyncGroup, 8, vec![0, 22], vec!["SyncGroup", "ILLEGAL_GENERATION"]),
        ("an assignment's length", Api::SyncGroup, 10, HUGE.into(), vec!["SyncGroup", malformed]),
        ("topics assigned", Api::SyncGroup, 16, HUGE.into(), vec!["SyncGroup", malformed]),
        ("topics committed", Api::OffsetFetch, 8, HUGE.into(), vec!["OffsetFetch", malformed]),
        ("partitions committed", Api::OffsetFetch, 21, HUGE.into(), vec!["OffsetFetch", malformed]),
        ("another partition committed", Api::OffsetFetch, 25, HUGE.into(), vec!["OffsetFetch", malformed, "not asked"]),
        ("a negative commit", Api::OffsetFetch, 29, (-2_i64).to_be_bytes().into(), vec!["OffsetFetch", malformed]),
        ("the metadata's length", Api::OffsetFetch, 41, vec![0x7f, 0xff], vec!["OffsetFetch", malformed]),
        ("not the coordinator", Api::OffsetFetch, 43, vec![0, 16], vec!["OffsetFetch", "NOT_COORDINATOR"]),
        ("a negative log", Api::ListOffsets, 39, (-5_i64).to_be_bytes().into(), vec!["ListOffsets", malformed]),
        ("partitions listed", Api::ListOffsets, 21, HUGE.into(), vec!["ListOffsets", malformed]),
        ("not the leader", Api::ListOffsets, 29, vec![0, 6], vec!["ListOffsets", "NOT_LEADER_OR_FOLLOWER"]),
        ("topics fetched", Api::Fetch, 14, HUGE.into(), vec!["Fetch", malformed]),
        ("another topic fetched", Api::Fetch, 20, b"Hostile".into(), vec!["Fetch", malformed, "not asked"]),
        ("partitions fetched", Api::Fetch, 27, HUGE.into(), vec!["Fetch", malformed]),
        ("another partition fetched", Api::Fetch, 31, HUGE.into(), vec!["Fetch", malformed, "not asked"]),
        ("aborted transactions", Api::Fetch, 61, HUGE.into(), vec!["Fetch", malformed]),
        ("the records' length", Api::Fetch, 69, HUGE.into(), vec!["Fetch", malformed]),
        ("a negative length", Api::Fetch, 69, (-2_i32).to_be_bytes().into(), vec!["Fetch", malformed]),
        ("an error code", Api::Fetch, 35, vec![0xff, 0xff], vec!["Fetch", "UNKNOWN_SERVER_ERROR"]),
    ];
    in_parallel(cases, |(case, api, at, bytes, parts)| {
        survives(case, &parts, |broker| broker.misbehave(api, patched(at, &bytes)));
    });
}

#[test]
fn commits_are_retried_until_they_are_accepted() {
    let lies: [(&str, &[&str], Lie); 5] = [
        ("hangs up", &["OffsetCommit"], |_| Answer::RawThenClose(Vec::new())),
        ("noise", &["OffsetCommit"], |good| Answer::Response([&good[..4], &random_bytes(500)].concat())),
        ("forged count", &["OffsetCommit"], patch_commit::<8>),
        ("another partition", &["OffsetCommit"], patch_commit::<25>),
        ("not the coordinator", &["OffsetCommit", "NOT_COORDINATOR"], |mut good| {
            good[30] = 16;
            Answer::Response(good)
        }),
    ];
    in_parallel(lies.into(), |(case, parts, lie)| {
        // The service commits a start position before it fetches, so it does not continue without the commit.
        survives(case, parts, |broker| broker.misbehave(Api::OffsetCommit, lie));
    });
}

fn patch_commit<const AT: usize>(mut good: Vec<u8>) -> Answer {
    good[AT..AT + 4].copy_from_slice(&i32::MAX.to_be_bytes());
    Answer::Response(good)
}

/// The error of a service that ends with exit code 1 after the correct batch; nothing else may be stored.
fn gives_up(case: &str, log: Log) -> String {
    let broker = FakeBroker::start(TOPIC, log);
    let installation = installation(&broker);
    installation.start(&["run"]).ends_with(1);
    assert_eq!(installation.number("SELECT count(*) FROM opportunities"), Some(3), "{case}");
    assert_eq!(installation.number("SELECT count(*) FROM unidentified_messages"), Some(0), "{case}");
    installation.assert_clean();
    installation.stderr().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_decompression_bomb_ends_the_service_with_its_coordinates() {
    const BOMB_BYTES: usize = 256 << 20;
    let bombs = vec![
        ("gzip", 1, decompression_bombs::gzip(BOMB_BYTES)),
        ("snappy", 2, decompression_bombs::snappy(BOMB_BYTES)),
        ("lz4", 3, decompression_bombs::lz4(BOMB_BYTES)),
        ("zstd", 4, decompression_bombs::zstd(BOMB_BYTES)),
    ];
    in_parallel(bombs, |(codec, attributes, payload)| {
        assert!(payload.len() < RECEIVE_BYTES_MAX, "{codec}: refused for its own size");
        let bomb = Batch { last_offset_delta: Some(0), record_count: Some(1), ..Batch::of(3, &["{}"]) };
        let bomb = bomb.with_payload(attributes, payload).encode();
        let line = gives_up(codec, Log { batches: vec![(3, good_batch().encode()), (4, bomb)], end_offset: 4 });
        for part in ["offset 3", "hostile-0", "16777216", "KAFKA_RECEIVE_MAX_BYTES"] {
            assert!(line.contains(part), "{codec}: {line}");
        }
    });
}

#[test]
fn a_batch_larger_than_any_response_ends_the_service_with_its_coordinates() {
    let broker = FakeBroker::start(TOPIC, log_of(&good_batch()));
    broker.misbehave(Api::Fetch, |_| Answer::Raw(i32::MAX.to_be_bytes().to_vec()));
    let installation = installation(&broker);
    installation.start(&["run"]).ends_with(1);
    let line = installation.stderr().lines().last().unwrap_or_default().to_owned();
    for part in ["offset 0", "hostile-0", "16777216", "KAFKA_RECEIVE_MAX_BYTES"] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn offsets_beyond_the_log_are_a_data_loss() {
    // After compaction a batch may end far after its last record: only another response of the leader shows the forgery.
    for (case, batch) in [
        ("span", Batch { last_offset_delta: Some(i32::MAX), ..good_batch() }),
        ("base", Batch::of(i64::MAX - 10, &[&event(0), &event(1), &event(2)])),
    ] {
        let end_of_batch = batch.base_offset + i64::from(batch.last_offset_delta.unwrap_or(2)) + 1;
        let log = Log { batches: vec![(end_of_batch, batch.encode())], end_offset: 3 };
        let line = gives_up(case, log);
        assert!(line.contains("hostile-0") && line.contains(&end_of_batch.to_string()), "{case}: {line}");
    }
}

#[test]
fn a_broker_of_an_unsupported_version_is_named() {
    // The second range is that of ListOffsets, the first thing in a range its number.
    let foreign_range = |good: Vec<u8>| {
        let mut answer = good;
        for entry in answer[10..].chunks_exact_mut(6).filter(|entry| entry[..2] == [0, 3]) {
            entry[2..].copy_from_slice(&[0, 90, 0, 99]);
        }
        Answer::Response(answer)
    };
    let broker = FakeBroker::start(TOPIC, log_of(&good_batch()));
    broker.misbehave(Api::Versions, foreign_range);
    let installation = installation(&broker);
    installation.start(&["run"]).ends_with(1);
    let line = installation.stderr().lines().last().unwrap_or_default().to_owned();
    assert!(line.contains(&broker.address()) && line.contains("Metadata") && line.contains("90-99"), "{line}");
}

#[test]
fn missing_and_endless_responses_do_not_delay_a_stop() {
    let lies: [(&str, Lie); 3] = [
        ("silent", |_| Answer::Silence),
        ("dripping a length", |_| Answer::Drip(vec![0])),
        ("dripping an answer", |good| Answer::Drip(frame(&[&good[..], &vec![0; 1 << 20]].concat()))),
    ];
    let cases = Api::ALL.into_iter().flat_map(|api| lies.map(move |lie| (api, lie))).collect();
    in_parallel(cases, |(api, (case, lie)): (Api, (&str, Lie))| {
        let broker = FakeBroker::start(TOPIC, log_of(&good_batch()));
        broker.misbehave(api, lie);
        let installation = installation(&broker);
        let mut service = installation.start(&["run"]);
        // LeaveGroup is sent at the end.
        let first = if api == Api::LeaveGroup { Api::OffsetCommit } else { api };
        assert!(broker.wait_asked(first, 1, WAIT_MAX), "{api:?} {case}: was not asked");
        assert!(service.is_running());
        service.signal("TERM");
        // A stop waits half of SHUTDOWN_TIMEOUT_MS for the response to a commit, and an eighth for that to LeaveGroup.
        let status = service.wait(Duration::from_secs(9));
        assert_eq!(status.code(), Some(0), "{api:?} {case}: {}", installation.tail());
    });
}
