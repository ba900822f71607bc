//! Parsers of values. Each returns a typed value or the allowed form. Must not know variable names.

use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use kafka::Address;
use kafka::text::excerpt;

use super::damage;

/// Greatest length of a value in an error, in characters.
const SHOWN_CHARS_MAX: usize = 64;
/// Greatest length of a group, client, member or rack name, in bytes: it must fit into logs and tables of tools.
const NAME_BYTES_MAX: usize = 255;
/// Greatest length of a topic's name, in bytes (`org.apache.kafka.common.internals.Topic.MAX_NAME_LENGTH`).
const TOPIC_BYTES_MAX: usize = 249;

/// Greatest length of a host name, in bytes ([RFC 1035](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4)).
const HOST_BYTES_MAX: usize = 255;

/// The beginning of a text as one line, for a message.
pub fn shorten(text: &str) -> String {
    excerpt(text, SHOWN_CHARS_MAX)
}

/// One of several words, in upper or lower case.
pub(super) fn choice<T: Copy>(choices: &[(&'static str, T)]) -> impl FnOnce(&str) -> Result<T, String> {
    move |text| match choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        Some((_, choice)) => Ok(*choice),
        None => Err(choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")),
    }
}

/// A whole number; `unit` follows the range in the message.
pub(super) fn number<T: FromNumber>(range: RangeInclusive<u64>, unit: &str) -> impl FnOnce(&str) -> Result<T, String> {
    move |text| {
        whole_number(text)
            .filter(|number| range.contains(number))
            .and_then(T::from_number)
            .ok_or_else(|| format!("a whole number from {} to {}{unit}", range.start(), range.end()))
    }
}

/// A duration in milliseconds.
pub(super) fn milliseconds(range: RangeInclusive<u64>) -> impl FnOnce(&str) -> Result<Duration, String> {
    move |text| number(range, " milliseconds")(text).map(Duration::from_millis)
}

fn whole_number(text: &str) -> Option<u64> {
    // Digits only: `parse` accepts a plus sign too.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The integer types of settings.
pub(super) trait FromNumber: Sized {
    /// Converts a number; `None` if it does not fit.
    fn from_number(number: u64) -> Option<Self>;
}

impl FromNumber for u64 {
    fn from_number(number: u64) -> Option<Self> {
        Some(number)
    }
}

impl FromNumber for u32 {
    fn from_number(number: u64) -> Option<Self> {
        number.try_into().ok()
    }
}

impl FromNumber for NonZero<u32> {
    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().and_then(Self::new)
    }
}

impl FromNumber for NonZero<usize> {
    fn from_number(number: u64) -> Option<Self> {
        usize::try_from(number).ok().and_then(Self::new)
    }
}

/// A name that is sent to Kafka unchanged.
pub(super) fn name(text: &str) -> Result<String, String> {
    let good = (1..=NAME_BYTES_MAX).contains(&text.len()) && damage::of_value(text).is_none();
    good.then(|| text.to_owned())
        .ok_or_else(|| format!("1 to {NAME_BYTES_MAX} bytes, without blanks around and control characters"))
}

/// Comma-separated topic names, without duplicates.
pub(super) fn topics(text: &str) -> Result<Vec<String>, String> {
    let mut topics: Vec<String> = Vec::new();
    for topic in text.split(',').map(str::trim) {
        if !is_topic(topic) {
            return Err(format!(
                "one or several comma-separated topic names of 1 to {TOPIC_BYTES_MAX} letters, digits, '.', '_' and '-'"
            ));
        }
        if topics.iter().all(|known| known != topic) {
            topics.push(topic.to_owned());
        }
    }
    Ok(topics)
}

/// Like `org.apache.kafka.common.internals.Topic.validate`.
fn is_topic(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=TOPIC_BYTES_MAX).contains(&text.len()) && text != "." && text != ".." && text.bytes().all(legal)
}

/// Comma-separated broker addresses.
pub(super) fn addresses(text: &str) -> Result<Vec<Address>, String> {
    text.split(',')
        .map(|address| parse_address(address.trim()))
        .collect::<Option<_>>()
        .ok_or_else(|| "one or several comma-separated host:port, like localhost:9092 or [::1]:9092".to_owned())
}

fn parse_address(text: &str) -> Option<Address> {
    let (host, port) = text.rsplit_once(':')?;
    let port = whole_number(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())?,
        // A host name or an IPv4 address: no scheme, no path, no IPv6 address without brackets.
        None => Some(host).filter(|host| {
            (1..=HOST_BYTES_MAX).contains(&host.len())
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        })?,
    };
    Some(Address { host: host.to_owned(), port })
}

/// The URL of a database file; its path is not percent-decoded.
pub(super) fn database_path(url: &str) -> Result<PathBuf, String> {
    let allowed = "sqlite:///relative/path or sqlite:////absolute/path";
    if url.contains(":memory:") {
        return Err(format!("{allowed} (an in-memory database would be lost)"));
    }
    if url.contains('?') {
        return Err(format!("{allowed} (without parameters after '?')"));
    }
    let path = url.strip_prefix("sqlite:///").ok_or(allowed)?;
    // SQLite interprets a name that begins with "file:" as a URI.
    if path.is_empty() || path.ends_with('/') || path.starts_with("file:") || path.contains('\0') {
        return Err(allowed.to_owned());
    }
    damage::of_path(path).map_or_else(|| Ok(PathBuf::from(path)), Err)
}
