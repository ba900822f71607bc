//! The data sets: what is in a topic, and who reads it.

use testkit::Codec;

use crate::events::{Ids, Shape, Size};
use crate::peers::Peer;

/// The data set that most goals are set for.
pub const MAIN: &str = "sequential";
/// The one with random ids.
pub const RANDOM: &str = "random";

/// One topic's content.
#[derive(Clone, Copy)]
pub struct DataSet {
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    pub shape: Shape,
    pub events: u64,
    pub partitions: u32,
    pub codec: Codec,
    pub peers: &'static [Peer],
}

impl DataSet {
    /// Whether it is measured in every round. Most goals are set for these; the others are measured in one round less.
    pub fn counts(&self) -> bool {
        [MAIN, RANDOM].contains(&self.name)
    }

    /// Whether ids are ever new and in ascending order.
    pub fn is_sequential(&self) -> bool {
        self.shape.ids == Ids::Sequential
    }
}

/// Every data set, by so many ordinary events.
pub fn all(events: u64) -> Vec<DataSet> {
    let main = DataSet {
        name: MAIN,
        title: "sequential ids, one partition, lz4",
        shape: Shape { ids: Ids::Sequential, size: Size::Ordinary },
        events,
        partitions: 1,
        codec: Codec::Lz4,
        peers: &Peer::ALL,
    };
    let with_codec = |name, title, codec| DataSet { name, title, codec, peers: &Peer::COMPARED, ..main };
    let with_size = |name, title, size, events| DataSet {
        name,
        title,
        shape: Shape { ids: Ids::Sequential, size },
        events,
        peers: &Peer::COMPARED,
        ..main
    };
    let random = Shape { ids: Ids::RandomUpdates, size: Size::Ordinary };
    vec![
        main,
        DataSet {
            name: RANDOM,
            title: "random ids, half of the events updates",
            shape: random,
            peers: &Peer::WITH_LIMITS,
            ..main
        },
        DataSet { name: "partitions", title: "twelve partitions", partitions: 12, peers: &Peer::COMPARED, ..main },
        with_codec("none", "not compressed", Codec::None),
        with_codec("gzip", "gzip", Codec::Gzip),
        with_codec("snappy", "snappy", Codec::Snappy),
        with_codec("zstd", "zstd", Codec::Zstd),
        with_size("small", "small events, some 150 bytes", Size::Small, events),
        DataSet {
            peers: &Peer::WITH_ONE_LIMIT,
            ..with_size("large", "large events, some 4 KB", Size::Large, events / 5)
        },
    ]
}

/// The data set of that name.
pub fn find(name: &str, events: u64) -> Option<DataSet> {
    all(events).into_iter().find(|set| set.name == name)
}
