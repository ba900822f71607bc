//! The options of `unidentified`, and the filter that `prune` shares.

use time::UtcDateTime;

use crate::commands::when::When;
use crate::entity::Reason;
use crate::storage::MessageFilter;

/// How many messages `list` prints by default.
pub const LIST_MESSAGES_DEFAULT: u64 = 50;

/// What `unidentified` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnidentifiedCommand {
    /// Lists messages, newest first.
    List {
        /// Which ones.
        filter: FilterOptions,
        /// How many at most.
        messages_max: u64,
        /// As JSON lines.
        json: bool,
    },
    /// Shows the messages at one offset.
    Show(ShowOptions),
    /// Exports messages in the order of storing.
    Export {
        /// Which ones.
        filter: FilterOptions,
        /// How many at most.
        messages_max: u64,
        /// The format.
        format: ExportFormat,
    },
}

/// The options of `unidentified show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShowOptions {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// How it is shown.
    pub form: ShowForm,
}

/// How a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShowForm {
    /// As text for people.
    Text,
    /// As JSON lines.
    Json,
    /// The bytes of the value alone.
    Raw,
}

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// JSON lines with everything that is kept of a message.
    JsonLines,
    /// Lines of key, tab and value for Kafka's console producer and for kcat.
    Produce(ProduceOptions),
}

/// What lines to produce again do not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProduceOptions {
    /// The lines have values alone.
    pub without_keys: bool,
    /// Messages with headers are written without them.
    pub without_headers: bool,
}

/// Which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterOptions {
    /// `--topic`.
    pub topic: Option<String>,
    /// `--partition`.
    pub partition: Option<i32>,
    /// `--reason`.
    pub reason: Option<Reason>,
    /// `--since`.
    pub since: Option<When>,
    /// `--before`.
    pub before: Option<When>,
    /// `--replayed` or `--unreplayed`.
    pub replayed: Option<bool>,
}

impl FilterOptions {
    /// The filter as of now.
    pub fn resolve(&self, now: UtcDateTime) -> MessageFilter {
        MessageFilter {
            topic: self.topic.clone(),
            partition: self.partition,
            reason: self.reason,
            since: self.since.map(|when| when.resolve(now)),
            before: self.before.map(|when| when.resolve(now)),
            replayed: self.replayed,
        }
    }
}
