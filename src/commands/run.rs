//! The `run` command: reads and stores events until it is stopped. Installs the signal handlers and the logger; the service itself
//! is in [`service`].

use std::sync::Arc;

use crate::commands::error::CommandError;
use crate::http::{Context, Server};
use crate::observability::{Description, Metrics};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::logger;
use crate::runtime::shutdown::Stop;
use crate::service;
use crate::settings::{HttpListen, Settings};

/// Runs the service; with `exit_at_end` until each partition has been stored up to the end that it had at the start. Returns false
/// if the service failed and the log has the error; an error that is not logged is returned.
pub fn run(settings: &Settings, exit_at_end: bool) -> Result<bool, CommandError> {
    let security = settings.kafka.security.load()?;
    let http = &settings.http;
    let token = http.load_token()?;
    let server = http.listen.as_ref().map(|listen| Server::bind(listen, http)).transpose();
    let server = server.map_err(CommandError::Listen)?;
    let stop = Stop::install(settings.shutdown_timeout)?;
    logger::init(&settings.log)?;
    let metrics = Arc::new(Metrics::new(Description::of(settings)));
    if let Some(server) = server {
        let checks_host = matches!(http.listen, Some(HttpListen::Tcp(_))) && token.is_none();
        let (metrics, stop) = (Arc::clone(&metrics), stop.clone());
        let context = Context { metrics, stop, token, shows_texts: http.samples, checks_host };
        server.start(context).map_err(CommandError::Http)?;
    }
    let result = service::run(settings, security, exit_at_end, &stop, &metrics);
    let result = result.inspect_err(|error| log::error!("{}", ErrorChain(error)));
    stop.finished();
    if log::log_enabled!(log::Level::Error) { Ok(result.is_ok()) } else { Ok(result.map(|()| true)?) }
}
