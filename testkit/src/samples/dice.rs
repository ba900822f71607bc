//! Pseudo-random numbers that are the same on every machine and for ever.

/// [SplitMix64](https://prng.di.unimi.it/splitmix64.c).
pub(super) struct Dice(u64);

impl Dice {
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

    /// A number from 0 up to, not including, the bound; 0 if the bound is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// True once in so many throws.
    pub(super) fn one_in(&mut self, throws: u64) -> bool {
        self.below(throws) == 0
    }

    /// One of them.
    pub(super) fn pick<T: Copy + Default, const N: usize>(&mut self, choices: &[T; N]) -> T {
        let at = usize::try_from(self.below(N as u64)).unwrap_or(0);
        choices.get(at).copied().unwrap_or_default()
    }
}
