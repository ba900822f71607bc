//! Compressed bytes of other encoders, damaged bytes, and bytes whose output exceeds the limit.

use std::io::Write;

use testkit::Random;

use super::forge::{HEADER_BYTES, seal, with_payload};
use super::*;

/// The records of `none.bin`.
pub(super) fn plain() -> Vec<u8> {
    testdata!("none.bin")[HEADER_BYTES..].to_vec()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

pub(super) fn xerial(bytes: &[u8]) -> Vec<u8> {
    let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in bytes.chunks(100) {
        let block = snappy(block);
        framed.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
        framed.extend(block);
    }
    framed
}

pub(super) fn lz4(bytes: &[u8], mode: lz4_flex::frame::BlockMode) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().block_mode(mode).content_checksum(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

pub(super) const LINKED: lz4_flex::frame::BlockMode = lz4_flex::frame::BlockMode::Linked;
pub(super) const INDEPENDENT: lz4_flex::frame::BlockMode = lz4_flex::frame::BlockMode::Independent;

#[test]
fn framings_of_other_encoders() {
    let plain = plain();
    let (head, tail) = plain.split_at(plain.len() / 2);
    let skippable = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..]].concat();
    for (codec, payload) in [
        (1, gzip(&plain)),
        (1, [gzip(head), gzip(tail)].concat()),
        (2, snappy(&plain)),
        (2, xerial(&plain)),
        (3, lz4(&plain, LINKED)),
        (3, [lz4(head, LINKED), lz4(tail, INDEPENDENT)].concat()),
        (4, zstd(&plain)),
        (4, [zstd(head), skippable, zstd(tail)].concat()),
    ] {
        let records = read_all(&mut reader(with_payload(codec, &payload), 0));
        assert_eq!(lines(&records), RECORDS, "codec {codec}");
    }
}

#[test]
fn decompression_stops_at_the_limit() {
    const LIMIT: u32 = 1024 * 1024;
    let zeros = vec![0; 32 * 1024 * 1024];
    for (codec, payload) in [
        (1, gzip(&zeros)),
        (2, snappy(&zeros)),
        (2, xerial(&zeros[..2 * 1024 * 1024])),
        (3, lz4(&zeros, INDEPENDENT)),
        (3, lz4(&zeros[..1_100_000], INDEPENDENT).repeat(20)),
        (4, zstd(&zeros)),
        (4, zstd(&zeros[..100_000]).repeat(20)),
    ] {
        let isolation = IsolationLevel::ReadUncommitted;
        let bytes = with_payload(codec, &payload).into();
        let mut reader = PartitionReader::new(partition(), bytes, 0, isolation, vec![], LIMIT);
        let (records, end) = drain(&mut reader, 10);
        assert!(records.is_empty());
        let Err(Error::BatchTooLarge { offset: 100, limit_bytes, .. }) = end else { panic!("codec {codec}: {end:?}") };
        assert_eq!(limit_bytes, u64::from(LIMIT));
    }
}

#[test]
fn a_batch_of_just_the_limit_is_read() {
    let plain = plain();
    let limit = u32::try_from(plain.len()).unwrap();
    for (codec, payload) in
        [(1, gzip(&plain)), (2, snappy(&plain)), (2, xerial(&plain)), (3, lz4(&plain, LINKED)), (4, zstd(&plain))]
    {
        let read = |bytes_max| {
            let bytes = with_payload(codec, &payload).into();
            let isolation = IsolationLevel::ReadUncommitted;
            drain(&mut PartitionReader::new(partition(), bytes, 0, isolation, vec![], bytes_max), 100).1
        };
        assert!(read(limit).is_ok(), "codec {codec}");
        assert!(matches!(read(limit - 1), Err(Error::BatchTooLarge { .. })), "codec {codec}");
    }
}

#[test]
fn announced_sizes_that_the_bytes_cannot_hold() {
    // A raw snappy block of 3 bytes that announces 4 GiB, alone and in a frame.
    let raw = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let framed = [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x07"[..], &raw].concat();
    let longer = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff\0".to_vec();
    let cut = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0".to_vec();
    // A zstd frame that announces a window of 2 TiB.
    let window = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0x01, 0, 0];
    for (codec, payload) in [(2, raw.to_vec()), (2, framed), (2, longer), (2, cut), (4, window)] {
        let (_, end) = drain(&mut reader(with_payload(codec, &payload), 0), 10);
        let Err(Error::CorruptBatch { detail, .. }) = end else { panic!("codec {codec}: {end:?}") };
        assert!(detail.contains("cannot be decompressed"), "{detail}");
    }
}

#[test]
fn every_flipped_bit_after_the_checksum_is_detected() {
    let fine = testdata!("none.bin");
    for at in 16..fine.len() {
        for bit in 0..8 {
            let mut bytes = fine.to_vec();
            bytes[at] ^= 1 << bit;
            let (records, end) = drain(&mut reader(bytes, 0), 1000);
            assert!(records.is_empty() && matches!(end, Err(Error::CorruptBatch { .. })), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn records_before_a_damaged_batch_are_returned_first() {
    let mut bytes = testdata!("transactions.bin").to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let mut reader = reader(bytes, 0);
    let (records, end) = drain(&mut reader, 1000);
    assert_eq!((records.len(), reader.position()), (8, 11));
    assert!(matches!(end, Err(Error::CorruptBatch { offset: 11, .. })));
}

/// Any bytes with a right checksum. The result varies, but it is never a panic, and offsets ascend.
#[test]
fn random_damage_with_a_valid_checksum() {
    let none = testdata!("none.bin");
    let gzip = testdata!("gzip.bin");
    let snappy = testdata!("snappy.bin");
    let lz4 = testdata!("lz4.bin");
    let zstd = testdata!("zstd.bin");
    let transactions = testdata!("transactions.bin");
    let mut random = Random::new(1, "damage");
    for fine in [none, gzip, snappy, lz4, zstd, transactions] {
        for _ in 0..3_000 {
            let mut bytes = fine.to_vec();
            for _ in 0..=random.below(4_usize) {
                let at = 17 + random.below(bytes.len() - 17);
                bytes[at] = random.byte();
            }
            let keep = HEADER_BYTES + random.below(bytes.len() - HEADER_BYTES + 1);
            if random.one_in(4) {
                bytes.truncate(keep);
            }
            let (records, _) = drain(&mut reader(seal(bytes), 0), 7);
            assert!(records.is_sorted_by(|earlier, later| earlier.offset < later.offset));
        }
    }
}

#[test]
fn random_bytes() {
    let mut random = Random::new(1, "bytes");
    for _ in 0..3_000 {
        let bytes: Vec<u8> = (0..random.below(200_usize)).map(|_| random.byte()).collect();
        let (records, _) = drain(&mut reader(bytes, 0), 7);
        assert!(records.is_empty());
    }
}
