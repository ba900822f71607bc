//! Mutates inputs as a hostile peer or a damaged disk would: bits, lengths, counts, splices. Knows the encodings of numbers, but not
//! the formats.

use std::ops::Range;

use testkit::Random;

/// Greatest size of an input, in bytes: small inputs find the same errors faster.
const BYTES_MAX: usize = 64 * 1024;
/// Greatest number of changes to one input.
const CHANGES_MAX: usize = 4;
/// Terminators, signs, and the bounds of number ranges.
const BYTES: &[u8] = b"\x00\x01\x7f\x80\xff \n\r\t\"\\,:;=#$'{}[]-+.eE09";
/// Bounds of number ranges; truncated to fewer bits if needed.
const NUMBERS: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    i32::MAX.unsigned_abs() as u64,
    u32::MAX as u64,
    i64::MAX.unsigned_abs(),
    u64::MAX,
];

/// Creates inputs from other inputs.
pub(crate) struct Mutator<'a> {
    random: Random,
    inputs: &'a [Vec<u8>],
    words: &'a [&'a str],
}

impl<'a> Mutator<'a> {
    pub(crate) fn new(random: Random, inputs: &'a [Vec<u8>], words: &'a [&'a str]) -> Self {
        Self { random, inputs, words }
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut bytes = self.random.pick(self.inputs).cloned().unwrap_or_default();
        for _ in 0..=self.random.below(CHANGES_MAX) {
            self.change(&mut bytes);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        match self.random.below(12) {
            0 => self.flip(bytes),
            1 => self.put(bytes),
            2 => bytes.truncate(self.random.below(bytes.len() + 1)),
            3 => drop(bytes.drain(self.range(bytes.len()))),
            4 => self.repeat(bytes),
            5 => self.insert(bytes),
            6 => self.splice(bytes),
            7 | 8 => self.number(bytes),
            9 => self.varint(bytes),
            10 => self.digits(bytes),
            _ => self.word(bytes),
        }
    }

    fn at(&mut self, bytes: &[u8]) -> usize {
        self.random.below(bytes.len() + 1)
    }

    /// A range, mostly a short one.
    fn range(&mut self, length: usize) -> Range<usize> {
        let start = self.random.below(length + 1);
        let most = if self.random.below(2) == 0 { 8 } else { length };
        start..(start + self.random.below(most + 1)).min(length)
    }

    fn flip(&mut self, bytes: &mut [u8]) {
        let (at, bit) = (self.at(bytes), self.random.below(8));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn put(&mut self, bytes: &mut [u8]) {
        let (at, new) = (self.at(bytes), self.boundary_byte());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = new;
        }
    }

    fn boundary_byte(&mut self) -> u8 {
        if self.random.below(2) == 0 { self.random.byte() } else { self.random.pick(BYTES).copied().unwrap_or(0) }
    }

    /// Repeats a range once, or many times.
    fn repeat(&mut self, bytes: &mut Vec<u8>) {
        let range = self.range(bytes.len());
        let times = if self.random.below(4) == 0 { self.random.below(200) } else { 1 };
        let part = bytes.get(range.clone()).unwrap_or_default();
        let part = part.repeat(times.min(BYTES_MAX / part.len().max(1)));
        bytes.splice(range.start..range.start, part);
    }

    fn insert(&mut self, bytes: &mut Vec<u8>) {
        let at = self.at(bytes);
        let new: Vec<u8> = (0..=self.random.below(8)).map(|_| self.boundary_byte()).collect();
        bytes.splice(at..at, new);
    }

    /// Continues with another input, from the same offset or from any.
    fn splice(&mut self, bytes: &mut Vec<u8>) {
        let other = self.random.pick(self.inputs).cloned().unwrap_or_default();
        let at = self.at(bytes);
        let from = if self.random.below(2) == 0 { at } else { self.at(&other) };
        bytes.truncate(at);
        bytes.extend_from_slice(other.get(from..).unwrap_or_default());
    }

    /// Replaces a number of a fixed size: by a bound of its range, a near number, or a number near the count of following bytes, as
    /// lengths and counts are.
    fn number(&mut self, bytes: &mut [u8]) {
        let at = self.at(bytes);
        let size = [1, 2, 4, 8].get(self.random.below(4)).copied().unwrap_or(1);
        let Some(field) = bytes.get(at..at + size) else { return };
        let old = field.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let new = self.other_number(old, bytes.len() - at - size).to_be_bytes();
        if let (Some(field), Some(new)) = (bytes.get_mut(at..at + size), new.get(8 - size..)) {
            field.copy_from_slice(new);
        }
    }

    /// Replaces a number of variable length.
    fn varint(&mut self, bytes: &mut Vec<u8>) {
        let at = self.at(bytes);
        let rest = bytes.get(at..).unwrap_or_default();
        let size = rest.iter().take(9).take_while(|byte| **byte >= 0x80).count() + 1;
        let end = (at + size).min(bytes.len());
        let old = rest.iter().take(size).rev().fold(0_u64, |number, byte| number << 7 | u64::from(byte & 0x7f));
        let new = self.other_number(old, bytes.len() - end);
        let zigzag = if self.random.below(2) == 0 { new } else { new << 1 };
        bytes.splice(at..end, varint(zigzag));
    }

    fn other_number(&mut self, old: u64, following: usize) -> u64 {
        let near = self.random.below(5_u64).wrapping_sub(2);
        match self.random.below(3) {
            0 => self.random.pick(&NUMBERS).copied().unwrap_or(0),
            1 => old.wrapping_add(near),
            _ => (following as u64).wrapping_add(near),
        }
    }

    /// Replaces a decimal number.
    fn digits(&mut self, bytes: &mut Vec<u8>) {
        let at = self.at(bytes);
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let Some(start) = bytes.iter().skip(at).position(is_digit).map(|following| at + following) else { return };
        let size = bytes.iter().skip(start).take_while(|byte| is_digit(byte)).count();
        let number = self.other_number(0, size);
        bytes.splice(start..start + size, number.to_string().into_bytes());
    }

    /// Inserts a word, or overwrites bytes with it.
    fn word(&mut self, bytes: &mut Vec<u8>) {
        let (at, word) = (self.at(bytes), self.random.pick(self.words).copied().unwrap_or_default());
        let end = if self.random.below(2) == 0 { at } else { (at + word.len()).min(bytes.len()) };
        bytes.splice(at..end, word.bytes());
    }
}

/// Base 128, lowest group first.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [.., low] = number.to_be_bytes();
        number >>= 7;
        bytes.push(if number == 0 { low & 0x7f } else { low | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let inputs = [b"one input of many".to_vec(), vec![0; 100]];
        let make = |seed| {
            let mut mutator = Mutator::new(Random::new(seed, "name"), &inputs, &["word"]);
            (0..1000).map(|_| mutator.next()).collect::<Vec<_>>()
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        let mut distinct = make(1);
        distinct.sort();
        distinct.dedup();
        assert!(distinct.len() > 800, "{}", distinct.len());
        assert!(distinct.iter().all(|bytes| bytes.len() <= BYTES_MAX));
    }

    #[test]
    fn numbers_of_variable_length() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }
}
