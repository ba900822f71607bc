//! Who is measured, and how each is called.

pub mod events;
pub mod narrow;
pub mod rdkafka;
pub mod tables;

use serde::{Deserialize, Serialize};

/// Rows of one statement of SQLite alone, except where each row has its own.
pub const STATEMENT_ROWS: usize = 50;

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
    /// As tuned, with tables of its own: twelve columns, no rule which event wins, no times of storage, no coordinates.
    Narrow,
    /// confluent-kafka and sqlite3.
    Python,
    /// SQLite alone, with the service's statements, by so many rows a transaction.
    Limit5000,
    Limit20000,
    Limit50000,
    /// SQLite alone, row by row.
    LimitSingle,
}

/// How SQLite alone divides its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSize {
    pub transaction_rows: usize,
    pub statement_rows: usize,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Service,
        Self::ServiceGlibc,
        Self::Tuned,
        Self::Plain,
        Self::Narrow,
        Self::Python,
        Self::Limit5000,
        Self::Limit20000,
        Self::Limit50000,
        Self::LimitSingle,
    ];
    /// Those that are measured with every data set.
    pub const COMPARED: [Self; 4] = [Self::Service, Self::Tuned, Self::Plain, Self::Narrow];
    /// The same, and SQLite alone.
    pub const WITH_LIMITS: [Self; 7] =
        [Self::Service, Self::Tuned, Self::Plain, Self::Narrow, Self::Limit5000, Self::Limit20000, Self::Limit50000];
    /// Those of every data set, and SQLite alone by one size, where that shows what the disk allows.
    pub const WITH_ONE_LIMIT: [Self; 5] = [Self::Service, Self::Tuned, Self::Plain, Self::Narrow, Self::Limit5000];
    /// Those with the service's tables and its rule which event wins.
    pub const SAME_TABLES: [Self; 3] = [Self::Tuned, Self::Plain, Self::Python];
    /// SQLite alone, by statements of many rows: the fastest is the limit.
    pub const LIMITS: [Self; 3] = [Self::Limit5000, Self::Limit20000, Self::Limit50000];

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Service => "service, static (musl)",
            Self::ServiceGlibc => "service, glibc",
            Self::Tuned => "rdkafka, tuned",
            Self::Plain => "rdkafka, plain",
            Self::Narrow => "rdkafka, tuned, narrow tables",
            Self::Python => "Python, batches",
            Self::Limit5000 => "SQLite alone, 5,000 rows a transaction",
            Self::Limit20000 => "SQLite alone, 20,000 rows a transaction",
            Self::Limit50000 => "SQLite alone, 50,000 rows a transaction",
            Self::LimitSingle => "SQLite alone, row by row",
        }
    }

    /// For the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::ServiceGlibc => "glibc",
            Self::Tuned => "tuned",
            Self::Plain => "plain",
            Self::Narrow => "narrow",
            Self::Python => "python",
            Self::Limit5000 => "limit-5000",
            Self::Limit20000 => "limit-20000",
            Self::Limit50000 => "limit-50000",
            Self::LimitSingle => "limit-single",
        }
    }

    /// The peer of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|peer| peer.name() == name)
    }

    /// Whether it is the product itself.
    pub fn is_service(self) -> bool {
        matches!(self, Self::Service | Self::ServiceGlibc)
    }

    /// The transactions and statements of SQLite alone; `None` for all others.
    pub fn limit_size(self) -> Option<LimitSize> {
        let size = |transaction_rows, statement_rows| Some(LimitSize { transaction_rows, statement_rows });
        match self {
            Self::Limit5000 => size(5_000, STATEMENT_ROWS),
            Self::Limit20000 => size(20_000, STATEMENT_ROWS),
            Self::Limit50000 => size(50_000, STATEMENT_ROWS),
            Self::LimitSingle => size(5_000, 1),
            _ => None,
        }
    }
}
