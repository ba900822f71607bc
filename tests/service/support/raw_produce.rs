//! Sends record batches to a broker byte for byte, also forged ones. Uses version 7 of
//! [Produce](https://kafka.apache.org/protocol#The_Messages_Produce), the first that allows zstd.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::batches::Batch;
use super::fake_broker::{Response, frame};

const PRODUCE: i16 = 0;
const VERSION: i16 = 7;
const CORRELATION_ID: i32 = 1;

/// Appends a batch to a partition, whose leader must be the broker; returns the offset of its first record.
pub fn produce(broker: &str, topic: &str, partition: i32, batch: &Batch) -> i64 {
    let request = Response::default().i16(PRODUCE).i16(VERSION).i32(CORRELATION_ID).string("raw");
    // No transaction, all replicas, 30 s, one topic with one partition.
    let request = request.null().i16(-1).i32(30_000).i32(1).string(topic).i32(1);
    let request = request.i32(partition).bytes(&batch.encode()).0;
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.write_all(&frame(&request)).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut response = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut response).unwrap();
    // Correlation id, one topic with its name, one partition and its number.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    let error = i16::from_be_bytes(response[at..at + 2].try_into().unwrap());
    assert_eq!(error, 0, "the broker refuses the batch");
    i64::from_be_bytes(response[at + 2..at + 10].try_into().unwrap())
}
