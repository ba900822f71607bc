//! Brokers that do not respond to the latest version of `ApiVersions`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// How a broker treats a version of `ApiVersions`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Responds,
    Closes,
    /// Closes the connection within the response.
    CutsOff,
    /// The response is malformed.
    Garbles,
    /// The response is only `UNSUPPORTED_VERSION`, without versions.
    Refuses,
}

/// A broker that treats versions of `ApiVersions` like this, and responds to requests for metadata; returns the
/// received versions.
fn broker_with(treat: impl Fn(i16) -> Treatment + Send + Sync + 'static) -> (Address, Arc<Mutex<Vec<i16>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let versions_seen = Arc::clone(&seen);
    let (address, _) = broker(move |_, peer| {
        while let Some((key, version, id)) = peer.request() {
            if key == METADATA {
                peer.send_response(&MetadataResponse::default(), version, id);
                continue;
            }
            versions_seen.lock().unwrap().push(version);
            let id_bytes = id.to_be_bytes();
            match treat(version) {
                Treatment::Responds => {
                    peer.send_response(&versions(&[(METADATA, 0, 12), (API_VERSIONS, 0, 3)]), version, id);
                }
                Treatment::Closes => break,
                Treatment::CutsOff => {
                    peer.send(&[&[0, 0, 0, 100], &id_bytes[..], &[0; 9]].concat());
                    break;
                }
                Treatment::Garbles => {
                    peer.send(&[&[0, 0, 0, 12], &id_bytes[..], &[0, 0, 0x7f, 0xff, 0, 3, 0, 1]].concat());
                }
                Treatment::Refuses => peer.send(&[&[0, 0, 0, 6], &id_bytes[..], &[0, 35]].concat()),
            }
        }
    });
    (address, seen)
}

/// The versions of `ApiVersions` that the broker has received since the last call.
fn take(seen: &Mutex<Vec<i16>>) -> Vec<i16> {
    std::mem::take(&mut seen.lock().unwrap())
}

fn opens(address: &Address, settings: &ConnectionSettings) {
    Connection::open(address, settings).unwrap().call(&metadata()).unwrap();
}

#[test]
fn an_older_version_is_found_on_new_connections_and_kept() {
    use Treatment::{Closes, CutsOff, Garbles, Refuses, Responds};
    for (treatment, up_to, expected) in [
        (Closes, 3, &[4, 3][..]),
        (Closes, 2, &[4, 3, 0]),
        (Closes, 0, &[4, 3, 0]),
        (CutsOff, 3, &[4, 3]),
        (CutsOff, 0, &[4, 3, 0]),
        (Garbles, 3, &[4, 0]),
        (Garbles, 2, &[4, 0]),
        (Refuses, 2, &[4, 0]),
    ] {
        let (address, seen) = broker_with(move |version| if version <= up_to { Responds } else { treatment });
        let settings = settings(LONG);
        opens(&address, &settings);
        assert_eq!(take(&seen), expected);
        // All connections with the same registry use it.
        opens(&address, &settings.clone());
        assert_eq!(take(&seen), [*expected.last().unwrap()]);
    }
}

#[test]
fn a_broker_that_restarts_gets_the_latest_version() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let (address, seen) =
        broker_with(move |_| if up.load(Ordering::SeqCst) { Treatment::Responds } else { Treatment::Closes });
    let settings = settings(LONG);
    let error = Connection::open(&address, &settings).unwrap_err();
    assert!(matches!(error, Error::Disconnected { request: "ApiVersions", .. }), "{error:?}");
    assert_eq!(take(&seen), [4, 3, 0]);
    is_up.store(true, Ordering::SeqCst);
    opens(&address, &settings);
    assert_eq!(take(&seen), [4]);
}

#[test]
fn a_version_without_a_response_is_not_kept() {
    let is_new = Arc::new(AtomicBool::new(false));
    let new = Arc::clone(&is_new);
    let (address, seen) = broker_with(move |version| match (new.load(Ordering::SeqCst), version) {
        (false, 0) | (true, 4) => Treatment::Responds,
        _ => Treatment::Closes,
    });
    let settings = settings(LONG);
    opens(&address, &settings);
    assert_eq!(take(&seen), [4, 3, 0]);
    is_new.store(true, Ordering::SeqCst);
    assert!(Connection::open(&address, &settings).unwrap_err().is_retriable());
    assert_eq!(take(&seen), [0]);
    opens(&address, &settings);
    assert_eq!(take(&seen), [4]);
}

#[test]
fn a_response_that_is_malformed_in_all_versions_is_an_error() {
    let (address, seen) = broker_with(|_| Treatment::Garbles);
    let error = Connection::open(&address, &settings(LONG)).unwrap_err();
    assert!(matches!(error, Error::Malformed { request: "ApiVersions", .. }), "{error:?}");
    assert_eq!(take(&seen), [4, 0]);
}
