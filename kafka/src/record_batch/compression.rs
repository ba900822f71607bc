//! Takes the records of a batch out of their compression, never into more bytes than a limit allows. Knows nothing of what
//! the bytes mean.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Snappy cannot make more than 64 bytes out of a copy element of 3; a length beyond that is forged.
const SNAPPY_RATIO_MAX: usize = 22;
/// How a stream of snappy blocks begins (snappy-java, which Kafka's own clients use), before two version numbers.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;
/// zstd is decoded in steps of about this size, between which the limit is looked at.
const ZSTD_STEP_BYTES: usize = 1024 * 1024;
/// Memory for the output, before a byte of it is there, as a multiple of the input.
const EXPECTED_RATIO: usize = 4;

/// How records are compressed ([KIP-110](https://cwiki.apache.org/confluence/display/KAFKA/KIP-110) and its forerunners).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Why there are no decompressed bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecompressError {
    /// They would be more than the limit.
    TooLarge,
    /// The compressed bytes are damaged.
    Damaged(String),
}

impl From<io::Error> for DecompressError {
    fn from(error: io::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl Codec {
    /// From the low three bits of a batch's attributes.
    pub(super) fn from_bits(bits: i16) -> Option<Self> {
        match bits {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Uncompressed bytes are not copied.
    pub(super) fn decompress(self, bytes: Bytes, bytes_max: usize) -> Result<Bytes, DecompressError> {
        match self {
            Self::None => Ok(bytes),
            Self::Gzip => gzip(&bytes, bytes_max).map(Bytes::from),
            Self::Snappy => snappy(&bytes, bytes_max).map(Bytes::from),
            Self::Lz4 => lz4(&bytes, bytes_max).map(Bytes::from),
            Self::Zstd => zstd(&bytes, bytes_max).map(Bytes::from),
        }
    }
}

/// The output's buffer before there is any.
fn output(input: &[u8], bytes_max: usize) -> Vec<u8> {
    Vec::with_capacity(input.len().saturating_mul(EXPECTED_RATIO).min(bytes_max))
}

/// Appends all that a decoder gives, and stops one byte beyond the limit.
fn drain(decoder: impl Read, bytes_max: usize, into: &mut Vec<u8>) -> Result<(), DecompressError> {
    let room = bytes_max.saturating_sub(into.len()).saturating_add(1);
    decoder.take(u64::try_from(room).unwrap_or(u64::MAX)).read_to_end(into)?;
    if into.len() > bytes_max { Err(DecompressError::TooLarge) } else { Ok(()) }
}

fn gzip(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    let mut decompressed = output(input, bytes_max);
    drain(MultiGzDecoder::new(input), bytes_max, &mut decompressed)?;
    Ok(decompressed)
}

/// One frame after the other. The decoder's own memory is bounded by the format: blocks of at most 4 MiB.
fn lz4(mut input: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    let mut decompressed = output(input, bytes_max);
    while !input.is_empty() {
        drain(lz4_flex::frame::FrameDecoder::new(&mut input), bytes_max, &mut decompressed)?;
    }
    Ok(decompressed)
}

fn snappy(input: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    let mut decompressed = Vec::new();
    if !input.starts_with(XERIAL_MAGIC) {
        snappy_block(input, bytes_max, &mut decompressed)?;
        return Ok(decompressed);
    }
    let mut rest = input.get(XERIAL_HEADER_BYTES..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((block, after)) = after.split_at_checked(length) else {
            let detail = format!("a snappy block of {length} bytes is announced, {} are there", after.len());
            return Err(DecompressError::Damaged(detail));
        };
        snappy_block(block, bytes_max, &mut decompressed)?;
        rest = after;
    }
    if rest.is_empty() { Ok(decompressed) } else { Err(DecompressError::Damaged("a snappy block is cut short".into())) }
}

fn snappy_block(block: &[u8], bytes_max: usize, into: &mut Vec<u8>) -> Result<(), DecompressError> {
    let damaged = |error: snap::Error| DecompressError::Damaged(error.to_string());
    let length = snap::raw::decompress_len(block).map_err(damaged)?;
    if length > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
        let detail = format!("{length} bytes are announced for a snappy block of {}", block.len());
        return Err(DecompressError::Damaged(detail));
    }
    let start = into.len();
    if length > bytes_max.saturating_sub(start) {
        return Err(DecompressError::TooLarge);
    }
    into.resize(start + length, 0);
    let room = into.get_mut(start..).unwrap_or_default();
    snap::raw::Decoder::new().decompress(block, room).map(drop).map_err(damaged)
}

/// One frame after the other. The decoder keeps a frame's window (at most 128 MiB, the format's usual limit) beside the
/// output, but only as far as the content fills it.
fn zstd(mut input: &[u8], bytes_max: usize) -> Result<Vec<u8>, DecompressError> {
    let damaged = |error: FrameDecoderError| DecompressError::Damaged(error.to_string());
    let mut decompressed = output(input, bytes_max);
    while !input.is_empty() {
        let mut decoder = FrameDecoder::new();
        match decoder.init(&mut input) {
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let cut = || DecompressError::Damaged("a skippable zstd frame is cut short".into());
                input = input.get(length..).ok_or_else(cut)?;
                continue;
            }
            started => started.map_err(damaged)?,
        }
        // What is decoded but still held as the window cannot be seen: each unfinished step has made this much at least.
        let mut decoded_min = decompressed.len();
        loop {
            let finished = decoder
                .decode_blocks(&mut input, BlockDecodingStrategy::UptoBytes(ZSTD_STEP_BYTES))
                .map_err(damaged)?;
            drain(&mut decoder, bytes_max, &mut decompressed)?;
            if finished {
                break;
            }
            decoded_min = decoded_min.saturating_add(ZSTD_STEP_BYTES);
            if decoded_min > bytes_max {
                return Err(DecompressError::TooLarge);
            }
        }
    }
    Ok(decompressed)
}
