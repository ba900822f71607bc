//! A broker that refuses each kind of request with each retriable error code, with an unknown code, and with codes about members to a
//! client that is none. The service retries, and every record takes effect once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::batches::Batch;
use crate::support::fake_broker::{Answer, Api, FakeBroker, Log};
use crate::support::process::Installation;

const TOPIC: &str = "refusals";

/// The retriable codes of [Kafka's table](https://kafka.apache.org/protocol#protocol_error_codes) for requests of a consumer, a code that
/// the table does not have, and `UNKNOWN_SERVER_ERROR`.
const RETRIABLE: [i16; 34] = [
    -1, 2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89, 100, 103,
    106, 129, 133, 999,
];

/// Codes about a member's id or generation.
const ABOUT_MEMBERS: [i16; 6] = [22, 25, 27, 82, 110, 113];

/// The offset of the error code in a response: of the topic, of the partition, or of the whole response.
fn code_at(api: Api, response: &[u8]) -> usize {
    let topic = 2 + TOPIC.len();
    match api {
        // Correlation id, throttle time; one broker with its host and port, no rack; cluster id, controller; one topic.
        Api::Metadata => 8 + (4 + 4 + 2 + "127.0.0.1".len() + 4 + 2) + (2 + "fake-cluster".len() + 4) + 4,
        Api::ListOffsets => 8 + 4 + topic + 4 + 4,
        // The same after an error code and a session id.
        Api::Fetch => 8 + 2 + 4 + 4 + topic + 4 + 4,
        Api::OffsetFetch => response.len() - 2,
        _ => 8,
    }
}

fn survives(api: Api, codes: &[i16]) {
    let event = |number| format!(r#"{{"event_id":"opp_{number}","name":"n","stage":"won"}}"#);
    let batch = Batch::of(0, &[&event(0), &event(1), &event(2)]);
    let broker = FakeBroker::start(TOPIC, Log { batches: vec![(3, batch.encode())], end_offset: 3 });
    let mut installation = Installation::new(&broker.address(), TOPIC);
    installation.set("RETRY_INITIAL_MS", "2").set("RETRY_MAX_MS", "10");
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, all) = (Arc::clone(&asked), codes.to_vec());
    broker.misbehave(api, move |mut response| {
        if let Some(code) = all.get(count.fetch_add(1, Ordering::SeqCst)) {
            let at = code_at(api, &response);
            response[at..at + 2].copy_from_slice(&code.to_be_bytes());
        }
        Answer::Response(response)
    });
    installation.run_to_end();
    installation.assert_clean();
    assert_eq!(installation.stored(), 3, "{api:?}");
    assert!(asked.load(Ordering::SeqCst) >= codes.len(), "{api:?} was asked {asked:?} times");
    assert_eq!(broker.committed().map(|(offset, _)| offset), Some(3), "{api:?}");
}

#[test]
fn a_refused_request_is_retried() {
    let of_nobody = [&RETRIABLE[..], &ABOUT_MEMBERS].concat();
    std::thread::scope(|scope| {
        for api in [Api::Metadata, Api::FindCoordinator, Api::OffsetFetch, Api::ListOffsets, Api::Fetch] {
            let codes = &of_nobody;
            scope.spawn(move || survives(api, codes));
        }
        for api in [Api::JoinGroup, Api::SyncGroup] {
            scope.spawn(move || survives(api, &RETRIABLE));
        }
    });
}

/// A group that the coordinator does not know has no committed offsets, which is no failure.
#[test]
fn a_group_that_is_not_found_has_committed_nothing() {
    survives(Api::OffsetFetch, &[69]);
}
