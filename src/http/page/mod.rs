//! The status page: one HTML document that works without script and loads nothing. A little script requests it again every
//! few seconds. Must not know how anything is measured, nor what is requested.
//!
//! | file | holds |
//! |-|-|
//! | `html.rs` | HTML that is escaped by type |
//! | `sentence.rs` | the state in one sentence |
//! | `partitions.rs`, `progress.rs`, `operation.rs` | the sections |
//! | `sparkline.rs`, `values.rs` | what they are made of |
//! | `style.css`, `refresh.js` | the only style and script, which the browser compares with their hashes |

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod html;
mod operation;
mod partitions;
mod progress;
mod sentence;
mod sparkline;
#[cfg(test)]
mod tests;
mod values;

use std::sync::LazyLock;
use std::time::Instant;

use base64::display::Base64Display;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};

use crate::observability::{LagHistory, Status};
use html::Html;
use sentence::Level;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("refresh.js");

/// What the browser may do: apply this style, run this script, request this server again, and nothing else
/// ([Content Security Policy](https://www.w3.org/TR/CSP3/)). The icon is in the document, since browsers request one.
pub(super) static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'",
        source(STYLE),
        source(SCRIPT)
    )
});

/// A source expression that allows this text only.
fn source(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    format!("'sha256-{}'", Base64Display::new(hash.as_ref(), &BASE64_STANDARD))
}

/// The document.
pub(super) fn render(status: &Status, history: &LagHistory, now: Instant) -> String {
    let (level, sentence) = sentence::state(status);
    let mut html = Html::default();
    html.markup("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    html.markup(match level {
        Level::Good => "ready",
        Level::Behind => "catching up",
        Level::Bad => "not ready",
    });
    html.markup(
        " · enterprise-consumer</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\"><style>",
    );
    html.markup(STYLE).markup("</style></head><body><h1>enterprise-consumer</h1>");
    html.markup("<p id=\"notice\" role=\"status\" hidden></p><main><section>");
    html.markup(match level {
        Level::Good => "<p id=\"state\" class=\"good\">",
        Level::Behind => "<p id=\"state\" class=\"behind\">",
        Level::Bad => "<p id=\"state\" class=\"bad\">",
    });
    html.text(sentence).markup("</p></section>");
    partitions::add(&mut html, status, history, now);
    progress::add_throughput(&mut html, status);
    progress::add_unidentified(&mut html, status);
    progress::add_jumps(&mut html, status);
    operation::add_database(&mut html, status);
    operation::add_attempts(&mut html, status);
    operation::add_credentials(&mut html, status);
    if status.shows_texts {
        operation::add_problem(&mut html, status);
    }
    operation::add_versions(&mut html, status);
    html.markup(
        "</main><footer><nav><a href=\"status.json\">status.json</a> <a href=\"metrics\">metrics</a> \
         <a href=\"healthz\">healthz</a> <a href=\"readyz\">readyz</a></nav></footer><script>",
    );
    html.markup(SCRIPT).markup("</script></body></html>\n");
    html.into_string()
}
