//! The `health` command: requests the health of the service that runs with the same settings, for health checks of
//! containers and for cron. Must not judge: the service does.

use std::time::Duration;

use kafka::text::EscapedLines;

use crate::commands::error::CommandError;
use crate::commands::time_limit::exit_after;
use crate::http;
use crate::runtime::output;
use crate::settings::Settings;

/// How long the service may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// How much longer a connection may take that has no time limit of its own.
const CONNECT_TIME: Duration = Duration::from_millis(500);

/// Prints the health, or whether the service is ready. Returns whether it is.
pub fn health(settings: &Settings, ready: bool) -> Result<bool, CommandError> {
    let listen = settings.http.require_listen()?;
    let path = if ready { "/readyz" } else { "/healthz" };
    // A Unix socket whose queue is full lets a client wait without a limit.
    exit_after(ANSWER_TIME_MAX + CONNECT_TIME, "the service")?;
    let answer = http::get(listen, path, ANSWER_TIME_MAX).map_err(CommandError::Http)?;
    output::print(EscapedLines(&answer.body));
    Ok(answer.code == 200)
}
