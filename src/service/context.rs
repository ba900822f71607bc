//! What the service shares with the process that runs it.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use kafka::SharedSecurity;

use crate::observability::Metrics;
use crate::runtime::notify::Notifier;
use crate::runtime::shared_secret::SharedSecret;

/// What the service shares with the process.
#[derive(Debug)]
pub struct Context {
    /// What the service publishes of itself.
    pub metrics: Arc<Metrics>,
    /// The credentials of all connections to brokers.
    pub security: SharedSecurity,
    /// The token that HTTP requests must have.
    pub http_token: SharedSecret,
    /// The service manager.
    pub notifier: Notifier,
    /// Each message requests a reload.
    pub reload_requests: Receiver<()>,
}
