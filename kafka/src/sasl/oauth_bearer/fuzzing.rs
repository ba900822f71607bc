//! Fuzz target: a server's error of any bytes. No panic, memory that the message's size bounds, and a text that holds
//! nothing else.

use fuzzkit::{Target, within};

use super::ServerError;

/// Memory per byte of the message: the lossy text has up to three bytes for each.
const MEMORY_FACTOR: usize = 16;
/// Memory for an empty message.
const MEMORY_LEAST: usize = 4 * 1024;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "oauth_error",
    run: server_error,
    words: &["{\"status\":\"", "invalid_token", "\",\"scope\":\"", "\",\"openid-configuration\":\"", "null", "\"}"],
    tries: 2_000,
}];

fn server_error(input: &[u8]) -> bool {
    let memory = input.len() * MEMORY_FACTOR + MEMORY_LEAST;
    let parsed = within(memory, || ServerError::parse(input));
    assert_eq!(parsed.is_none(), input.is_empty());
    let json: Option<serde_json::Value> = serde_json::from_slice(input).ok();
    let status = json.as_ref().and_then(|json| json.get("status")?.as_str());
    if let (Some(parsed), Some(status)) = (&parsed, status) {
        assert!(parsed.status == status || parsed.status == String::from_utf8_lossy(input), "{parsed:?}");
    }
    status.is_some()
}
