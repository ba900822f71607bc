//! Membership in a consumer group: a thread that joins, gives signs of life, and hears which partitions are ours, whatever the
//! consumer's user is busy with meanwhile. Must not know positions, records or what the user does with a partition.
//!
//! The thread tells the consumer [`News`]. Some of it is a question: the partitions are not divided anew, or given up, until the
//! consumer says that its user is done ([`Order::Done`]). Signs of life go on in between.

mod assignor;
mod classic;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod server_side;
mod task;
#[cfg(test)]
mod tests;
mod unassigned;

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use super::Answer;
use super::builder::Builder;
use super::event::{Holder, Retrying, Waiting};
use crate::backoff::RetryPolicy;
use crate::client::Client;
use crate::connection::ConnectionSettings;
use crate::error::{Error, ErrorCode, Result};
use crate::types::{Member, TopicPartition};
use classic::Classic;
use server_side::ServerSide;
use task::Task;

/// Session of a member whose time-out the broker decides on (`group.consumer.session.timeout.ms`).
const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(45);
/// How long a member may take to finish with what is taken from it, before the others go on without it: a transaction and a
/// commit, on a slow disk. Kafka's own consumer takes five minutes, for whatever its user does between two polls
/// (`max.poll.interval.ms`).
const REBALANCE_TIMEOUT: Duration = Duration::from_mins(1);
/// A session has time for so many signs of life: Kafka's own consumer keeps to the same.
const BEATS_PER_SESSION: u32 = 3;

/// Least time for an answer, however short the session: so that the coordinator can say that it is too short.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// How the partitions of a group are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupProtocol {
    /// Not at all: this consumer reads every partition of its topics, and the group has no members.
    None,
    /// Among static members, one of which divides (`JoinGroup`). Takes brokers since 2.3.
    Classic {
        /// A name that outlives the process: who comes back by it has its partitions at once
        /// ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)).
        instance_id: String,
        /// A member that has not been heard of for so long is given up.
        session_timeout: Duration,
    },
    /// By the broker
    /// ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).
    /// Takes brokers since 4.0.
    Consumer {
        /// The same after a restart: who comes back by it has its partitions at once.
        member_id: String,
        /// For a static member, which stays one when it leaves.
        instance_id: Option<String>,
    },
}

/// What the thread is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The user is done with what the question of that number was about.
    Done(u64),
    /// A commit was refused: send a heartbeat at once, to a coordinator that is looked up again. [`News::Verified`] with that number
    /// follows, unless something else comes of the heartbeat.
    Verify(u64),
    /// Leave the group, and end.
    Leave,
}

/// What the thread tells.
#[derive(Debug)]
pub(super) enum News {
    /// The partitions are about to be divided anew, and any may be gone then: a question of that number.
    Rebalancing(u64),
    /// What is ours now.
    Divided(Division),
    /// We are no longer a member, and nothing is ours: a question of that number, without whose answer we do not join again. So a user
    /// that has come to a stand does not take partitions from those who go on.
    Lost(u64),
    /// The coordinator has accepted a heartbeat since the order of that number to verify the membership.
    Verified(u64),
    /// Why we have no partitions.
    Waiting(Waiting),
    /// Something failed that waiting may cure.
    Retrying(Retrying),
    /// Nothing will come of it.
    Failed(Error),
    /// The group has been left.
    Left,
}

/// What is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// As whom.
    pub(super) member: Member,
    pub(super) partitions: BTreeSet<TopicPartition>,
    /// What was ours before and is not among them.
    pub(super) handover: Handover,
}

/// What becomes of partitions that are taken from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handover {
    /// Somebody else has them already.
    Gone,
    /// They stay ours until the question of that number is answered.
    InTurn(u64),
}

/// What came of a sign of life.
#[derive(Debug)]
enum Beat {
    /// All is as before.
    Steady,
    /// The partitions are to be divided anew, and we have to join again for that.
    Rebalance,
    /// The partitions are divided anew, or our epoch is another one.
    Divided(Divided),
}

/// What a protocol gives us.
#[derive(Debug)]
struct Divided {
    partitions: BTreeSet<TopicPartition>,
    /// What is no longer ours stays so until we have given it up.
    in_turn: bool,
}

/// One way to be a member: the requests that it takes. Tries each once; what a failure means is the same for all.
trait Protocol: Send {
    /// Whether all that we own may be gone after [`join`](Self::join).
    fn divides_by_joining(&self) -> bool;
    /// Becomes a member, or remains one, while we own `owned`; blocks until the partitions are divided.
    fn join(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Divided>;
    /// Gives a sign of life.
    fn beat(&mut self, client: &mut Client, owned: &BTreeSet<TopicPartition>) -> Result<Beat>;
    /// How long until the next one is due.
    fn interval(&self) -> Duration;
    /// As whom to commit.
    fn member(&self) -> Member;
    /// Who has partitions of the group, as far as that can be learnt.
    fn holders(&mut self, _: &mut Client) -> Vec<Holder> {
        Vec::new()
    }
    /// The coordinator does not know us any more.
    fn forget(&mut self);
    /// Takes leave.
    fn leave(&mut self, client: &mut Client) -> Result<()>;
}

/// The consumer's end of it. Dropping it ends the membership's thread, without taking leave.
pub(super) struct Membership {
    orders: Sender<Order>,
}

impl Membership {
    /// Starts to be a member, if the settings say so; [`Answer::Group`] is what comes of it.
    pub(super) fn start(config: &Builder, news: &Sender<Answer>) -> Result<Option<Self>> {
        let (protocol, session_timeout): (Box<dyn Protocol>, _) = match &config.group_protocol {
            GroupProtocol::None => return Ok(None),
            GroupProtocol::Classic { instance_id, session_timeout } => {
                (Box::new(Classic::new(config, instance_id, *session_timeout)), *session_timeout)
            }
            GroupProtocol::Consumer { member_id, instance_id } => {
                (Box::new(ServerSide::new(config, member_id, instance_id.clone())), SESSION_TIMEOUT_DEFAULT)
            }
        };
        // A coordinator that stands still must be given up while there is time to find another one.
        let patience = (session_timeout / BEATS_PER_SESSION).max(PATIENCE_MIN);
        let connection = ConnectionSettings {
            request_timeout: config.connection.request_timeout.min(patience),
            ..config.connection.clone()
        };
        let (orders, ordered) = channel();
        let client = Client::new(config.hosts.clone(), connection);
        let retry = RetryPolicy { max: config.retry.max.min(patience), ..config.retry };
        let task = Task::new(client, protocol, (retry, REBALANCE_TIMEOUT), ordered, news.clone());
        thread::Builder::new().name("kafka-group".to_owned()).spawn(move || task.run()).map_err(Error::Thread)?;
        Ok(Some(Self { orders }))
    }

    /// Answers a question.
    pub(super) fn done(&self, question: u64) {
        self.order(Order::Done(question));
    }

    /// Has the membership verified at once.
    pub(super) fn verify(&self, number: u64) {
        self.order(Order::Verify(number));
    }

    /// Leaves the group: [`News::Left`] says that it is done. While the group is being divided that may take long.
    pub(super) fn leave(&self) {
        self.order(Order::Leave);
    }

    /// One without a thread, for tests: what it is ordered can be read there.
    #[cfg(test)]
    pub(super) fn watched() -> (Self, std::sync::mpsc::Receiver<Order>) {
        let (orders, ordered) = channel();
        (Self { orders }, ordered)
    }

    fn order(&self, order: Order) {
        // A thread that has ended has told why.
        let _ = self.orders.send(order);
    }
}

/// Codes by which a coordinator refuses a member.
const OF_MEMBERS: [ErrorCode; 7] = [
    ErrorCode::ILLEGAL_GENERATION,
    ErrorCode::UNKNOWN_MEMBER_ID,
    ErrorCode::REBALANCE_IN_PROGRESS,
    ErrorCode::GROUP_ID_NOT_FOUND,
    ErrorCode::FENCED_INSTANCE_ID,
    ErrorCode::FENCED_MEMBER_EPOCH,
    ErrorCode::STALE_MEMBER_EPOCH,
];

/// Whether a code refuses a member of a group. In an answer that is not about one, it is a fault of the broker, which may pass.
pub(super) fn refuses_member(code: ErrorCode) -> bool {
    OF_MEMBERS.contains(&code)
}

/// Whether the coordinator does not know us any more as who we are: it has given us up, or has never heard of us.
pub(super) fn says_no_member(error: &Error) -> bool {
    matches!(
        error,
        Error::Broker {
            code: ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::FENCED_MEMBER_EPOCH
                | ErrorCode::STALE_MEMBER_EPOCH
                | ErrorCode::GROUP_ID_NOT_FOUND,
            ..
        }
    )
}
