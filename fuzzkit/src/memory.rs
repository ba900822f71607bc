//! Measures memory: what the current thread asks the allocator for. Linking it makes the allocator count.

/// Does some work, and asserts that it has held at most so many bytes at once (what it returns included).
///
/// # Panics
///
/// If it has held more.
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
    fn what_is_held_at_once_counts() {
        assert_eq!(within(1000, || (0..100).map(|_| vec![1_u8; 1000].len()).sum::<usize>()), 100_000);
        assert_eq!(within(3000, || [vec![0_u8; 1000], vec![0_u8; 2000]].len()), 2);
    }

    #[test]
    #[should_panic(expected = "5000000000 bytes of memory were held, more than 1000")]
    fn too_much_is_noticed_though_it_is_never_touched() {
        within(1000, || drop(Vec::<u8>::with_capacity(5_000_000_000)));
    }
}
