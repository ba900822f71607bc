//! Values that are events, and values that are not, with the reason: one row per case.

mod clock;
mod location;
mod types;
mod values;

use std::borrow::Cow;

use super::*;

/// Decodes one value and compares the whole event, or reason and text of the rejection.
fn check(value: impl AsRef<[u8]>, expected: Result<Event<'_>, (Reason, &str)>) {
    let value = value.as_ref();
    let expected = expected.map_err(|(reason, error)| Rejection { reason, error: error.to_owned() });
    let shown: String = String::from_utf8_lossy(value).chars().take(200).collect();
    assert_eq!(decode(Some(value)), expected, "{shown}");
}

/// The smallest opportunity, changed.
fn opportunity<'a>(change: impl FnOnce(&mut Opportunity<'a>)) -> Event<'a> {
    let mut event = Opportunity {
        event_id: "opp_1".into(),
        name: "n".into(),
        stage: "s".into(),
        amount: None,
        probability: None,
        expected_close_date: None,
        account_id: None,
        owner_id: None,
        meta_data: None,
        extra: None,
    };
    change(&mut event);
    Event::Opportunity(event)
}

/// The smallest project, changed.
fn project<'a>(change: impl FnOnce(&mut Project<'a>)) -> Event<'a> {
    let mut event = Project {
        event_id: "proj_1".into(),
        name: "n".into(),
        status: "s".into(),
        start_date: None,
        end_date: None,
        budget: None,
        account_id: None,
        owner_id: None,
        meta_data: None,
        extra: None,
    };
    change(&mut event);
    Event::Project(event)
}

/// The smallest opportunity as JSON, with more fields after its own.
fn opportunity_json(more: &str) -> String {
    format!(r#"{{"event_id":"opp_1","name":"n","stage":"s"{more}}}"#)
}

/// A time that counts as sent.
fn at(utc: &str) -> LastModified {
    let time = UtcTime::read(utc).unwrap();
    assert_eq!(time.as_str(), utc);
    LastModified::new(time)
}

fn extra<'a>(json: &str) -> Event<'a> {
    opportunity(|event| event.extra = Some(json.to_owned()))
}

fn invalid(error: &str) -> Result<Event<'_>, (Reason, &str)> {
    Err((Reason::InvalidField, error))
}

fn unknown(error: &str) -> Result<Event<'_>, (Reason, &str)> {
    Err((Reason::UnknownType, error))
}

#[test]
fn whole_events() {
    check(
        r#"{"event_id": "opp_1", "name": "Acme", "stage": "won", "amount": 1250.5, "probability": 75,
            "expected_close_date": "2024-02-29", "account_id": "a", "owner_id": "o",
            "meta_data": {"source": "crm", "last_modified": "2024-05-01T14:00:00+02:00", "tags": ["x"], "notes": null},
            "region": "EMEA"}"#,
        Ok(Event::Opportunity(Opportunity {
            event_id: "opp_1".into(),
            name: "Acme".into(),
            stage: "won".into(),
            amount: Some(1250.5.into()),
            probability: Some(75),
            expected_close_date: Some("2024-02-29".into()),
            account_id: Some("a".into()),
            owner_id: Some("o".into()),
            meta_data: Some(MetaData {
                json: r#"{"source": "crm", "last_modified": "2024-05-01T14:00:00+02:00", "tags": ["x"], "notes": null}"#,
                last_modified: Some(at("2024-05-01T12:00:00.000000000Z")),
            }),
            extra: Some(r#"{"region":"EMEA"}"#.to_owned()),
        })),
    );
    check(
        r#"{"status":"active","budget":-0.5,"end_date":"9999-12-31","start_date":"0000-01-01","name":"Move",
            "owner_id":"","account_id":null,"meta_data":null,"event_id":"p"}"#,
        Ok(Event::Project(Project {
            event_id: "p".into(),
            name: "Move".into(),
            status: "active".into(),
            start_date: Some("0000-01-01".into()),
            end_date: Some("9999-12-31".into()),
            budget: Some((-0.5).into()),
            account_id: None,
            owner_id: None,
            meta_data: None,
            extra: None,
        })),
    );
}

#[test]
fn text_without_escapes_is_borrowed() {
    let json = opportunity_json(r#","owner_id":"\u0041""#);
    let Ok(Event::Opportunity(event)) = decode(Some(json.as_bytes())) else { panic!("{json}") };
    assert!(matches!(event.name, Cow::Borrowed("n")));
    assert!(matches!(event.owner_id, Some(Cow::Owned(owner)) if owner == "A"));
}

#[test]
fn empty_values() {
    let rejection = |error: &str| Err(Rejection { reason: Reason::Empty, error: error.to_owned() });
    assert_eq!(decode(None), rejection("no value (a tombstone)"));
    assert_eq!(decode(Some(b"")), rejection("a value of zero bytes"));
}

#[test]
fn not_json() {
    // The position in the text and the first byte follow.
    let check = |value: &[u8], beginning: &str| match decode(Some(value)) {
        Err(Rejection { reason: Reason::NotJson, error }) => {
            assert!(error.starts_with(beginning), "{error}");
            assert!(error.contains(&format!("; the first byte is 0x{:02x}", value[0])), "{error}");
        }
        other => panic!("{}: {other:?}", String::from_utf8_lossy(value)),
    };
    check(b"\xff", "not UTF-8 from byte 0 on");
    check(b"{\"name\":\"caf\xe9\"}", "not UTF-8 from byte 12 on");
    check(b"\"\xed\xa0\x80\"", "not UTF-8 from byte 1 on"); // a surrogate encoded like UTF-8
    check(b"\xff\xfe{\0}\0", "not UTF-8 from byte 0 on"); // UTF-16
    check(b" ", "not one JSON value: EOF while parsing a value");
    check(b"\0", "not one JSON value: expected value");
    check(b"hello", "not one JSON value: expected value");
    check(b"{", "not one JSON value: EOF while parsing an object");
    check(b"{\"a\":1", "not one JSON value: EOF while parsing an object");
    check(b"{\"a\":1,}", "not one JSON value: trailing comma");
    check(b"{\"a\" 1}", "not one JSON value: expected `:`");
    check(b"{a:1}", "not one JSON value: key must be a string");
    check(b"{'a':1}", "not one JSON value: key must be a string");
    check(b"{\"a\":1}}", "not one JSON value: trailing characters");
    check(b"{\"a\":1}{\"a\":1}", "not one JSON value: trailing characters");
    check(b"{\"a\":1}\0", "not one JSON value: trailing characters");
    check(b"{\"a\":1} x", "not one JSON value: trailing characters");
    check(b"{\"a\":1}\xc2\xa0", "not one JSON value: trailing characters"); // not whitespace of JSON
    check(b"[1,2", "not one JSON value: EOF while parsing a list");
    check(b"{\"a\":NaN}", "not one JSON value: expected value");
    check(b"{\"a\":Infinity}", "not one JSON value: expected value");
    check(b"{\"a\":-Infinity}", "not one JSON value: invalid number");
    check(b"{\"a\":01}", "not one JSON value: invalid number");
    check(b"{\"a\":+1}", "not one JSON value: expected value");
    check(b"{\"a\":.5}", "not one JSON value: expected value");
    check(b"{\"a\":5.}", "not one JSON value: invalid number");
    check(b"{\"a\":0x10}", "not one JSON value: expected `,` or `}`");
    check(b"{\"a\":1e}", "not one JSON value: invalid number");
    check(b"{\"a\":\"\x01\"}", "not one JSON value: control character (\\u0000-\\u001F) found while parsing a string");
    check(b"{\"a\":\"\\x\"}", "not one JSON value: invalid escape");
    check(b"{\"a\":\"\\u12\"}", "not one JSON value: invalid escape");
    check(b"{\"a\":TRUE}", "not one JSON value: expected value");
    check(b"{\"a\":1 /* one */}", "not one JSON value: expected `,` or `}`");
}

#[test]
fn nesting_is_limited_everywhere() {
    const TOO_DEEP: &str = "nested deeper than 128 levels; the first byte is 0x7b";
    const LIST_TOO_DEEP: &str = "nested deeper than 128 levels; the first byte is 0x5b";
    let nest = |open: &str, close: &str, levels| format!("{}{}", open.repeat(levels), close.repeat(levels));
    let lists = |levels| nest("[", "]", levels);
    let objects = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));

    // Of 128 levels the outermost object is one.
    let unknown = lists(127);
    check(opportunity_json(&format!(r#","x":{unknown}"#)), Ok(extra(&format!(r#"{{"x":{unknown}}}"#))));
    let meta_data = objects(127);
    check(
        opportunity_json(&format!(r#","meta_data":{meta_data}"#)),
        Ok(opportunity(|event| event.meta_data = Some(MetaData { json: &meta_data, last_modified: None }))),
    );
    for deep in [lists(128), format!("[{},[]]", lists(127))] {
        check(deep, Err((Reason::UnknownType, &format!("{}… is not a JSON object", "[".repeat(64)))));
    }

    for levels in [128, 129, 1_000, 1_000_000] {
        for value in [lists(levels), objects(levels)] {
            check(opportunity_json(&format!(r#","x":{value}"#)), Err((Reason::NotJson, TOO_DEEP)));
            check(opportunity_json(&format!(r#","meta_data":{value}"#)), Err((Reason::NotJson, TOO_DEEP)));
            check(opportunity_json(&format!(r#","name":{value}"#)), Err((Reason::NotJson, TOO_DEEP)));
        }
    }
    check(lists(129), Err((Reason::NotJson, LIST_TOO_DEEP)));
    check("[".repeat(10_000_000), Err((Reason::NotJson, LIST_TOO_DEEP)));

    // Many brackets that are not deep: one after the other, and inside strings, also after escaped quotes and backslashes.
    let many = format!("[{}1]", "[],".repeat(10_000));
    check(opportunity_json(&format!(r#","x":{many}"#)), Ok(extra(&format!(r#"{{"x":{many}}}"#))));
    let quoted = format!(r#"["{}","\"{}","\\"]"#, "[{".repeat(1_000), "[{".repeat(1_000));
    check(opportunity_json(&format!(r#","x":{quoted}"#)), Ok(extra(&format!(r#"{{"x":{quoted}}}"#))));
    let after_backslash = format!(r#","x":["\\",{}]"#, lists(127));
    check(opportunity_json(&after_backslash), Err((Reason::NotJson, TOO_DEEP)));
    assert!(matches!(decode(Some(&[b']'; 1_000])), Err(rejection) if rejection.reason == Reason::NotJson));
}

#[test]
fn required_fields() {
    for (json, error) in [
        (r#"{"stage":"s"}"#, "event_id is missing"),
        (r#"{"stage":"s","event_id":null}"#, "event_id is missing"),
        (r#"{"stage":"s","event_id":""}"#, "event_id is empty"),
        (r#"{"stage":"s","event_id":7}"#, "event_id is 7, not a string"),
        (r#"{"stage":"s","event_id":"e"}"#, "name is missing"),
        (r#"{"stage":"s","event_id":"e","name":null}"#, "name is missing"),
        (r#"{"stage":"s","event_id":"e","name":""}"#, "name is empty"),
        (r#"{"stage":"s","event_id":"e","name":["n"]}"#, r#"name is ["n"], not a string"#),
        (r#"{"stage":"s","event_id":"e","Name":"n"}"#, "name is missing"),
        (r#"{"stage":"","event_id":"e","name":"n"}"#, "stage is empty"),
        (r#"{"stage":5,"event_id":"e","name":"n"}"#, "stage is 5, not a string"),
        (r#"{"status":"","event_id":"e","name":"n"}"#, "status is empty"),
        (r#"{"status":true,"event_id":"e","name":"n"}"#, "status is true, not a string"),
        (r#"{"status":{},"event_id":"e","name":"n"}"#, "status is {}, not a string"),
    ] {
        check(json, invalid(error));
    }
}

#[test]
fn a_known_field_must_not_be_repeated() {
    for (json, error) in [
        (r#"{"stage":"s","stage":"s","event_id":"e","name":"n"}"#, "stage is given more than once"),
        (r#"{"stage":null,"stage":"s","event_id":"e","name":"n"}"#, "stage is given more than once"),
        (r#"{"stage":"s","event_id":"e","event_id":"e","name":"n"}"#, "event_id is given more than once"),
        (r#"{"stage":"s","event_id":"e","name":"n","n\u0061me":"n"}"#, "name is given more than once"),
        (r#"{"stage":"s","event_id":"e","name":"n","amount":1,"x":2,"amount":null}"#, "amount is given more than once"),
        (
            r#"{"stage":"s","event_id":"e","name":"n","meta_data":{},"meta_data":{}}"#,
            "meta_data is given more than once",
        ),
    ] {
        check(json, invalid(error));
    }
}

#[test]
fn texts() {
    let check_name = |json: &str, text: &'static str| {
        check(
            format!(r#"{{"event_id":"opp_1","name":{json},"stage":"s"}}"#),
            Ok(opportunity(|event| event.name = text.into())),
        );
    };
    check_name(r#"" ""#, " ");
    check_name(r#""Zürich 東京 🦀""#, "Zürich 東京 🦀");
    check_name(r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t");
    check_name(r#""a\u0000b""#, "a\0b");
    check_name(r#""\ud83e\udd80""#, "🦀");
    check_name("\"\u{7f}\u{feff}\"", "\u{7f}\u{feff}");
    let long = "x".repeat(1 << 20);
    check(
        format!(r#"{{"event_id":"opp_1","name":"{long}","stage":"s"}}"#),
        Ok(opportunity(|event| event.name = long.as_str().into())),
    );
    for lone in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#""\ud800\n""#] {
        check(
            format!(r#"{{"event_id":"opp_1","name":{lone},"stage":"s"}}"#),
            invalid(&format!("name is {lone}, not a string of Unicode characters")),
        );
    }
}

#[test]
fn meta_data() {
    let check_meta = |json: &str| {
        check(
            opportunity_json(&format!(r#","meta_data":{json}"#)),
            Ok(opportunity(|event| event.meta_data = Some(MetaData { json, last_modified: None }))),
        );
    };
    // Kept as sent: spaces, any type in fields that are not read, repetitions, numbers out of range.
    check_meta("{}");
    check_meta(r#"{ "source" : 5 , "tags":"none","tags":1e400,"notes":"\ud800" }"#);
    check_meta(r#"{"last_modified":null}"#);
    check_meta(r#"{"Last_Modified":"yesterday"}"#);
    let invalid_meta = |json: &str, error| check(opportunity_json(&format!(r#","meta_data":{json}"#)), invalid(error));
    invalid_meta(
        r#"{"last_modified":null,"last_modified":"2024-05-01T12:34:56Z"}"#,
        "meta_data holds an invalid field: last_modified is given more than once",
    );
}

#[test]
fn extra_is_kept_as_sent() {
    for (more, kept) in [
        (r#","x":1"#, r#"{"x":1}"#),
        (r#" , "x" : 1 , "y" : [ 1 , {} ] "#, r#"{"x":1,"y":[ 1 , {} ]}"#),
        (r#","b":2,"a":1,"b":3"#, r#"{"b":2,"a":1,"b":3}"#),
        (r#","":null,"\u0078":"\ud800","\udfff":-0"#, r#"{"":null,"\u0078":"\ud800","\udfff":-0}"#),
        (r#","n":1e400,"m":1.0000000000000000000001"#, r#"{"n":1e400,"m":1.0000000000000000000001}"#),
        (r#","budget":"?","start_date":5,"status":null"#, r#"{"budget":"?","start_date":5,"status":null}"#),
        (r#","Amount":"?","metadata":{}"#, r#"{"Amount":"?","metadata":{}}"#),
    ] {
        check(opportunity_json(more), Ok(extra(kept)));
    }
    check(
        r#"{"x":1,"event_id":"proj_1","amount":"?","name":"n","probability":900,"status":"s","y":2}"#,
        Ok(project(|event| event.extra = Some(r#"{"x":1,"amount":"?","probability":900,"y":2}"#.to_owned()))),
    );
}

#[test]
fn whitespace_around_the_object_is_ignored() {
    check(format!(" \t\r\n{}\n\n", opportunity_json("")), Ok(opportunity(|_| {})));
}

#[test]
fn errors_quote_the_beginning_of_a_value() {
    let long = "é".repeat(100);
    check(
        opportunity_json(&format!(r#","amount":"{long}""#)),
        invalid(&format!("amount is \"{}…, not a finite number", "é".repeat(63))),
    );
    check(opportunity_json(",\"amount\":[\n\t1]"), invalid("amount is [  1], not a finite number"));
}

/// With any byte changed, inserted or removed: no panic, and a value is JSON if `serde_json` parses it.
#[test]
fn damaged_events_agree_with_a_full_parser() {
    let sent =
        br#"{"event_id":"opp_1","name":"\u00e9\n","stage":"s","amount":-1.5e2,"probability":7,"x":[true,null,{"y":""}],
        "expected_close_date":"2024-02-29","meta_data":{"last_modified":"2024-05-01T14:00:00.5+02:00","tags":["a"]}}"#;
    let (mut json, mut not_json) = (0, 0);
    let mut compare = |value: &[u8]| {
        let is_json = serde_json::from_slice::<serde_json::Value>(value).is_ok();
        let is_rejected = matches!(&decode(Some(value)), Err(rejection) if rejection.reason == Reason::NotJson);
        // The full parser also requires numbers in range and whole surrogate pairs, which one changed byte cannot violate here.
        assert_eq!(is_json, !is_rejected, "{}", String::from_utf8_lossy(value));
        if is_json { json += 1 } else { not_json += 1 }
    };
    for at in 0..sent.len() {
        for byte in b"\0 \"\\,:[]{}0159.eE+-unTtf\n\x7f\x80\xc3\xff" {
            let mut value = sent.to_vec();
            value[at] = *byte;
            compare(&value);
            value.insert(at, sent[at]);
            compare(&value);
        }
        if at > 0 {
            compare(&sent[..at]);
        }
        compare(&[&sent[..at], &sent[at + 1..]].concat());
    }
    assert!(json > 1_000 && not_json > 1_000, "{json} {not_json}");
}
