//! Decodes the commits of a service from the bytes that it sent: `OffsetCommit` requests
//! (<https://kafka.apache.org/protocol#The_Messages_OffsetCommit>). Shares nothing with the client that wrote them.

use std::collections::BTreeMap;

/// `OffsetCommit`, and its versions whose encoding is read here.
const KEY: i16 = 8;
const VERSIONS: std::ops::RangeInclusive<i16> = 8..=9;

/// Offset and metadata by partition.
pub type Commits = BTreeMap<i32, (i64, String)>;

/// The commits in one `send`, of the only topic; empty for another request. Small requests are sent at once.
pub fn commits(sent: &[u8]) -> Commits {
    let mut from = Reader(sent);
    let length = usize::try_from(from.i32()).unwrap();
    assert_eq!(length, from.0.len(), "a request in pieces, or several in one");
    let (key, version) = (from.i16(), from.i16());
    if key != KEY {
        return Commits::new();
    }
    assert!(VERSIONS.contains(&version), "version {version} of OffsetCommit");
    from.i32(); // correlation id
    let client_id = from.i16();
    from.bytes(usize::try_from(client_id).unwrap());
    from.no_tags();
    from.text(); // group
    from.i32(); // generation
    from.text(); // member
    from.text(); // group instance
    let mut commits = Commits::new();
    for _ in 0..from.count() {
        from.text(); // topic
        for _ in 0..from.count() {
            let (partition, offset) = (from.i32(), from.i64());
            from.i32(); // leader epoch
            commits.insert(partition, (offset, from.text()));
            from.no_tags();
        }
        from.no_tags();
    }
    from.no_tags();
    assert!(from.0.is_empty(), "{} bytes behind a request", from.0.len());
    commits
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> &'a [u8] {
        self.0.split_off(..length).unwrap()
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.bytes(2).try_into().unwrap())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.bytes(4).try_into().unwrap())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.bytes(8).try_into().unwrap())
    }

    fn varint(&mut self) -> usize {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.bytes(1)[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    /// Lengths are increased by one, so that 0 is null.
    fn count(&mut self) -> usize {
        self.varint().saturating_sub(1)
    }

    fn text(&mut self) -> String {
        let length = self.count();
        String::from_utf8(self.bytes(length).to_vec()).unwrap()
    }

    fn no_tags(&mut self) {
        assert_eq!(self.varint(), 0, "tagged fields");
    }
}
