//! Small compressed streams that decompress to many repeated bytes, each encoded from its format's description.

/// gzip ([RFC 1951](https://www.rfc-editor.org/rfc/rfc1951), fixed Huffman codes): a zero, then "the last byte 258 times".
pub fn gzip(decompressed_bytes: usize) -> Vec<u8> {
    // Huffman codes are packed from their highest bit, other values from their lowest: the block header "final: 1, fixed: 01" is reversed.
    let mut bits = String::from("1") + "10" + "00110000";
    bits += &("11000101".to_owned() + "00000").repeat(decompressed_bytes / 258);
    bits += "0000000";
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let ones = |byte: &[u8]| (0..8).zip(byte).fold(0, |sum, (at, bit)| sum | (u8::from(*bit == b'1') << at));
    stream.extend(bits.as_bytes().chunks(8).map(ones));
    stream
}

/// lz4 ([frame format](https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md)): blocks of 4 MB, each a zero and "the last
/// byte so many times".
pub fn lz4(decompressed_bytes: usize) -> Vec<u8> {
    const BLOCK_BYTES: usize = 4_000_000;
    let mut block = vec![0x1f, 0, 1, 0];
    block.extend([255].repeat((BLOCK_BYTES - 25) / 255));
    block.extend([0, 0x50, 0, 0, 0, 0, 0]);
    let mut stream = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];
    for _ in 0..decompressed_bytes.div_ceil(BLOCK_BYTES) {
        stream.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
        stream.extend(&block);
    }
    stream.extend([0; 4]);
    stream
}

/// zstd ([RFC 8878](https://www.rfc-editor.org/rfc/rfc8878)): blocks of 128 KiB, each "this byte so many times".
pub fn zstd(decompressed_bytes: usize) -> Vec<u8> {
    const BLOCK_BYTES: u32 = 128 << 10;
    let mut stream = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
    for _ in 0..decompressed_bytes >> 17 {
        let [low, middle, high, _] = (BLOCK_BYTES << 3 | 0b010).to_le_bytes();
        stream.extend([low, middle, high, 0]);
    }
    stream.extend([0b001, 0, 0]);
    stream
}

/// A part of the decompressed data.
pub enum Part {
    Bytes(Vec<u8>),
    Zeros(usize),
}

/// zstd, with any bytes between runs of zeros: raw blocks, and RLE blocks.
pub fn zstd_of(parts: &[Part]) -> Vec<u8> {
    const BLOCK_BYTES: usize = 128 << 10;
    const RAW: usize = 0b000;
    const RLE: usize = 0b010;
    let mut stream = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x58];
    let mut block = |bytes: usize, kind: usize, content: &[u8]| {
        stream.extend(&(bytes << 3 | kind).to_le_bytes()[..3]);
        stream.extend(content);
    };
    for part in parts {
        match part {
            Part::Bytes(bytes) => bytes.chunks(BLOCK_BYTES).for_each(|chunk| block(chunk.len(), RAW, chunk)),
            Part::Zeros(count) => {
                (0..*count).step_by(BLOCK_BYTES).for_each(|from| block(BLOCK_BYTES.min(count - from), RLE, &[0]));
            }
        }
    }
    block(0, RAW | 1, &[]);
    stream
}

/// snappy ([raw format](https://github.com/google/snappy/blob/main/format_description.txt)): a zero, then copies of 64 bytes.
pub fn snappy(decompressed_bytes: usize) -> Vec<u8> {
    let copies = decompressed_bytes / 64;
    let mut stream = Vec::new();
    let mut length = copies * 64 + 1;
    while length > 0x7f {
        stream.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    stream.push(u8::try_from(length).unwrap());
    stream.extend([0, 0]);
    stream.extend([0b1111_1110, 1, 0].repeat(copies));
    stream
}
