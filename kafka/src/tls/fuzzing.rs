//! Fuzz target: PEM files of any bytes: no panic, memory that the file's size bounds, and errors without a byte of the
//! file.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use fuzzkit::{Target, within};

use super::files::{self, ClientCertificate, TlsError};

/// Memory per byte of a file: its text and the decoded values.
const MEMORY_FACTOR: usize = 8;
/// Memory for an empty file.
const MEMORY_LEAST: usize = 64 * 1024;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "pem",
    run: pem,
    words: &["-----BEGIN ", "-----END ", "CERTIFICATE-----", "PRIVATE KEY-----", "EC PRIVATE KEY-----", "\r\n"],
    tries: 2_000,
}];

fn pem(input: &[u8]) -> bool {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("kafka-pem-{}-{call}", std::process::id()));
    if fs::write(&path, input).is_err() {
        return false;
    }
    let client = ClientCertificate { certificate: path.clone(), key: path.clone() };
    let errors = within(input.len() * MEMORY_FACTOR + MEMORY_LEAST, || {
        [files::authorities_of(&path).err(), files::identity_of(&client).err()]
    });
    let _ = fs::remove_file(&path);
    // The texts are constants, except for the file's name.
    assert!(errors.iter().flatten().all(|error| matches!(error, TlsError::Unfit { .. })), "{errors:?}");
    errors.iter().any(Option::is_none)
}
