//! Decompresses the records of a batch, within a limit of bytes. Must not know what the bytes mean.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Snappy expands 3 bytes (a copy element) to 64 at most; an announced length beyond that is damaged.
const SNAPPY_RATIO_MAX: usize = 22;
/// The beginning of a stream of snappy blocks (snappy-java, as Kafka's clients write it), before two version numbers.
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_BYTES: usize = 16;
/// zstd is decoded in steps of about this size; the limit is checked after each.
const ZSTD_STEP_BYTES: usize = 1024 * 1024;
/// Expected decompressed bytes per compressed byte, for the first allocation.
const EXPECTED_RATIO: usize = 4;
/// gzip has a window of 32 KiB; the decoder needs little more.
const GZIP_WORKING_BYTES: usize = 64 * 1024;
/// The lz4 decoder holds one compressed block and two decompressed ones, which later blocks refer to.
const LZ4_BLOCKS: usize = 3;

/// The compression type of a batch ([KIP-110](https://cwiki.apache.org/confluence/display/KAFKA/KIP-110) added zstd).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Why bytes cannot be decompressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecompressError {
    /// The output exceeds the limit.
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
    /// Decodes the low three bits of a batch's attributes.
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

    /// Decompresses into memory of about the size of the output; uncompressed bytes are not copied.
    pub(super) fn decompress(self, bytes: Bytes, bytes_max: usize) -> Result<Bytes, DecompressError> {
        match self {
            Self::None => Ok(bytes),
            _ => self.decompress_into(&bytes, expected_bytes(&bytes), bytes_max).map(Bytes::from),
        }
    }

    /// Decompresses into a buffer of this capacity, which grows if the output is larger.
    pub(super) fn decompress_into(
        self,
        input: &[u8],
        capacity: usize,
        bytes_max: usize,
    ) -> Result<Vec<u8>, DecompressError> {
        let mut output = Vec::with_capacity(capacity.min(bytes_max));
        self.run(input, bytes_max, &mut output)?;
        Ok(output)
    }

    /// Size of the decompressed bytes. Takes no more memory than [`working_bytes`](Self::working_bytes).
    pub(super) fn decompressed_bytes(self, input: &[u8], bytes_max: usize) -> Result<usize, DecompressError> {
        let mut count = Count(0);
        self.run(input, bytes_max, &mut count)?;
        Ok(count.0)
    }

    fn run(self, input: &[u8], bytes_max: usize, into: &mut impl Output) -> Result<(), DecompressError> {
        match self {
            Self::None => drain(input, bytes_max, into),
            Self::Gzip => drain(MultiGzDecoder::new(input), bytes_max, into),
            Self::Snappy => snappy(input, bytes_max, into),
            Self::Lz4 => lz4(input, bytes_max, into),
            Self::Zstd => zstd(input, bytes_max, into),
        }
    }

    /// Memory of the decoder, in bytes, in addition to an output of at most `bytes_max` bytes.
    pub(super) fn working_bytes(self, input: &[u8], bytes_max: usize) -> usize {
        match self {
            Self::None | Self::Snappy => 0,
            Self::Gzip => GZIP_WORKING_BYTES,
            Self::Lz4 => lz4_block_bytes(input).saturating_mul(LZ4_BLOCKS),
            // Its buffer is at most twice the window, and not larger than the decoded bytes.
            Self::Zstd => zstd_window(input).saturating_mul(2).min(bytes_max).saturating_add(ZSTD_STEP_BYTES),
        }
    }
}

/// The expected size of the output.
pub(super) fn expected_bytes(input: &[u8]) -> usize {
    input.len().saturating_mul(EXPECTED_RATIO)
}

/// The destination of decompressed bytes.
trait Output {
    /// Count of the bytes.
    fn len(&self) -> usize;
    /// Appends all output of a decoder.
    fn append(&mut self, from: impl Read) -> io::Result<()>;
    /// Appends a decompressed snappy block, whose length it announces.
    fn append_snappy(&mut self, block: &[u8], length: usize) -> Result<(), snap::Error>;
}

impl Output for Vec<u8> {
    fn len(&self) -> usize {
        self.len()
    }

    fn append(&mut self, mut from: impl Read) -> io::Result<()> {
        from.read_to_end(self).map(drop)
    }

    fn append_snappy(&mut self, block: &[u8], length: usize) -> Result<(), snap::Error> {
        let start = self.len();
        self.resize(start + length, 0);
        let part = self.get_mut(start..).unwrap_or_default();
        snap::raw::Decoder::new().decompress(block, part).map(drop)
    }
}

/// Counts the bytes without keeping them.
struct Count(usize);

impl Output for Count {
    fn len(&self) -> usize {
        self.0
    }

    fn append(&mut self, mut from: impl Read) -> io::Result<()> {
        let copied = io::copy(&mut from, &mut io::sink())?;
        self.0 = self.0.saturating_add(usize::try_from(copied).unwrap_or(usize::MAX));
        Ok(())
    }

    /// Trusts the announced length: a block with another length fails when it is decompressed.
    fn append_snappy(&mut self, _: &[u8], length: usize) -> Result<(), snap::Error> {
        self.0 = self.0.saturating_add(length);
        Ok(())
    }
}

/// Appends all output of a decoder, and stops one byte after the limit.
fn drain(decoder: impl Read, bytes_max: usize, into: &mut impl Output) -> Result<(), DecompressError> {
    let left = bytes_max.saturating_sub(into.len()).saturating_add(1);
    into.append(decoder.take(u64::try_from(left).unwrap_or(u64::MAX)))?;
    if into.len() > bytes_max { Err(DecompressError::TooLarge) } else { Ok(()) }
}

/// Decodes one frame after the other. The format bounds the decoder's memory: blocks have at most 4 MiB.
fn lz4(mut input: &[u8], bytes_max: usize, into: &mut impl Output) -> Result<(), DecompressError> {
    while !input.is_empty() {
        drain(lz4_flex::frame::FrameDecoder::new(&mut input), bytes_max, into)?;
    }
    Ok(())
}

/// The largest block of the first frame, in bytes
/// ([frame descriptor](https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md#frame-descriptor)): 64 KiB to 4 MiB.
fn lz4_block_bytes(input: &[u8]) -> usize {
    let code = input.get(5).map_or(7, |byte| byte >> 4 & 7).clamp(4, 7);
    1 << (8 + 2 * u32::from(code))
}

fn snappy(input: &[u8], bytes_max: usize, into: &mut impl Output) -> Result<(), DecompressError> {
    if !input.starts_with(XERIAL_MAGIC) {
        return snappy_block(input, bytes_max, into);
    }
    let mut rest = input.get(XERIAL_HEADER_BYTES..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((block, after)) = after.split_at_checked(length) else {
            let detail = format!("a snappy block of {length} bytes is announced, {} are left", after.len());
            return Err(DecompressError::Damaged(detail));
        };
        snappy_block(block, bytes_max, into)?;
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(DecompressError::Damaged("a snappy block is cut short".into())) }
}

fn snappy_block(block: &[u8], bytes_max: usize, into: &mut impl Output) -> Result<(), DecompressError> {
    let damaged = |error: snap::Error| DecompressError::Damaged(error.to_string());
    let length = snap::raw::decompress_len(block).map_err(damaged)?;
    if length > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
        let detail = format!("{length} bytes are announced for a snappy block of {}", block.len());
        return Err(DecompressError::Damaged(detail));
    }
    if length > bytes_max.saturating_sub(into.len()) {
        return Err(DecompressError::TooLarge);
    }
    into.append_snappy(block, length).map_err(damaged)
}

/// Decodes one frame after the other. In addition to the output, the decoder keeps the frame's window (at most 128 MiB,
/// the format's usual limit) as far as the content fills it.
fn zstd(mut input: &[u8], bytes_max: usize, into: &mut impl Output) -> Result<(), DecompressError> {
    let damaged = |error: FrameDecoderError| DecompressError::Damaged(error.to_string());
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
        // Bytes in the decoder's window cannot be counted: each unfinished step has decoded at least one step's size.
        let mut decoded_min = into.len();
        loop {
            let finished = decoder
                .decode_blocks(&mut input, BlockDecodingStrategy::UptoBytes(ZSTD_STEP_BYTES))
                .map_err(damaged)?;
            drain(&mut decoder, bytes_max, into)?;
            if finished {
                break;
            }
            decoded_min = decoded_min.saturating_add(ZSTD_STEP_BYTES);
            if decoded_min > bytes_max {
                return Err(DecompressError::TooLarge);
            }
        }
    }
    Ok(())
}

/// The window size of the first frame, in bytes
/// ([frame header](https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.1)); 0 if it cannot be read.
fn zstd_window(input: &[u8]) -> usize {
    let Some([_, _, _, _, descriptor, rest @ ..]) = Some(input) else { return 0 };
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = rest.first().copied().unwrap_or(0);
        let base = 1_usize.checked_shl(10 + u32::from(window >> 3)).unwrap_or(usize::MAX);
        return base.saturating_add(base / 8 * usize::from(window & 7));
    }
    // The window is the whole content, whose size follows the dictionary id.
    let id_bytes = [0, 1, 2, 4].get(usize::from(descriptor & 3)).copied().unwrap_or(0);
    let (size_bytes, least) = match descriptor >> 6 {
        0 => (1, 0),
        1 => (2, 256),
        2 => (4, 0),
        _ => (8, 0),
    };
    let size = rest.get(id_bytes..).and_then(|rest| rest.get(..size_bytes)).unwrap_or_default();
    let size = size.iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
    usize::try_from(size).unwrap_or(usize::MAX).saturating_add(least)
}
