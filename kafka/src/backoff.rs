//! How long to wait before the next attempt: exponential backoff with full jitter. Only counts and computes; must not
//! sleep, read a clock or know what is attempted.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU32;
use std::time::Duration;

/// When to retry, and when to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest wait after the first failure; it doubles with every further failure in a row.
    pub initial: Duration,
    /// No wait is longer than this.
    pub max: Duration,
    /// So many failed attempts in a row end the retries; `None`: never.
    pub attempts_max: Option<NonZeroU32>,
}

impl RetryPolicy {
    /// First wait of the default policy: a leader election or a broker's restart seldom takes less.
    pub const INITIAL_DEFAULT: Duration = Duration::from_millis(200);
    /// Longest wait of the default policy: a recovery is noticed within half a minute.
    pub const MAX_DEFAULT: Duration = Duration::from_secs(30);
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { initial: Self::INITIAL_DEFAULT, max: Self::MAX_DEFAULT, attempts_max: None }
    }
}

/// Failures in a row, and the wait that follows from them.
///
/// The wait after failure `n` (from 1) is uniform between a floor and `min(max, initial * 2^(n-1))`: the "full jitter" of
/// [Exponential Backoff And Jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), which
/// spreads many clients best after a common failure. It differs from there in the floor, half of `initial` instead of
/// zero: several small random numbers in a row must not flood a broker that has just failed.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    failures: u32,
    random: SplitMix64,
}

impl Backoff {
    /// No failure yet; randomly seeded.
    pub fn new(policy: RetryPolicy) -> Self {
        // The standard library's only source of randomness: every RandomState has keys of its own.
        Self::with_seed(policy, RandomState::new().build_hasher().finish())
    }

    /// As [`new`](Self::new), with waits that depend on nothing but the policy and the seed.
    pub fn with_seed(policy: RetryPolicy, seed: u64) -> Self {
        Self { policy, failures: 0, random: SplitMix64(seed) }
    }

    /// Counts one more failure: how long to wait before the next attempt, or `None` if there is none.
    pub fn next_wait(&mut self) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if self.policy.attempts_max.is_some_and(|max| self.failures >= max.get()) {
            return None;
        }
        let doublings = self.failures.saturating_sub(1);
        let ceiling = self.policy.initial.saturating_mul(2_u32.saturating_pow(doublings)).min(self.policy.max);
        let floor = (self.policy.initial / 2).min(ceiling);
        Some(floor + self.random.up_to(ceiling.saturating_sub(floor)))
    }

    /// How many attempts in a row have failed.
    pub fn attempt(&self) -> u32 {
        self.failures
    }

    /// An attempt succeeded: the next failure is again the first.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A random part of a duration, for work that must not start everywhere at once.
pub(crate) fn random_up_to(span: Duration) -> Duration {
    SplitMix64(RandomState::new().build_hasher().finish()).up_to(span)
}

/// [SplitMix64](https://prng.di.unimi.it/splitmix64.c): any seed is good, the quality is more than jitter needs.
#[derive(Clone, Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform between zero and `span`, both included; a span beyond 2^64 ns (584 years) counts as that.
    fn up_to(&mut self, span: Duration) -> Duration {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        // Multiply and keep the high half: https://arxiv.org/abs/1805.10941, without its correction of a bias below 2^-20.
        let scaled = (u128::from(self.next()) * (u128::from(nanos) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn policy(initial_ms: u32, max_ms: u32, attempts_max: u32) -> RetryPolicy {
        RetryPolicy { initial: MS * initial_ms, max: MS * max_ms, attempts_max: NonZeroU32::new(attempts_max) }
    }

    #[test]
    fn waits_stay_between_floor_and_ceiling_and_use_the_whole_range() {
        // For each failure in a row: the least and the greatest wait that may come.
        let check = |policy: RetryPolicy, bounds_ms: &[(u32, u32)]| {
            let mut seen = vec![(Duration::MAX, Duration::ZERO); bounds_ms.len()];
            for seed in 0..2_000 {
                let mut backoff = Backoff::with_seed(policy, seed);
                for (seen, (floor_ms, ceiling_ms)) in seen.iter_mut().zip(bounds_ms) {
                    let wait = backoff.next_wait().unwrap();
                    assert!(wait >= MS * *floor_ms && wait <= MS * *ceiling_ms, "{wait:?} after {}", backoff.attempt());
                    *seen = (seen.0.min(wait), seen.1.max(wait));
                }
            }
            for ((least, greatest), (floor_ms, ceiling_ms)) in seen.into_iter().zip(bounds_ms) {
                let tenth = MS * (ceiling_ms - floor_ms) / 10;
                assert!(least <= MS * *floor_ms + tenth, "{least:?} is far from {floor_ms} ms");
                assert!(greatest + tenth >= MS * *ceiling_ms, "{greatest:?} is far from {ceiling_ms} ms");
            }
        };
        check(policy(200, 30_000, 0), &[(100, 200), (100, 400), (100, 800), (100, 1600), (100, 3200)]);
        check(policy(100, 250, 0), &[(50, 100), (50, 200), (50, 250), (50, 250)]);
        check(policy(100, 100, 0), &[(50, 100), (50, 100)]);
        // More than the maximum is never waited, even where the policy contradicts itself.
        check(policy(1000, 10, 0), &[(10, 10), (10, 10)]);
        check(policy(0, 10, 0), &[(0, 0), (0, 0)]);
    }

    #[test]
    fn many_failures_do_not_overflow() {
        let mut backoff = Backoff::with_seed(policy(200, 30_000, 0), 7);
        for _ in 0..100_000 {
            assert!(backoff.next_wait().unwrap() <= MS * 30_000);
        }
        let endless = RetryPolicy { initial: Duration::MAX, max: Duration::MAX, attempts_max: None };
        assert!(Backoff::with_seed(endless, 7).next_wait().is_some());
    }

    #[test]
    fn gives_up_after_the_attempts_allowed() {
        let check = |attempts_max, waits: u32| {
            let mut backoff = Backoff::with_seed(policy(1, 1, attempts_max), 1);
            for _ in 0..waits {
                assert!(backoff.next_wait().is_some());
            }
            assert_eq!(backoff.next_wait(), None);
            assert_eq!(backoff.attempt(), attempts_max);
            backoff.reset();
            assert_eq!(backoff.attempt(), 0);
            assert_eq!(backoff.next_wait().is_some(), waits > 0);
        };
        check(1, 0);
        check(2, 1);
        check(5, 4);
    }

    #[test]
    fn the_seed_decides_and_new_ones_differ() {
        let waits = |mut backoff: Backoff| (0..8).map(|_| backoff.next_wait().unwrap()).collect::<Vec<_>>();
        let policy = RetryPolicy::default();
        assert_eq!(waits(Backoff::with_seed(policy, 42)), waits(Backoff::with_seed(policy, 42)));
        assert_ne!(waits(Backoff::with_seed(policy, 42)), waits(Backoff::with_seed(policy, 43)));
        assert_ne!(waits(Backoff::new(policy)), waits(Backoff::new(policy)));
    }

    #[test]
    fn generator_is_splitmix64() {
        // First outputs for the seed 1234567, as published with the reference implementation's ports.
        let mut random = SplitMix64(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }
}
