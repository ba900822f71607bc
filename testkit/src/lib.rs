//! Starts real Apache Kafka brokers for tests, the quick start and benchmarks.
//!
//! ```no_run
//! use testkit::{Codec, ProduceOptions, Record};
//!
//! # fn main() -> testkit::Result<()> {
//! let cluster = testkit::shared(testkit::NEWEST)?; // one node, shared by the tests of this process
//! let kafka = cluster.client()?; // Kafka's official Java client
//! let topic = testkit::unique("orders"); // so that tests on one broker do not meet
//! kafka.create_topic(&topic, 3, &[])?;
//! let zstd = ProduceOptions::default().codec(Codec::Zstd);
//! let positions = kafka.produce(&topic, &zstd, [Record::value("{}").key("order-1").partition(2)])?;
//! assert_eq!((positions[0].partition, positions[0].offset), (2, 0));
//! println!("reachable at {}", cluster.bootstrap_servers());
//! # Ok(()) }
//! ```
//!
//! - A [`Cluster`] of its own, for tests that stop, kill or pause brokers or need more than one:
//!   `Cluster::builder(version).nodes(3).property("log.retention.ms", "1000").start()?`, then [`Cluster::node`].
//! - A [`Client`] produces records exactly as told (partition, key, value, headers, time, codec, transaction), says where
//!   they went, and manages topics, offsets and groups.
//! - [`Cluster::java_member`] and [`Cluster::kcat_member`] start consumers that join a group and say what they read;
//!   [`Client::describe_group`] and [`Cluster::generation`] say how the group stands.
//! - [`Cluster::tool`] runs Kafka's command-line tools as an operator does; [`Cluster::group_offsets`],
//!   [`Cluster::reset_offsets`] and [`Cluster::console_produce`] are ready-made.
//!
//! - A secure cluster (`Cluster::builder(version).secure()`, or [`shared_secure`]) listens with TLS and SASL too, each
//!   [`Listener`] in its way, good and bad; its [`Certificates`] are made by the JDK's keytool, once.
//!
//! - A [`BlackHole`] is a host that answers nothing at all, not even that nobody listens.
//! - A [`FrameServer`] is the part of a fake broker that has nothing to do with the protocol's messages.
//! - A cluster of Kafka 2 or older runs with a ZooKeeper of its own; its [`Client`] and tools are those of [`OLDEST`], for
//!   the driver needs a newer client. It is not [secure](Builder::secure).
//!
//! Kafka comes from Maven Central into `target/testkit`, once per version; a JDK and Maven are needed, and their absence is
//! an error of one line. Brokers and their data go away with the process that started them, however it ends, also as a
//! `static`; their logs stay in `target/testkit/logs`. Nothing here knows the service or our own Kafka client.

mod black_hole;
mod cache;
mod client;
mod cluster;
mod error;
mod frames;
mod guard;
mod jars;
mod java;
mod member;
mod node;
mod ports;
mod random;
pub mod samples;
mod secure;
mod shared;
mod tools;
mod wait;
mod zookeeper;

pub use black_hole::BlackHole;
pub use client::{
    Client, Codec, CommittedOffset, GroupDescription, GroupMember, GroupState, Position, ProduceOptions, Record,
    Transaction,
};
pub use cluster::{Builder, Cluster};
pub use error::{Error, Result};
pub use frames::{FrameServer, frame, listen, read_frame};
pub use member::Member;
pub use node::Node;
pub use random::Random;
pub use secure::{BRIEF_MS, Certificates, Listener, PASSWORD, USER};
pub use shared::{shared, shared_secure, unique};
pub use tools::GroupOffset;

/// The oldest version of Kafka that the project is tested with.
pub const OLDEST: &str = "3.9.1";

/// The oldest version of Kafka that the client is tried with: its brokers need ZooKeeper, and know no static members.
pub const ANCIENT: &str = "2.1.1";

/// The newest version of Kafka that the project is tested with.
pub const NEWEST: &str = "4.3.1";

/// The versions of Kafka that every broker test runs against.
pub const VERSIONS: [&str; 2] = [OLDEST, NEWEST];

/// Says in one line what to install, if something is missing that brokers need: Java, its compiler, Maven.
pub fn check_prerequisites() -> Result<()> {
    java::toolchain().map(drop)
}

/// Downloads that version of Kafka into the cache, if it is not there.
pub fn fetch(version: &str) -> Result<()> {
    jars::Jars::of(version).map(drop)
}
