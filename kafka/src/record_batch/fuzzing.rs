//! Fuzz targets: record batches of any bytes, and valid ones of any content. Reading ends without a panic, in memory
//! bounded by the bytes and the limit; offsets ascend within those of the batches; the position is the end of the
//! batches; neither the number of records per read nor the compression changes the result; and records that
//! `kafka-protocol` encodes are decoded to the same values.
//!
//! The first bytes of an input are options: see each target.

use std::io::Write as _;

use bytes::{Bytes, BytesMut};
use fuzzkit::{Target, within};
use kafka_protocol::compression::{Compressor as _, Lz4, Snappy, Zstd};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records;
use kafka_protocol::records::{Compression, RecordBatchEncoder, RecordEncodeOptions, TimestampType};

use super::compression::{Codec, DecompressError};
use super::partition_reader::{PartitionReader, Progress, ReadBudget, to_usize};
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::protocol::AbortedTransaction;
use crate::types::{Header, IsolationLevel, Record, TopicPartition};

/// The limit of a decompressed batch, in bytes.
const BYTES_MAX: u32 = 256 * 1024;
/// Memory per byte of the input: the expected decompressed bytes and the records.
const MEMORY_FACTOR: usize = 12;
/// Memory in multiples of the limit: a batch decompressed into a buffer that doubles, another one, headers.
const MEMORY_LIMITS: usize = 5;
/// Memory of the decoders for any input: lz4 has blocks of 4 MiB, zstd steps of 1 MiB.
const MEMORY_LEAST: usize = 14 * 1024 * 1024;
/// Size of a batch's header, and the offsets of two of its fields.
const HEAD_BYTES: usize = 61;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "batches", run: batches, words: &["\x02"], tries: 4_000 },
    Target { name: "records", run: records_of_one, words: &[], tries: 2_000 },
    Target { name: "compression", run: compression, words: &["\u{1}SNAPPY\0", "\x1f"], tries: 2_000 },
    Target { name: "written", run: written, words: &["aaaaaaaaaaaaaaaa"], tries: 1_000 },
];

/// The records, the error if there was one, and the position.
type Outcome = (Vec<Record>, Result<()>, i64);

/// Reads everything and checks the properties of any input.
fn read(bytes: &Bytes, position: i64, isolation: IsolationLevel, records_max: usize) -> Outcome {
    let partition = TopicPartition::new("topic", 0);
    // All transactions of producer 0 are aborted.
    let aborted = vec![AbortedTransaction { producer_id: 0, first_offset: 0 }];
    let mut reader = PartitionReader::new(partition, bytes.clone(), position, isolation, aborted, BYTES_MAX);
    let heads = heads(bytes);
    assert_eq!(reader.end_position(), heads.iter().fold(position, |end, head| end.max(head.next)));
    let (mut all, mut end) = (Vec::new(), Ok(()));
    while end.is_ok() && !reader.is_empty() {
        let (before, from) = (all.len(), reader.position());
        end = reader.read(ReadBudget::of(records_max), &mut all).map(|_| ());
        assert!(all.len() - before <= records_max && (end.is_ok() || all.len() == before));
        assert!((from..=reader.end_position()).contains(&reader.position()));
    }
    assert!(all.is_sorted_by(|earlier, later| earlier.offset < later.offset));
    let is_of = |offset: i64, head: &Seen| head.is_whole && (head.base..head.next).contains(&offset);
    let is_inside = |offset: i64| offset >= position && heads.iter().any(|head| is_of(offset, head));
    assert!(all.iter().all(|record| is_inside(record.offset)));
    match &end {
        Ok(()) => assert_eq!(reader.position(), reader.end_position()),
        Err(error) => {
            assert!(reader.read(ReadBudget::of(records_max), &mut all).is_err(), "the error does not stay");
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }
    (all, end, reader.position())
}

/// A complete batch.
struct Seen {
    base: i64,
    next: i64,
    /// Whether its checksum is right.
    is_whole: bool,
}

/// All complete batches, decoded without [`PartitionReader`].
fn heads(mut bytes: &[u8]) -> Vec<Seen> {
    let mut heads = Vec::new();
    let mut end = 0;
    while let Some((base, length, delta, count)) = head(bytes) {
        let size = usize::try_from(length).unwrap_or(0) + 12;
        let next = base.checked_add(i64::from(delta)).and_then(|last| last.checked_add(1));
        let sound = base >= end && delta >= 0 && (0..=i64::from(delta) + 1).contains(&i64::from(count));
        let (Some(next), Some(rest), true, true) = (next, bytes.get(size..), size >= HEAD_BYTES, sound) else { break };
        let crc = bytes.get(CRC..ATTRIBUTES).and_then(|crc| Some(u32::from_be_bytes(crc.try_into().ok()?)));
        let is_whole = crc == bytes.get(ATTRIBUTES..size).map(crc32c::crc32c);
        heads.push(Seen { base, next, is_whole });
        (bytes, end) = (rest, next);
    }
    heads
}

/// Base offset, length, last offset delta and record count of a batch of format 2.
fn head(bytes: &[u8]) -> Option<(i64, i32, i32, i32)> {
    let head = bytes.first_chunk::<HEAD_BYTES>()?;
    let i32_at = |at: usize| head.get(at..at + 4)?.try_into().ok().map(i32::from_be_bytes);
    let base = head.first_chunk().map(|base| i64::from_be_bytes(*base))?;
    Some((base, i32_at(8)?, i32_at(23)?, i32_at(57)?)).filter(|_| head.get(16) == Some(&2))
}

/// Sets the checksum of each batch to that of its bytes.
fn seal(mut bytes: &mut [u8]) {
    while let Some((_, length, ..)) = head(bytes) {
        let size = usize::try_from(length).unwrap_or(0) + 12;
        let Some((batch, rest)) = bytes.split_at_mut_checked(size) else { break };
        let crc = crc32c::crc32c(batch.get(ATTRIBUTES..).unwrap_or_default());
        if let Some(field) = batch.get_mut(CRC..ATTRIBUTES) {
            field.copy_from_slice(&crc.to_be_bytes());
        }
        bytes = rest;
    }
}

fn memory(input: &[u8]) -> usize {
    input.len() * MEMORY_FACTOR + to_usize(BYTES_MAX) * MEMORY_LIMITS + MEMORY_LEAST
}

/// The same without compression: only headers take more memory than their bytes.
fn memory_of_plain(input: &[u8]) -> usize {
    input.len() * MEMORY_FACTOR + to_usize(BYTES_MAX)
}

/// An input: options (1: correct checksums, 2: read committed), the position, and the fetched bytes.
fn batches(input: &[u8]) -> bool {
    let Some(([how, position], fetched)) = input.split_first_chunk() else { return false };
    let mut fetched = fetched.to_vec();
    if how & 1 != 0 {
        seal(&mut fetched);
    }
    let isolation = if how & 2 == 0 { IsolationLevel::ReadUncommitted } else { IsolationLevel::ReadCommitted };
    let (fetched, position) = (fetched.into(), i64::from(*position));
    let outcome = read_in_steps(&fetched, position, isolation);
    assert_eq!(read_in_little_memory(&fetched, position, isolation), (outcome.0, outcome.1.is_ok()));
    outcome.1.is_ok()
}

/// Reads with a budget for one batch, whose size is measured first: the result is the same.
fn read_in_little_memory(bytes: &Bytes, position: i64, isolation: IsolationLevel) -> (Vec<Record>, bool) {
    let aborted = vec![AbortedTransaction { producer_id: 0, first_offset: 0 }];
    let partition = TopicPartition::new("topic", 0);
    let budget = Budget::new(1, || ());
    let mut reader =
        PartitionReader::new(partition, bytes.clone(), position, isolation, aborted, BYTES_MAX).within(budget);
    let mut all = Vec::new();
    while !reader.is_empty() {
        let mut records = Vec::new();
        let before = reader.position();
        match reader.read(ReadBudget::of(1000), &mut records) {
            Ok(progress) => {
                assert!(progress == Progress::Done || reader.position() > before, "no memory for one batch");
            }
            Err(_) => return (all, false),
        }
        // Copied, because records hold the memory of their batch.
        let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        all.extend(records.into_iter().map(|record| Record {
            key: record.key.as_ref().map(copy),
            value: record.value.as_ref().map(copy),
            headers: record.headers.iter().collect(),
            ..record
        }));
    }
    (all, true)
}

/// Reads one, a few, or all records at once: the result is the same.
fn read_in_steps(bytes: &Bytes, position: i64, isolation: IsolationLevel) -> Outcome {
    let read = |records_max| within(memory(bytes), || read(bytes, position, isolation, records_max));
    let (all, end, last) = read(1000);
    for records_max in [1, 3] {
        let (records, other_end, other_last) = read(records_max);
        assert_eq!((&records, other_end.is_ok(), other_last), (&all, end.is_ok(), last));
    }
    (all, end, last)
}

/// An input: a codec, attributes, last offset delta, record count, and uncompressed records.
fn records_of_one(input: &[u8]) -> bool {
    let Some(([codec, attributes, delta, count], payload)) = input.split_first_chunk() else { return false };
    let batch = |codec| Bytes::from(batch(codec, *attributes, *delta, *count, payload));
    let isolation = IsolationLevel::ReadCommitted;
    let uncompressed = batch(Codec::None);
    let plain = within(memory_of_plain(&uncompressed), || read(&uncompressed, 0, isolation, 1000));
    let codec = CODECS.get(usize::from(*codec) % CODECS.len()).copied().unwrap_or(Codec::None);
    let compressed = within(2 * memory(payload), || read(&batch(codec), 0, isolation, 1000));
    assert_eq!((&compressed.0, compressed.1.is_ok()), (&plain.0, plain.1.is_ok()), "{codec:?}");
    plain.1.is_ok()
}

/// A batch that is valid if its records are.
fn batch(codec: Codec, attributes: u8, delta: u8, count: u8, payload: &[u8]) -> Vec<u8> {
    let records = compressed(codec, payload);
    let length = i32::try_from(records.len() + HEAD_BYTES - 12).unwrap_or(i32::MAX);
    let codec = CODECS.iter().position(|known| *known == codec).and_then(|bits| u8::try_from(bits).ok());
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&100_i64.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 5, 2, 0, 0, 0, 0, 0]); // leader epoch, format, checksum, half of the attributes
    bytes.push(attributes & !7 | codec.unwrap_or(0));
    bytes.extend_from_slice(&[0, 0, 0, delta]);
    bytes.extend_from_slice(&[0; 16]); // timestamps
    bytes.extend_from_slice(&7_i64.to_be_bytes()); // producer
    bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0]); // its epoch, sequence
    bytes.extend_from_slice(&[0, 0, 0, count]);
    bytes.extend_from_slice(&records);
    seal(&mut bytes);
    bytes
}

/// Compresses with encoders of other libraries than the decoders, if there are any.
fn compressed(codec: Codec, plain: &[u8]) -> Vec<u8> {
    let mut into = BytesMut::new();
    let put = |buffer: &mut BytesMut| {
        buffer.extend_from_slice(plain);
        Ok(())
    };
    let done = match codec {
        Codec::None => return plain.to_vec(),
        Codec::Gzip => return gzip(plain),
        Codec::Snappy => Snappy::compress(&mut into, put),
        Codec::Lz4 => Lz4::compress(&mut into, put),
        Codec::Zstd => Zstd::compress(&mut into, put),
    };
    assert!(done.is_ok(), "{codec:?} cannot compress");
    into.to_vec()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// An input: a codec, and compressed bytes. A lower limit only changes whether they are too large.
fn compression(input: &[u8]) -> bool {
    let Some((codec, bytes)) = input.split_first() else { return false };
    let codec = CODECS.get(usize::from(*codec) % CODECS.len()).copied().unwrap_or(Codec::None);
    let limit = to_usize(BYTES_MAX);
    let bytes = Bytes::copy_from_slice(bytes);
    let done = within(memory(&bytes), || codec.decompress(bytes.clone(), limit));
    let Ok(plain) = done else { return false };
    assert!(plain.len() <= limit);
    assert_eq!(codec.decompress(bytes.clone(), plain.len()).as_ref(), Ok(&plain));
    if let Some(less) = plain.len().checked_sub(1).filter(|_| codec != Codec::None) {
        assert_eq!(codec.decompress(bytes, less), Err(DecompressError::TooLarge));
    }
    true
}

/// Reads choices from an input; zeros after its end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Null, or up to 63 bytes, possibly repeated.
    fn bytes(&mut self) -> Option<Bytes> {
        let how = self.byte();
        let (part, rest) = self.0.split_at(self.0.len().min(usize::from(how & 0x3f)));
        self.0 = rest;
        match how >> 6 {
            0 => None,
            1 => Some(part.repeat(usize::from(self.byte()))),
            _ => Some(part.to_vec()),
        }
        .map(Bytes::from)
    }
}

/// An input: a codec, then the content of a batch's records.
fn written(input: &[u8]) -> bool {
    let mut choices = Choices(input);
    let codec = choices.byte();
    let codec = CODECS.get(usize::from(codec) % CODECS.len()).copied().unwrap_or(Codec::None);
    let mut offset = i64::from(choices.byte());
    let mut sent = Vec::new();
    while !choices.0.is_empty() && sent.len() < 100 {
        sent.push(sent_record(offset, &mut choices));
        offset += 1 + i64::from(choices.byte() & 3);
    }
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut bytes = BytesMut::new();
    let compress = |plain: &mut BytesMut, into: &mut BytesMut, _: Compression| {
        into.extend_from_slice(&compressed(codec, plain));
        Ok(())
    };
    let encoded = RecordBatchEncoder::encode_with_custom_compression(&mut bytes, &sent, &options, Some(compress));
    assert!(encoded.is_ok(), "{encoded:?}");
    let bits = CODECS.iter().position(|known| *known == codec).and_then(|bits| u8::try_from(bits).ok());
    if let (Some(attributes), Some(bits)) = (bytes.get_mut(ATTRIBUTES + 1), bits) {
        *attributes |= bits;
    }
    seal(&mut bytes);
    let expected: Vec<Record> = sent.iter().map(expected).collect();
    let (records, end, _) = read_in_steps(&bytes.freeze(), 0, IsolationLevel::ReadCommitted);
    if matches!(end, Err(Error::BatchTooLarge { .. })) {
        return false;
    }
    assert_eq!((records, end.is_ok()), (expected, true));
    true
}

fn sent_record(offset: i64, choices: &mut Choices) -> records::Record {
    let timestamp = i64::from(choices.byte()) * 1_000_000_007 - 1;
    let headers: IndexMap<_, _> = (0..choices.byte() & 3)
        .map(|number| (StrBytes::from_string(format!("name {number}")), choices.bytes()))
        .collect();
    records::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 5,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: i32::try_from(offset).unwrap_or(0),
        timestamp,
        key: choices.bytes(),
        value: choices.bytes(),
        headers,
    }
}

fn expected(sent: &records::Record) -> Record {
    let headers = sent.headers.iter();
    let headers = headers.map(|(name, value)| Header { name: name.as_bytes(), value: value.as_deref() });
    Record {
        offset: sent.offset,
        timestamp_ms: Some(sent.timestamp).filter(|timestamp| *timestamp != -1),
        key: sent.key.clone(),
        value: sent.value.clone(),
        headers: headers.collect(),
    }
}

/// The batches of a fetch response as inputs of `compression` and of `records`.
#[cfg(test)]
pub(crate) fn parts(fetched: &Bytes) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rest = fetched.clone();
    let mut parts = Vec::new();
    while let Ok(super::header::FirstBatch::Complete(batch)) = super::header::Batch::first(&rest) {
        bytes::Buf::advance(&mut rest, batch.size());
        let codec = batch.codec().unwrap();
        let bits = u8::try_from(CODECS.iter().position(|known| *known == codec).unwrap()).unwrap();
        let plain = codec.decompress(batch.payload(), to_usize(BYTES_MAX)).unwrap();
        let numbers = [batch.last_offset_delta.to_be_bytes()[3], batch.record_count.to_be_bytes()[3]];
        let records = [&[bits, 0], &numbers[..], &plain].concat();
        parts.push(([&[bits], &batch.payload()[..]].concat(), records));
    }
    parts
}
