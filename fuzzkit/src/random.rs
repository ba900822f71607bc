//! Numbers that look random and come from a seed. Must not know what they are for.

use std::ops::Range;

/// A pseudo-random generator: xorshift64* ([Vigna](https://arxiv.org/abs/1402.6246)). The same seed and name give the same numbers on
/// every machine.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed and name.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a.
        let mixed = name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(mixed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// Less than `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0).checked_rem(end).unwrap_or(0)
    }

    /// A number of a range, or the range's start if it is empty.
    pub fn within(&mut self, range: Range<i64>) -> i64 {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        range.start + i64::try_from(self.below(length)).unwrap_or(0)
    }

    /// True once in `count` calls, on average.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// One of the items; `None` if there are none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}
