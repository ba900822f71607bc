//! Commit metadata of any text: what is taken for ours is exactly what we would write.

use fuzzkit::{Target, within};

use crate::service::start::Claim;

pub(crate) const TARGET: Target =
    Target { name: "claim", run: claim, words: &["database=", " cluster=", "=", " "], tries: 2_000 };

fn claim(input: &[u8]) -> bool {
    let Ok(metadata) = std::str::from_utf8(input) else { return false };
    let claim = within(input.len() + 16, || Claim::parse(metadata));
    if let Some(claim) = &claim {
        assert_eq!(claim.to_string(), metadata);
    }
    // Ids of ours have no blanks.
    let (database_id, cluster_id) = metadata.split_once(' ').unwrap_or((metadata, ""));
    let ours = Claim { database_id: database_id.to_owned(), cluster_id: cluster_id.to_owned() };
    assert_eq!(Claim::parse(&ours.to_string()), Some(ours));
    claim.is_some()
}
