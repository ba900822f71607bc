//! Membership in a consumer group: a thread that joins, sends heartbeats and receives assignments, whatever the consumer's user does
//! meanwhile. Must not know positions, records or what the user does with a partition.
//!
//! The thread sends the consumer [`GroupEvent`]s. Some request a confirmation ([`GroupCommand::Confirm`]): the member does not rejoin, and
//! does not release partitions, before it has come. Heartbeats go on meanwhile, until the rebalance timeout.

mod assignor;
mod classic;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod message;
mod protocol;
mod refusal;
mod server_side;
mod task;
#[cfg(test)]
mod tests;
mod unassigned;

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use super::config::{Builder, GroupProtocol};
use crate::backoff::RetryPolicy;
use crate::client::Client;
use crate::connection::ConnectionSettings;
use crate::error::{Error, Result};
use crate::stage::Stage;
use classic::Classic;
pub(super) use message::{GroupAssignment, GroupCommand, GroupEvent, RevocationMode};
use protocol::{HEARTBEATS_PER_SESSION, Protocol, REBALANCE_TIMEOUT};
pub(super) use refusal::{refuses_member, says_no_member};
use server_side::ServerSide;
use task::{Task, Timing};

/// Session of a member whose timeout the broker decides on (`group.consumer.session.timeout.ms`).
const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(45);

/// Least request timeout, however short the session: so that the coordinator can say that it is too short.
const REQUEST_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// The consumer's end of the thread. Dropping it ends the thread, without leaving the group.
pub(super) struct GroupThread {
    commands: Sender<GroupCommand>,
}

impl GroupThread {
    /// Starts the membership, unless the settings want none; `emit` is called with what happens to it, on the thread.
    pub(super) fn start(config: &Builder, emit: impl Fn(GroupEvent) + Send + 'static) -> Result<Option<Self>> {
        let (protocol, session_timeout): (Box<dyn Protocol>, _) = match &config.group_protocol {
            GroupProtocol::None => return Ok(None),
            GroupProtocol::Classic { instance_id, session_timeout } => {
                (Box::new(Classic::new(config, instance_id, *session_timeout)), *session_timeout)
            }
            GroupProtocol::Consumer { member_id, instance_id } => {
                (Box::new(ServerSide::new(config, member_id, instance_id.clone())), SESSION_TIMEOUT_DEFAULT)
            }
        };
        // A coordinator that does not respond must be given up while there is time to find another one.
        let request_timeout = (session_timeout / HEARTBEATS_PER_SESSION).max(REQUEST_TIMEOUT_MIN);
        let connection = ConnectionSettings {
            request_timeout: config.connection.request_timeout.min(request_timeout),
            ..config.connection.clone()
        };
        let client = Client::new(config.hosts.clone(), connection);
        let retry = RetryPolicy { max: config.retry.max.min(request_timeout), ..config.retry };
        let timing = Timing { retry, rebalance_timeout: REBALANCE_TIMEOUT };
        Self::spawn(client, protocol, (timing, config.membership_stage.clone()), emit).map(Some)
    }

    fn spawn(
        client: Client,
        protocol: Box<dyn Protocol>,
        (timing, stage): (Timing, Stage),
        emit: impl Fn(GroupEvent) + Send + 'static,
    ) -> Result<Self> {
        let (commands, received) = channel();
        let task = Task::new(client, protocol, (timing, stage), received, Box::new(emit));
        thread::Builder::new().name("kafka-group".to_owned()).spawn(move || task.run()).map_err(Error::Thread)?;
        Ok(Self { commands })
    }

    /// Sends a confirmation that was requested.
    pub(super) fn confirm(&self, confirmation: u64) {
        self.send(GroupCommand::Confirm(confirmation));
    }

    /// Has the membership verified at once.
    pub(super) fn verify(&self, number: u64) {
        self.send(GroupCommand::Verify(number));
    }

    /// Leaves the group: [`GroupEvent::Left`] says that it is done. During a rebalance that may take long.
    pub(super) fn leave(&self) {
        self.send(GroupCommand::Leave);
    }

    /// One without a thread, for tests: its commands can be received there.
    #[cfg(test)]
    pub(super) fn watched() -> (Self, std::sync::mpsc::Receiver<GroupCommand>) {
        let (commands, received) = channel();
        (Self { commands }, received)
    }

    fn send(&self, command: GroupCommand) {
        // A thread that has ended has emitted why.
        let _ = self.commands.send(command);
    }
}
