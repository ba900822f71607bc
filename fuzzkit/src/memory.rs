//! Measures the memory that the current thread allocates. Linking this crate installs a counting allocator.

/// Runs `work`, and asserts that it never holds more than `bytes_max` bytes, its result included.
///
/// # Panics
///
/// If it holds more.
pub fn within<T>(bytes_max: usize, work: impl FnOnce() -> T) -> T {
    let mut done = None;
    let measured = allocation_counter::measure(|| done = Some(work()));
    let most = measured.bytes_max;
    assert!(most <= bytes_max as u64, "{most} bytes of memory were held, more than {bytes_max}");
    match done {
        Some(result) => result,
        None => unreachable!("the work has been done"),
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn bytes_held_at_the_same_time_count() {
        assert_eq!(within(1000, || (0..100).map(|_| vec![1_u8; 1000].len()).sum::<usize>()), 100_000);
        assert_eq!(within(3000, || [vec![0_u8; 1000], vec![0_u8; 2000]].len()), 2);
    }

    #[test]
    #[should_panic(expected = "5000000000 bytes of memory were held, more than 1000")]
    fn an_allocation_counts_even_if_it_is_never_written() {
        within(1000, || drop(Vec::<u8>::with_capacity(5_000_000_000)));
    }
}
