//! The sections about the service: database, Kafka, credentials, versions, the last warning. Must not know other sections.

use std::time::{Duration, SystemTime};

use super::html::Html;
use super::values::{term, time, value};
use crate::observability::Status;
use crate::runtime::readable::{Bytes, Grouped};
use crate::storage::DatabaseSizes;

/// From when on a credential that expires is marked: as `deploy/alerts.yml` does.
const EXPIRY_NEAR: Duration = Duration::from_hours(14 * 24);

/// The part of the WAL's limit from which on its meter is marked: the log warns from a quarter of the default limit on.
const WAL_HIGH_DIVISOR: u64 = 4;

/// Adds the database.
pub(super) fn add_database(html: &mut Html, status: &Status) {
    html.markup("<section><h2>Database</h2><dl id=\"database\">");
    let Status { sizes, description, .. } = status;
    term(html, "WAL");
    html.markup("<dd>");
    if let Some(DatabaseSizes { wal_bytes, .. }) = sizes {
        let limit = description.wal_limit_bytes;
        html.markup("<meter min=\"0\" optimum=\"0\"")
            .attribute("max", limit)
            .attribute("high", limit / WAL_HIGH_DIVISOR);
        html.attribute("value", wal_bytes).markup(" aria-label=\"WAL\">").text(Bytes(*wal_bytes)).markup("</meter> ");
    }
    value(html, sizes.map(|sizes| Bytes(sizes.wal_bytes)));
    html.text(format_args!(" of {}", Bytes(description.wal_limit_bytes))).markup("</dd>");
    for (name, bytes) in [
        ("Database file", sizes.map(|sizes| sizes.database_bytes)),
        ("Free on its file system", sizes.map(|sizes| sizes.free_bytes)),
    ] {
        term(html, name);
        html.markup("<dd>");
        value(html, bytes.map(Bytes));
        html.markup("</dd>");
    }
    date(html, "Last transaction", status.last_transaction_at, status.at);
    results(html, "Transactions", &status.transactions);
    html.markup("</dl></section>");
}

/// Adds commits and failing attempts.
pub(super) fn add_attempts(html: &mut Html, status: &Status) {
    html.markup("<section><h2>Commits and attempts</h2><dl id=\"attempts\">");
    date(html, "Last commit", status.last_commit_at, status.at);
    results(html, "Commits", &status.commits);
    term(html, "Rebalances");
    html.element("dd", Grouped(status.rebalances));
    term(html, "Failing attempts");
    let failing: Vec<String> =
        status.failing_attempts.iter().filter(|(_, attempts)| *attempts > 0).map(failing).collect();
    if failing.is_empty() {
        html.markup("<dd>none</dd>");
    } else {
        html.element("dd class=\"bad\"", failing.join("; "));
    }
    html.markup("</dl></section>");
}

fn failing((what, attempts): &(&str, u64)) -> String {
    let what = match *what {
        "database" => "writes to the database",
        "sync" => "syncs of the database",
        "kafka" => "requests to Kafka",
        other => other,
    };
    format!("{what}: {} in a row", Grouped(*attempts))
}

/// Adds when credentials expire, if any does.
pub(super) fn add_credentials(html: &mut Html, status: &Status) {
    html.markup("<section><h2>Credentials</h2>");
    if status.credentials.is_empty() {
        html.markup("<p>None whose expiry is known.</p></section>");
        return;
    }
    html.markup("<dl id=\"credentials\">");
    for (credential, expires_at) in &status.credentials {
        html.element("dt", credential.replace('_', " "));
        let left = expires_at.duration_since(status.at).unwrap_or_default();
        html.markup(if left < EXPIRY_NEAR && *credential == "client_certificate" {
            "<dd class=\"bad\">expires "
        } else {
            "<dd>expires "
        });
        time(html, Some(*expires_at), status.at);
        html.markup("</dd>");
    }
    html.markup("</dl></section>");
}

/// Adds the last warning or error.
pub(super) fn add_problem(html: &mut Html, status: &Status) {
    html.markup("<section><h2>Last warning or error</h2>");
    match &status.last_problem {
        None => html.markup("<p>None since the start.</p>"),
        Some(problem) => {
            html.markup("<p><time>").text(&problem.at).markup("</time> ").element("b", &problem.level).markup("</p>");
            html.element("pre id=\"problem\"", &problem.message)
        }
    };
    html.markup("</section>");
}

/// Adds versions and what the settings say.
pub(super) fn add_versions(html: &mut Html, status: &Status) {
    html.markup("<section><h2>Versions</h2><dl id=\"versions\">");
    let description = &status.description;
    for (name, text) in [
        ("enterprise-consumer", env!("CARGO_PKG_VERSION")),
        ("SQLite", description.sqlite_version),
        ("Group protocol", description.group_protocol),
        ("Isolation level", description.isolation_level),
        ("Synchronous", description.synchronous),
    ] {
        term(html, name);
        html.element("dd", text);
    }
    date(html, "Started", Some(status.started_at), status.at);
    html.markup("</dl></section>");
}

fn date(html: &mut Html, name: &'static str, at: Option<SystemTime>, now: SystemTime) {
    term(html, name);
    html.markup("<dd>");
    time(html, at, now);
    html.markup("</dd>");
}

fn results(html: &mut Html, name: &'static str, counts: &[(&'static str, u64)]) {
    term(html, name);
    let counts: Vec<String> = counts.iter().map(|(result, count)| format!("{} {result}", Grouped(*count))).collect();
    html.element("dd", counts.join(", "));
}
