//! Which `Host` headers are trusted. A web page can let its own name resolve to the address of the server and then read
//! what the server answers ([DNS rebinding](https://en.wikipedia.org/wiki/DNS_rebinding)); the browser sends that name.

use std::net::{IpAddr, Ipv6Addr};

/// Ends of names that nobody can register in public: of Kubernetes services, and those that RFC 6761, RFC 6762 and ICANN
/// reserve.
const PRIVATE_ENDS: [&str; 5] = [".localhost", ".svc", ".cluster.local", ".local", ".internal"];

/// Whether a page of somebody else cannot have this host: an IP address, or a name that nobody can register in public,
/// such as `localhost` or the name of a container.
pub(super) fn is_trusted(host: &str) -> bool {
    let name = without_port(host).unwrap_or_default();
    if let Some(address) = name.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(is_name_byte) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || !name.contains('.') || PRIVATE_ENDS.iter().any(|end| name.ends_with(end))
}

/// The host before a port; `None` if there is no port after the last colon.
fn without_port(host: &str) -> Option<&str> {
    if host.ends_with(']') {
        return Some(host);
    }
    match host.rsplit_once(':') {
        None => Some(host),
        Some((name, port)) => port.parse::<u16>().ok().map(|_| name),
    }
}

#[cfg(test)]
mod tests {
    use super::is_trusted;

    #[test]
    fn a_name_that_a_page_can_have_is_refused() {
        for host in [
            "localhost",
            "LOCALHOST:9464",
            "127.0.0.1",
            "127.0.0.1:9464",
            "[::1]",
            "[::1]:9464",
            "10.0.0.7:80",
            "consumer",
            "consumer_1:9464",
            "consumer.monitoring.svc:9464",
            "consumer.monitoring.svc.cluster.local",
        ] {
            assert!(is_trusted(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "evil.example:9464",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "::1",
            "[::1",
            "[evil]",
            "localhost:http",
            "a b",
            "localhost/",
            "evil.example.",
            "[::1]x:80",
        ] {
            assert!(!is_trusted(host), "{host}");
        }
    }
}
