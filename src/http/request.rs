//! The head of a request, [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112). Must not know what is answered.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use httparse::{EMPTY_HEADER, Status};

/// Greatest size of a head, in bytes, as in other servers; those of browsers and of Prometheus have less than 2 KiB.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The most headers.
const HEADERS_MAX: usize = 32;

/// A request without a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The path, without a query.
    pub(super) path: String,
    /// `Host`; absent from HTTP/1.0 only.
    pub(super) host: Option<String>,
    /// The token of `Authorization: Bearer`, or the password of `Authorization: Basic`.
    pub(super) token: Option<String>,
}

/// The methods that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
}

/// What the bytes so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// The beginning of a request.
    Incomplete,
    /// A whole head.
    Complete(Request),
    /// No request that the server answers.
    Refused(Refusal),
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not HTTP/1.0 or HTTP/1.1.
    Malformed,
    /// More than the limits allow.
    TooLarge,
    /// It announces a body.
    Body,
    /// Neither GET nor HEAD.
    Method,
}

/// Parses what has been received so far, at most [`HEAD_BYTES_MAX`].
pub(super) fn parse(received: &[u8]) -> Head {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(received) {
        Ok(Status::Complete(_)) => check(&parsed).map_or_else(Head::Refused, Head::Complete),
        Ok(Status::Partial) if received.len() < HEAD_BYTES_MAX => Head::Incomplete,
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => Head::Refused(Refusal::TooLarge),
        Err(_) => Head::Refused(Refusal::Malformed),
    }
}

fn check(parsed: &httparse::Request<'_, '_>) -> Result<Request, Refusal> {
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refusal::Malformed);
    };
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Refusal::Method),
    };
    let all = |name: &'static str| parsed.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    let text = |value: &[u8]| std::str::from_utf8(value).map(|text| text.trim().to_owned());
    if all("Transfer-Encoding").next().is_some() || all("Content-Length").any(|length| length.value != b"0") {
        return Err(Refusal::Body);
    }
    let mut hosts = all("Host");
    let host = hosts.next().map(|host| text(host.value)).transpose().map_err(|_| Refusal::Malformed)?;
    if hosts.next().is_some() || (host.is_none() && version == 1) || !target.starts_with('/') {
        return Err(Refusal::Malformed);
    }
    let authorization = all("Authorization").next().and_then(|header| text(header.value).ok());
    Ok(Request {
        method,
        path: target.split('?').next().unwrap_or_default().to_owned(),
        host,
        token: authorization.as_deref().and_then(token),
    })
}

/// The token in the value of `Authorization`.
fn token(authorization: &str) -> Option<String> {
    let (scheme, credentials) = authorization.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("Bearer") {
        return Some(credentials.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
    // A browser sends a user too, who does not matter; the password may hold colons.
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Refusal {
        match parse(text.as_bytes()) {
            Head::Refused(refusal) => refusal,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn a_request_may_come_in_any_pieces() {
        let text = "GET /metrics?x=1 HTTP/1.1\r\nHost: a:1\r\nauthorization: bearer  T0ken \r\nAccept: */*\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end]), Head::Incomplete, "{end}");
        }
        let expected = Request {
            method: Method::Get,
            path: "/metrics".to_owned(),
            host: Some("a:1".to_owned()),
            token: Some("T0ken".to_owned()),
        };
        assert_eq!(parse(text.as_bytes()), Head::Complete(expected));
        let basic = text.replace("bearer  T0ken", "Basic YW55OlQwOmtlbg==");
        let Head::Complete(request) = parse(basic.as_bytes()) else { panic!("{basic}") };
        assert_eq!(request.token.as_deref(), Some("T0:ken"));
        for none in ["Basic", "Basic YW55", "Basic !", "Basic /w==", "Digest YW55OlQwOmtlbg=="] {
            let Head::Complete(request) = parse(text.replace("bearer  T0ken", none).as_bytes()) else {
                panic!("{none}")
            };
            assert_eq!(request.token, None, "{none}");
        }
        let old = Request { method: Method::Head, path: "/".to_owned(), host: None, token: None };
        assert_eq!(parse(b"HEAD / HTTP/1.0\r\n\r\n"), Head::Complete(old));
    }

    #[test]
    fn what_is_no_request_of_this_server_is_refused() {
        for text in [
            "GET / HTTP/2.0\r\n\r\n",
            "GET /\r\n\r\n",
            "\u{16}\u{3}\u{1}",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        ] {
            assert_eq!(refusal(text), Refusal::Malformed, "{text:?}");
        }
        for method in ["POST", "DELETE", "CONNECT", "get"] {
            assert_eq!(refusal(&format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")), Refusal::Method);
        }
        for header in ["Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: -1"] {
            assert_eq!(refusal(&format!("GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n")), Refusal::Body, "{header}");
        }
        let many = "A: b\r\n".repeat(HEADERS_MAX);
        assert_eq!(refusal(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")), Refusal::TooLarge);
        let long = format!("GET /{}", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(refusal(&long[..HEAD_BYTES_MAX]), Refusal::TooLarge);
        assert_eq!(parse(&long.as_bytes()[..HEAD_BYTES_MAX - 1]), Head::Incomplete);
    }
}
