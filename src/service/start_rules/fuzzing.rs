//! Commit metadata of any text: what is parsed is exactly what this program writes.

use fuzzkit::{Target, within};

use super::metadata::CommitMetadata;

pub(crate) const TARGET: Target =
    Target { name: "claim", run: claim, words: &["database=", " cluster=", "=", " "], tries: 2_000 };

fn claim(input: &[u8]) -> bool {
    let Ok(metadata) = std::str::from_utf8(input) else { return false };
    let parsed = within(input.len() + 16, || CommitMetadata::parse(metadata));
    if let Some(parsed) = &parsed {
        assert_eq!(parsed.to_string(), metadata);
    }
    // The ids contain no spaces.
    let (database_id, cluster_id) = metadata.split_once(' ').unwrap_or((metadata, ""));
    let own = CommitMetadata { database_id: database_id.to_owned(), cluster_id: cluster_id.to_owned() };
    assert_eq!(CommitMetadata::parse(&own.to_string()), Some(own));
    parsed.is_some()
}
