//! Fuzz target: a response of a token endpoint of any bytes. No panic, memory that the response's size bounds, an error of
//! one line, and only visible ASCII characters as a token.
//!
//! An input is the number of the status, then the body.

use fuzzkit::{Target, within};

use super::parse;

const STATUSES: [u16; 6] = [200, 400, 401, 403, 429, 503];
/// Memory per byte of the body.
const MEMORY_FACTOR: usize = 16;
/// Memory for an empty body.
const MEMORY_LEAST: usize = 8 * 1024;

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "oauth_token",
    run: response,
    words: &[
        "{\"access_token\":\"",
        "\",\"token_type\":\"Bearer\"",
        ",\"expires_in\":3600",
        "{\"error\":\"invalid_client\"",
        ",\"error_description\":\"",
        "1e999",
        "}",
    ],
    tries: 2_000,
}];

fn response(input: &[u8]) -> bool {
    let Some((number, body)) = input.split_first() else { return false };
    let Some(status) = STATUSES.get(usize::from(*number)) else { return false };
    match within(body.len() * MEMORY_FACTOR + MEMORY_LEAST, || parse(*status, body)) {
        Ok(issued) => {
            assert_eq!(*status, 200);
            assert!(issued.token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
            true
        }
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error}");
            *status != 200
        }
    }
}
