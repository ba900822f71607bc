//! An answer as bytes. Must not know why it is given.

use std::fmt::Write;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) code: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const JSON: &str = "application/json";

/// No answer is kept, taken for another type, shown in a frame, or loads anything.
const SAFETY: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
                      Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";

impl Response {
    /// One line of text.
    pub(super) fn text(code: u16, line: &str) -> Self {
        Self { code, content_type: TEXT, body: format!("{line}\n") }
    }

    /// The answer on the wire; without its body to HEAD.
    pub(super) fn encode(&self, with_body: bool) -> Vec<u8> {
        let Self { code, content_type, body } = self;
        let mut text = format!("HTTP/1.1 {code} {}\r\n", reason(*code));
        // Writing to a string cannot fail.
        let _ = write!(text, "Content-Type: {content_type}\r\nContent-Length: {}\r\n{SAFETY}", body.len());
        match code {
            401 => text.push_str("WWW-Authenticate: Bearer\r\n"),
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
