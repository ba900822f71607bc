//! Tokens that name what the consumer waits for: a start position of a partition, or the user's acknowledgement of an event.
//! Must not know what is done once they come.

/// Names one request of the consumer for a start position.
///
/// Each [`Assigned`](super::Event::Assigned), [`OutOfRange`](super::Event::OutOfRange) and [`Truncated`](super::Event::Truncated) event
/// asks for a start position with a token of its own, greater than all before. A partition is read under the token that it was last
/// [started](super::Consumer::start) with; a start or a commit with another token of the partition has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartToken(u64);

impl StartToken {
    /// The token with that number, for models of a cluster.
    pub fn new(number: u64) -> Self {
        Self(number)
    }
}

/// Gives out start tokens.
#[derive(Debug, Default)]
pub(super) struct StartTokens {
    last: u64,
}

impl StartTokens {
    pub(super) fn next(&mut self) -> StartToken {
        self.last += 1;
        StartToken(self.last)
    }
}

/// Names one event that the group waits for the user to finish with; to be given to
/// [`Consumer::acknowledge`](super::Consumer::acknowledge).
#[must_use = "the group waits until the consumer has it back"]
#[derive(Debug, PartialEq, Eq)]
pub struct Acknowledgement(u64);

impl Acknowledgement {
    /// The acknowledgement with that number, for models of a cluster.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    pub(super) fn into_number(self) -> u64 {
        self.0
    }
}
