//! Who is measured, and how each is called.

pub mod events;
pub mod rdkafka;

use serde::{Deserialize, Serialize};

/// One way to bring events into SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// The service as users have it: static, musl.
    Service,
    /// The service with glibc.
    ServiceGlibc,
    /// rdkafka and rusqlite, by the book and for speed.
    Tuned,
    /// The same, by the book.
    Plain,
    /// confluent-kafka and sqlite3.
    Python,
    /// SQLite alone, with the service's statements.
    Limit,
    /// SQLite alone, row by row.
    LimitSingle,
}

impl Peer {
    /// Everybody.
    pub const ALL: [Self; 7] =
        [Self::Service, Self::ServiceGlibc, Self::Tuned, Self::Plain, Self::Python, Self::Limit, Self::LimitSingle];
    /// Those whose medians tell how a data set is taken.
    pub const COMPARED: [Self; 3] = [Self::Service, Self::Tuned, Self::Plain];
    /// The same, and SQLite alone.
    pub const WITH_LIMIT: [Self; 4] = [Self::Service, Self::Tuned, Self::Plain, Self::Limit];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Service => "service, static (musl)",
            Self::ServiceGlibc => "service, glibc",
            Self::Tuned => "rdkafka, tuned",
            Self::Plain => "rdkafka, plain",
            Self::Python => "Python, batches",
            Self::Limit => "SQLite alone, 50 rows a statement",
            Self::LimitSingle => "SQLite alone, row by row",
        }
    }

    /// Whether it is the product itself.
    pub fn is_service(self) -> bool {
        matches!(self, Self::Service | Self::ServiceGlibc)
    }
}
