//! Pseudo-random numbers from a seed, for samples, simulations and fuzzing. Must not know what they are for.

use std::ops::Range;

/// A generator of pseudo-random numbers: [SplitMix64](https://prng.di.unimi.it/splitmix64.c). The same seed gives the same numbers on
/// every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence for a seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence for a seed and a name.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a.
        Self(name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "an iterator would wrap each number in an Option")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Any byte.
    pub fn byte(&mut self) -> u8 {
        let [first, ..] = self.next().to_be_bytes();
        first
    }

    /// A number less than `end`; 0 if `end` is 0.
    pub fn below<T: TryFrom<u64> + Default>(&mut self, end: T) -> T
    where
        u64: TryFrom<T>,
    {
        let end = u64::try_from(end).unwrap_or(0);
        self.next().checked_rem(end).and_then(|number| T::try_from(number).ok()).unwrap_or_default()
    }

    /// A number of a range; its start if the range is empty.
    pub fn within(&mut self, range: Range<i64>) -> i64 {
        range.start.saturating_add(self.below(range.end.saturating_sub(range.start)))
    }

    /// True once in `count` calls, on average.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// One of the items; `None` if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = Random::from_seed(1_234_567);
        // From the reference implementation in C.
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn numbers_are_within_their_bounds() {
        let mut random = Random::new(1, "bounds");
        for _ in 0..1_000 {
            assert!(random.below(3_usize) < 3 && (-5..5).contains(&random.within(-5..5)));
        }
        assert_eq!((random.below(0_u64), random.within(7..7), random.pick::<u8>(&[])), (0, 7, None));
        assert_ne!(Random::new(1, "a").next(), Random::new(1, "b").next());
    }
}
