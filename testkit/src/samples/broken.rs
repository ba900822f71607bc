//! Unidentified messages, one for each mistake of real producers.

use crate::client::Record;

/// No value, or zero bytes.
pub(super) const EMPTY: [Option<&[u8]>; 2] = [None, Some(b"")];

/// Not UTF-8, or not exactly one JSON value.
pub(super) const NOT_JSON: [&[u8]; 5] = [
    b"opportunity opp_000001 won!",
    br#"{"event_id":"opp_000002","name":"cut sho"#,
    br#"{"event_id":"opp_000003","name":"twice","stage":"Proposal"}{}"#,
    // Avro, in the framing of Confluent's serializers.
    b"\0\0\0\0\x07\x14opp_000004\x0ein Avro",
    // UTF-16; not even JSON with its bad bytes replaced, as kafka-console-producer does.
    b"\xff\xfe{\0\"\0i\0d\0\"\0:\x001\0}\0",
];

/// JSON, but neither an opportunity nor a project.
pub(super) const UNKNOWN_TYPE: [&[u8]; 4] = [
    br#"{"event_id":"lead_000001","name":"A lead","score":7}"#,
    br#"{"event_id":"mix_000001","name":"Both at once","stage":"Proposal","status":"Planned"}"#,
    br#"["opp_000001","Proposal"]"#,
    b"42",
];

/// A known type with a field that breaks its rules.
pub(super) const INVALID_FIELD: [&[u8]; 8] = [
    br#"{"event_id":"opp_000006","name":"Too sure","stage":"Proposal","probability":140}"#,
    br#"{"event_id":"opp_000007","name":"Amount in words","stage":"Proposal","amount":"a lot"}"#,
    br#"{"event_id":"opp_000008","name":"Beyond all numbers","stage":"Proposal","amount":1e400}"#,
    br#"{"event_id":"opp_000009","name":"No such day","stage":"Proposal","expected_close_date":"2025-02-30"}"#,
    br#"{"event_id":"proj_000001","name":"","status":"Planned"}"#,
    br#"{"event_id":"proj_000002","name":"Vague","status":"Planned","meta_data":{"last_modified":"yesterday"}}"#,
    br#"{"event_id":"proj_000003","name":"Flat","status":"Planned","meta_data":"none"}"#,
    br#"{"event_id":"proj_000004","name":"One budget","status":"Planned","budget":1,"budget":2}"#,
];

/// All messages, with keys that no event has.
pub(super) fn records(round: u32) -> Vec<Record> {
    let values = [NOT_JSON.as_slice(), &UNKNOWN_TYPE, &INVALID_FIELD].concat();
    let values = EMPTY.into_iter().chain(values.into_iter().map(Some));
    (0..)
        .zip(values)
        .map(|(number, value): (u32, _)| {
            let value = value.map(<[u8]>::to_vec);
            Record { value, ..Record::default() }.key(format!("broken_{round}_{number:02}"))
        })
        .collect()
}
