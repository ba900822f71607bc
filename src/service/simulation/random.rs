//! Choices of a simulation: the seed decides all of them.

use std::ops::Range;

/// [SplitMix64](https://prng.di.unimi.it/splitmix64.c).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range that is not empty.
    pub(super) fn within(&mut self, range: Range<i64>) -> i64 {
        let length = u64::try_from(range.end - range.start).unwrap();
        range.start + i64::try_from(self.next() % length).unwrap()
    }

    /// True once in so many times.
    pub(super) fn one_in(&mut self, count: i64) -> bool {
        self.within(0..count) == 0
    }

    /// One of several.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let last = i64::try_from(from.len()).unwrap();
        from[usize::try_from(self.within(0..last)).unwrap()]
    }
}
