//! The `health` command: requests the health of the service that runs with the same settings, for health checks of
//! containers and for cron. Must not judge: the service does.

use std::time::Duration;

use kafka::text::EscapedLines;

use crate::commands::error::CommandError;
use crate::http;
use crate::runtime::output;
use crate::settings::Settings;

/// How long the service may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Prints the health, or whether the service is ready. Returns whether it is.
pub fn health(settings: &Settings, ready: bool) -> Result<bool, CommandError> {
    let listen = settings.http.require_listen()?;
    let path = if ready { "/readyz" } else { "/healthz" };
    let answer = http::get(listen, path, ANSWER_TIME_MAX).map_err(CommandError::Http)?;
    output::print(EscapedLines(&answer.body));
    Ok(answer.code == 200)
}
