//! Tokens of events that require a call of the user: a start position, or an acknowledgement. Must not know what these calls do.

/// The token of an event that requires a start position.
///
/// Each [`Assigned`](super::Event::Assigned), [`OutOfRange`](super::Event::OutOfRange) and [`Truncated`](super::Event::Truncated) event
/// gives a partition a token, greater than all earlier ones. A [start](super::Consumer::start) has no effect unless it has the token of the
/// partition's last such event, and a [commit](super::Consumer::commit) unless it has the token of the partition's last start.
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

/// The token of an event that the group waits for: the user calls [`Consumer::acknowledge`](super::Consumer::acknowledge) with it after
/// handling the event.
#[must_use = "the group waits until it is acknowledged"]
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
