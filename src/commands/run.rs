//! The `run` command: reads and stores events until it is stopped. Installs the signal handlers and the logger; the service itself
//! is in [`service`].

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use kafka::SharedSecurity;

use crate::commands::error::CommandError;
use crate::http::{self, Server};
use crate::observability::{Description, Metrics};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::logger;
use crate::runtime::notify::Notifier;
use crate::runtime::shared_secret::SharedSecret;
use crate::runtime::shutdown::{OnHangup, Stop};
use crate::service;
use crate::settings::{HttpListen, Settings};

/// Runs the service; with `exit_at_end` until each partition has been stored up to the end that it had at the start. Returns false
/// if the service failed and the log has the error; an error that is not logged is returned.
pub fn run(settings: &Settings, exit_at_end: bool) -> Result<bool, CommandError> {
    let security = SharedSecurity::from(settings.kafka.security.load()?);
    let http_token = SharedSecret::new(settings.http.load_token()?);
    let server = settings.http.listen.as_ref().map(|listen| Server::bind(listen, &settings.http)).transpose();
    let server = server.map_err(CommandError::Listen)?;
    // One request that waits is enough: it is served after all signals before it.
    let (reloads_to, reload_requests) = sync_channel(1);
    let stop = Stop::install(settings.shutdown_timeout, OnHangup::Reload(reloads_to))?;
    logger::init(&settings.log)?;
    let metrics = Arc::new(Metrics::new(Description::of(settings)));
    if let Some(server) = server {
        let is_tcp = matches!(settings.http.listen, Some(HttpListen::Tcp(_)));
        let context = http::Context {
            metrics: Arc::clone(&metrics),
            stop: stop.clone(),
            token: http_token.clone(),
            shows_texts: settings.http.samples,
            checks_host: is_tcp && settings.http.token_file.is_none(),
        };
        server.start(context).map_err(CommandError::Http)?;
    }
    let notifier = Notifier::new(settings.service_manager.socket.as_deref()).unwrap_or_else(|error| {
        log::warn!("the service manager cannot be notified: NOTIFY_SOCKET: {error}");
        Notifier::default()
    });
    let context = service::Context { metrics, security, http_token, notifier, reload_requests };
    let result = service::run(settings, exit_at_end, &stop, context);
    let result = result.inspect_err(|error| log::error!("{}", ErrorChain(error)));
    stop.finished();
    if log::log_enabled!(log::Level::Error) { Ok(result.is_ok()) } else { Ok(result.map(|()| true)?) }
}
