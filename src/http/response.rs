//! An answer as bytes. Must not know why it is given.

use std::fmt::Write;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) code: u16,
    pub(super) content_type: &'static str,
    /// What a browser may do with it.
    pub(super) content_security_policy: &'static str,
    pub(super) body: String,
}

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// The answer loads nothing and is shown in no frame.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// No answer is kept or taken for another type.
const SAFETY: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";

/// Programs send the token as it is, browsers as the password of any user
/// ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750), [RFC 7617](https://www.rfc-editor.org/rfc/rfc7617)).
const CHALLENGES: &str = "WWW-Authenticate: Bearer\r\n\
                          WWW-Authenticate: Basic realm=\"enterprise-consumer\", charset=\"UTF-8\"\r\n";

impl Response {
    /// A body that a browser may only show.
    pub(super) fn new(code: u16, content_type: &'static str, body: String) -> Self {
        Self { code, content_type, content_security_policy: NOTHING, body }
    }

    /// One line of text.
    pub(super) fn text(code: u16, line: &str) -> Self {
        Self::new(code, TEXT, format!("{line}\n"))
    }

    /// The answer on the wire; without its body to HEAD.
    pub(super) fn encode(&self, with_body: bool) -> Vec<u8> {
        let Self { code, content_type, content_security_policy, body } = self;
        let mut text = format!("HTTP/1.1 {code} {}\r\n", reason(*code));
        // Writing to a string cannot fail.
        let _ = write!(text, "Content-Type: {content_type}\r\nContent-Length: {}\r\n{SAFETY}", body.len());
        let _ = write!(text, "Content-Security-Policy: {content_security_policy}\r\n");
        match code {
            401 => text.push_str(CHALLENGES),
            405 => text.push_str("Allow: GET, HEAD\r\n"),
            503 => text.push_str("Retry-After: 5\r\n"),
            _ => {}
        }
        text.push_str("Connection: close\r\n\r\n");
        if with_body {
            text.push_str(body);
        }
        text.into_bytes()
    }
}

/// The reason phrase ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-15)).
fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "",
    }
}
