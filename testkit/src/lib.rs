//! Starts real Apache Kafka brokers for tests, the quick start and benchmarks.
//!
//! ```no_run
//! use testkit::{Codec, ProduceOptions, Record};
//!
//! # fn main() -> testkit::Result<()> {
//! let cluster = testkit::shared(testkit::NEWEST)?; // one node, shared by the tests of this process
//! let kafka = cluster.client()?; // Kafka's official Java client
//! let topic = testkit::unique("orders"); // so that tests on one broker use different topics
//! kafka.create_topic(&topic, 3, &[])?;
//! let zstd = ProduceOptions::default().codec(Codec::Zstd);
//! let positions = kafka.produce(&topic, &zstd, [Record::value("{}").key("order-1").partition(2)])?;
//! assert_eq!((positions[0].partition, positions[0].offset), (2, 0));
//! println!("reachable at {}", cluster.bootstrap_servers());
//! # Ok(()) }
//! ```
//!
//! - A separate [`Cluster`], for tests that stop, kill or pause brokers or need more than one:
//!   `Cluster::builder(version).nodes(3).property("log.retention.ms", "1000").start()?`, then [`Cluster::node`].
//! - A [`Client`] produces records (partition, key, value, headers, time, codec, transaction), returns their positions, and manages
//!   topics, offsets and groups.
//! - [`Cluster::java_member`] and [`Cluster::kcat_member`] start consumers that join a group and print what they read;
//!   [`Client::describe_group`] and [`Cluster::generation`] return the state of the group.
//! - [`Cluster::tool`] runs Kafka's command-line tools as an operator does; [`Cluster::group_offsets`],
//!   [`Cluster::reset_offsets`] and [`Cluster::console_produce`] are ready-made.
//!
//! - A secure cluster (`Cluster::builder(version).secure()`, or [`shared_secure`]) listens with TLS and SASL too, each
//!   [`Listener`] with its own protocol and certificate, valid or not; the JDK's keytool creates the [`Certificates`] once, and a Java program the [`Tokens`].
//!
//! - A [`BlackHole`] is a host that neither accepts nor refuses connections.
//! - A [`FrameServer`] is the part of a fake broker that has nothing to do with the protocol's messages.
//! - A [`Random`] is the generator of pseudo-random numbers of tests and samples.
//! - A cluster of Kafka 2 or older runs with a ZooKeeper of its own; its [`Client`] and tools are those of [`OLDEST`], for
//!   the driver needs a newer client. It is not [secure](Builder::secure).
//!
//! Kafka is downloaded from Maven Central into `target/testkit`, once per version; a JDK and Maven are needed, and their absence is an
//! error of one line. Brokers and their data are removed when the process that started them ends, even if they are in a `static`;
//! their logs stay in `target/testkit/logs`. Must not know the service or the project's Kafka client.

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
mod tokens;
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
pub use secure::{BRIEF_MS, Certificates, Listener, PASSWORD, SECOND_USER, USER};
pub use shared::{shared, shared_secure, unique};
pub use tokens::Tokens;
pub use tools::GroupOffset;

/// The oldest version of Kafka that the project is tested with.
pub const OLDEST: &str = "3.9.1";

/// The oldest version of Kafka that the client supports: its brokers need ZooKeeper and have no static members.
pub const ANCIENT: &str = "2.1.1";

/// The newest version of Kafka that the project is tested with.
pub const NEWEST: &str = "4.3.1";

/// The versions of Kafka that every broker test runs against.
pub const VERSIONS: [&str; 2] = [OLDEST, NEWEST];

/// Fails with one line that says what to install if Java, its compiler or Maven is missing.
pub fn check_prerequisites() -> Result<()> {
    java::toolchain().map(drop)
}

/// Downloads that version of Kafka into the cache if it is missing.
pub fn fetch(version: &str) -> Result<()> {
    jars::Jars::of(version).map(drop)
}
