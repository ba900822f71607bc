//! Fuzz target: a server's two messages of any bytes. No panic; the client's final message has its nonce; the
//! iterations are within the limits; and only the final message of a server that knows the password is accepted.
//!
//! An input is the hash's number, the server's first message, a zero and its last one.

use fuzzkit::{Target, within};

use super::{ClientFirst, Hash, ITERATIONS_MAX, ITERATIONS_MIN, STANDARD, first_attribute, refusal};
use crate::secret::Secret;
use base64::Engine as _;

/// The client's nonce in the recorded exchanges.
pub(crate) const NONCE: &str = "nonce-of-ours";
/// A user of the testkit's brokers.
const USER: &str = "alice";
const PASSWORD: &str = "correct horse, battery=staple";

/// More would take too long for a fuzz target.
const ITERATIONS_TRIED_MAX: u32 = 10_000;
/// Memory per byte of the messages.
const MEMORY_FACTOR: usize = 8;
/// Memory for empty messages.
const MEMORY_LEAST: usize = 4 * 1024;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "scram",
    run: exchange,
    words: &["r=", "s=", "i=4096", "v=", "e=", "m=", NONCE, "=", ","],
    tries: 300,
}];

fn exchange(input: &[u8]) -> bool {
    let Some((hash, messages)) = input.split_first() else { return false };
    let hash = if hash % 2 == 0 { Hash::sha256() } else { Hash::sha512() };
    let mut messages = messages.splitn(2, |byte| *byte == 0);
    let (first, last) = (messages.next().unwrap_or_default(), messages.next().unwrap_or_default());
    let challenge = std::str::from_utf8(first).ok().and_then(|text| super::Challenge::parse(text).ok());
    let iterations = challenge.map_or(0, |challenge| challenge.iterations.get());
    assert!(iterations == 0 || (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations));
    if iterations > ITERATIONS_TRIED_MAX {
        return false;
    }
    let memory = input.len() * MEMORY_FACTOR + MEMORY_LEAST;
    let client_first = ClientFirst::new(hash, USER, NONCE.to_owned());
    let Ok((client_final, proof)) = within(memory, || client_first.finish(&Secret::new(PASSWORD), first)) else {
        return false;
    };
    assert!(client_final.starts_with(&format!("c=biws,r={NONCE}")), "{client_final}");
    // The final message of a server that knows the password.
    let signature = ring::hmac::sign(&proof.server_key, proof.transcript.as_bytes());
    let expected = format!("v={}", STANDARD.encode(signature));
    let last_text = std::str::from_utf8(last).unwrap_or_default();
    let is_right = first_attribute(last_text) == expected;
    assert_eq!(within(memory, || proof.verify(last)).is_ok(), is_right, "{last_text}");
    assert!(!is_right || refusal(last).is_none());
    is_right
}
