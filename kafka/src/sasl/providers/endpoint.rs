//! A token endpoint and a client that it knows, as settings. Must not send requests.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use crate::text::shorten;

/// The hosts that are this machine: a secret may be sent to them without TLS.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A token endpoint, and a client that it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEndpoint {
    /// The endpoint's URL: [`TokenEndpoint::accepts`].
    pub url: String,
    /// The client's identifier.
    pub client_id: String,
    /// A file that holds the client's secret alone; one line end after it is ignored. It is read for each request.
    pub client_secret_file: PathBuf,
    /// The requested scope.
    pub scope: Option<String>,
}

impl TokenEndpoint {
    /// Whether a URL can be that of a token endpoint: `https://…`, or `http://…` on this machine, without user and
    /// fragment.
    pub fn accepts(url: &str) -> bool {
        let Some((scheme, rest)) = url.split_once("://") else { return false };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let is_host = if let Some(ip) = host.strip_prefix('[') {
            ip.strip_suffix(']').is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
        } else {
            let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !host.is_empty() && host.bytes().all(is_of_name)
        };
        let is_scheme = scheme == "https" || (scheme == "http" && LOCAL_HOSTS.contains(&host));
        let is_rest = rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        is_scheme && is_host && is_port && is_rest
    }

    /// The beginning of the URL without its query, for people.
    pub fn shown_url(&self) -> String {
        shorten(self.url.split('?').next().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::TokenEndpoint;

    #[test]
    fn a_secret_is_sent_over_tls_or_to_this_machine() {
        for good in [
            "https://a.example/token",
            "https://a_b.example",
            "https://10.0.0.1:8443",
            "https://[fe80::1]:1/x",
            "http://localhost:1/x",
            "http://127.0.0.1",
            "http://[::1]/x?y=z",
        ] {
            assert!(TokenEndpoint::accepts(good), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "http://a.example",
            "http://localhost.example",
            "ftp://localhost",
            "https://",
            "https://u:p@a",
            "https:///x",
            "https://a/#b",
            "https://a b",
            "https://a:0",
            "https://a:x",
            "https://a/\n",
            "https://[::1",
        ] {
            assert!(!TokenEndpoint::accepts(bad), "{bad}");
        }
    }
}
