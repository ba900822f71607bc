//! Record batches of format 2, correct or forged, with a valid checksum unless that is forged. Implemented from the format's description
//! (<https://kafka.apache.org/documentation/#recordbatch>), not from the code under test.

/// A record batch before it is encoded, with the values of its header, correct or not.
#[derive(Clone, Debug)]
pub struct Batch {
    pub base_offset: i64,
    /// `None`: the correct one.
    pub length: Option<i32>,
    pub magic: i8,
    /// Combined with the correct checksum by exclusive or.
    pub crc_error: u32,
    pub attributes: i16,
    /// `None`: that of the last record.
    pub last_offset_delta: Option<i32>,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    /// `None`: the correct one.
    pub record_count: Option<i32>,
    /// The records, encoded and compressed.
    pub payload: Vec<u8>,
    /// The number of records in the payload.
    pub records: i32,
}

impl Batch {
    /// An uncompressed batch of these values.
    pub fn of(base_offset: i64, values: &[&str]) -> Self {
        let records: Vec<Record> = (0..).zip(values).map(|(delta, value)| Record::of(delta, value)).collect();
        Self::of_records(base_offset, &records)
    }

    pub fn of_records(base_offset: i64, records: &[Record]) -> Self {
        Self {
            base_offset,
            length: None,
            magic: 2,
            crc_error: 0,
            attributes: 0,
            last_offset_delta: None,
            base_timestamp: 1_700_000_000_000,
            max_timestamp: 1_700_000_000_000,
            record_count: None,
            payload: records.iter().flat_map(Record::encode).collect(),
            records: records.len().try_into().unwrap(),
        }
    }

    /// The same header with another payload.
    pub fn with_payload(self, codec: i16, payload: Vec<u8>) -> Self {
        Self { attributes: codec, payload, ..self }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut checked = Vec::new();
        checked.extend(self.attributes.to_be_bytes());
        checked.extend(self.last_offset_delta.unwrap_or(self.records - 1).to_be_bytes());
        checked.extend(self.base_timestamp.to_be_bytes());
        checked.extend(self.max_timestamp.to_be_bytes());
        checked.extend((-1_i64).to_be_bytes()); // producer id
        checked.extend((-1_i16).to_be_bytes()); // producer epoch
        checked.extend((-1_i32).to_be_bytes()); // sequence
        checked.extend(self.record_count.unwrap_or(self.records).to_be_bytes());
        checked.extend(&self.payload);
        let length = i32::try_from(4 + 1 + 4 + checked.len()).unwrap();
        let mut bytes = Vec::new();
        bytes.extend(self.base_offset.to_be_bytes());
        bytes.extend(self.length.unwrap_or(length).to_be_bytes());
        bytes.extend(0_i32.to_be_bytes()); // leader epoch
        bytes.extend(self.magic.to_be_bytes());
        bytes.extend((crc32c(&checked) ^ self.crc_error).to_be_bytes());
        bytes.extend(checked);
        bytes
    }
}

/// A record before it is encoded.
#[derive(Clone, Debug)]
pub struct Record {
    /// `None`: the correct one.
    pub length: Option<i64>,
    pub timestamp_delta: i64,
    pub offset_delta: i64,
    /// `None`: no key (-1).
    pub key_length: Option<i64>,
    pub value: Vec<u8>,
    /// `None`: the correct one.
    pub value_length: Option<i64>,
    pub header_count: i64,
    /// Trailing bytes.
    pub rest: Vec<u8>,
}

impl Record {
    pub fn of(offset_delta: i64, value: &str) -> Self {
        Self {
            length: None,
            timestamp_delta: 0,
            offset_delta,
            key_length: None,
            value: value.as_bytes().to_vec(),
            value_length: None,
            header_count: 0,
            rest: Vec::new(),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut body = vec![0]; // attributes
        body.extend(varint(self.timestamp_delta));
        body.extend(varint(self.offset_delta));
        body.extend(varint(self.key_length.unwrap_or(-1)));
        body.extend(varint(self.value_length.unwrap_or(self.value.len().try_into().unwrap())));
        body.extend(&self.value);
        body.extend(varint(self.header_count));
        body.extend(&self.rest);
        let mut bytes = varint(self.length.unwrap_or(body.len().try_into().unwrap()));
        bytes.extend(body);
        bytes
    }
}

/// Zigzag, seven bits at a time.
pub fn varint(number: i64) -> Vec<u8> {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    loop {
        let seven = u8::try_from(left & 0x7f).unwrap();
        left >>= 7;
        if left == 0 {
            bytes.push(seven);
            return bytes;
        }
        bytes.push(seven | 0x80);
    }
}

/// CRC-32C, bit by bit ([RFC 3720](https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4)).
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }))
    })
}
