//! The functions, called by what the compiler makes calls of: slices that are copied, moved, filled and compared. The expected bytes are
//! computed one by one, from their index.

extern crate std;

use std::hint::black_box;
use std::vec::Vec;

/// All paths that depend on the size change below it.
const SIZES: core::ops::RangeInclusive<usize> = 0..=330;
/// Larger ones, around the sizes of pages.
const LARGE: [usize; 9] = [1_000, 1_023, 1_024, 4_095, 4_096, 4_097, 16_384, 65_537, 1_000_003];
const ALIGNMENTS: usize = 17;
/// Bytes before and after the destination that must not change.
const MARGIN: usize = 80;

/// The byte of an index; neighbours differ, and it does not repeat soon.
fn byte(at: usize) -> u8 {
    let [first, second, third, ..] = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).to_le_bytes();
    first ^ second ^ third
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(byte).collect()
}

fn sizes() -> impl Iterator<Item = usize> {
    SIZES.chain(LARGE)
}

/// So that the compiler does not know the size, and calls the function.
fn copy(to: &mut [u8], from: &[u8]) {
    black_box(to).copy_from_slice(black_box(from));
}

#[test]
fn a_copy_has_every_byte_and_changes_no_other() {
    for size in sizes() {
        let source = bytes(ALIGNMENTS + size);
        let alignments = if size > 400 { 3 } else { ALIGNMENTS };
        for (from, to) in (0..alignments).flat_map(|from| (0..alignments).map(move |to| (from, to))) {
            let mut target = std::vec![0xa5_u8; MARGIN + to + size + MARGIN];
            copy(&mut target[MARGIN + to..MARGIN + to + size], &source[from..from + size]);
            for (at, found) in target.iter().enumerate() {
                let expected = match at.checked_sub(MARGIN + to) {
                    Some(index) if index < size => byte(from + index),
                    _ => 0xa5,
                };
                assert_eq!(*found, expected, "size {size}, from {from}, to {to}, at {at}");
            }
        }
    }
}

#[test]
fn a_move_within_overlapping_memory_is_as_over_a_copy() {
    for size in sizes() {
        let distances = if size > 400 { 40 } else { 2 * MARGIN };
        for (from, to) in (0..distances).flat_map(|distance| [(distance, 0), (0, distance), (distance / 2, 7)]) {
            let mut moved = bytes(from.max(to) + size + MARGIN);
            black_box(&mut moved).copy_within(black_box(from..from + size), black_box(to));
            for (at, found) in moved.iter().enumerate() {
                let expected = match at.checked_sub(to) {
                    Some(index) if index < size => byte(from + index),
                    _ => byte(at),
                };
                assert_eq!(*found, expected, "size {size}, from {from}, to {to}, at {at}");
            }
        }
    }
}

#[test]
fn a_fill_sets_every_byte_and_changes_no_other() {
    for size in sizes() {
        for (to, value) in (0..ALIGNMENTS).zip([0, 1, 0x7f, 0x80, 0xff].into_iter().cycle()) {
            let mut target = bytes(MARGIN + to + size + MARGIN);
            black_box(&mut target[MARGIN + to..MARGIN + to + size]).fill(black_box(value));
            for (at, found) in target.iter().enumerate() {
                let is_inside = (MARGIN + to..MARGIN + to + size).contains(&at);
                assert_eq!(*found, if is_inside { value } else { byte(at) }, "size {size}, to {to}, at {at}");
            }
        }
    }
}

#[test]
fn a_comparison_is_decided_by_the_first_byte_that_differs() {
    for size in 0..=80 {
        for (left, right) in (0..9).flat_map(|left| (0..9).map(move |right| (left, right))) {
            let pattern = bytes(size);
            let mut one = std::vec![0; left];
            one.extend_from_slice(&pattern);
            let mut other = std::vec![0xff; right];
            other.extend_from_slice(&pattern);
            assert!(black_box(&one[left..]) == black_box(&other[right..]));
            assert!(black_box(&one[left..]).cmp(black_box(&other[right..])).is_eq());
            for differs in 0..size {
                let (before, after) = (pattern[differs], pattern[differs] ^ 0x80);
                other[right + differs] = after;
                // What follows must not count, whichever way it differs.
                for rest in other.iter_mut().skip(right + differs + 1) {
                    *rest = if before < after { 0 } else { 0xff };
                }
                assert!(black_box(&one[left..]) != black_box(&other[right..]), "size {size}, byte {differs}");
                let order = black_box(&one[left..]).cmp(black_box(&other[right..]));
                assert_eq!(order, before.cmp(&after), "size {size}, byte {differs}");
                other[right..].copy_from_slice(&pattern);
            }
        }
    }
}
