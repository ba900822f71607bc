//! Where the fault of a value is: one row per case.

use super::opportunity_json;
use crate::entity::{Location, TextPosition, decode, locate};

/// The location of the fault in `before` and `after`, which begins at `after`.
fn check(before: &str, after: &str, field: Option<&str>) {
    let value = [before, after].concat();
    let rejection = decode(Some(value.as_bytes())).unwrap_err();
    let line_begin = before.rfind('\n').map_or(0, |at| at + 1);
    let begin = TextPosition {
        byte: before.len(),
        line: 1 + before.matches('\n').count(),
        column: 1 + before.len() - line_begin,
    };
    let expected = Location { field: field.map(str::to_owned), begin: Some(begin) };
    assert_eq!(locate(value.as_bytes(), &rejection), Some(expected), "{value}: {rejection:?}");
}

#[test]
fn a_fault_is_where_its_field_begins() {
    let known = r#"{"event_id":"opp_1","name":"n","stage":"s""#;
    check(&format!("{known},\n \"probability\": "), "140}", Some("probability"));
    check(&format!("{known}, \"prob\\u0061bility\":"), "\"x\" }", Some("probability"));
    check(&format!("{known},\"meta_data\":"), "[]}", Some("meta_data"));
    check(&format!("{known},\"meta_data\":{{\"a\":\n1,\"last_modified\":"), "\"x\"}}", Some("meta_data.last_modified"));
    check(&format!("{known},\"name\":"), "\"again\"}", Some("name"));
    let twice = r#"{"last_modified":1,"last_modified":"#;
    check(&format!("{known},\"meta_data\":{twice}"), "2}}", Some("meta_data.last_modified"));
    check(r#"{"stage":"s","event_id":"#, "5}", Some("event_id"));
}

#[test]
fn a_fault_of_the_syntax_is_where_the_error_says() {
    check(r#"{"a":1 "#, "2}", None);
    check("{\n\"a\":\n", "}", None);
    let value = b"\0\0\0\0\x01\xef\xbb\xbf{\"a\":\xff}";
    let begin = TextPosition { byte: 13, line: 1, column: 6 };
    assert_eq!(locate(value, &decode(Some(value)).unwrap_err()), Some(Location { field: None, begin: Some(begin) }));
    let value = b"\0\0\0\0\x01{} x";
    let begin = TextPosition { byte: 8, line: 1, column: 4 };
    assert_eq!(locate(value, &decode(Some(value)).unwrap_err()), Some(Location { field: None, begin: Some(begin) }));
}

#[test]
fn a_missing_field_has_a_name_only_and_other_faults_have_no_place() {
    let locate = |value: &str| locate(value.as_bytes(), &decode(Some(value.as_bytes())).unwrap_err());
    let missing = Location { field: Some("name".to_owned()), begin: None };
    assert_eq!(locate(r#"{"event_id":"opp_1","stage":"s"}"#), Some(missing));
    for value in ["", "5", "{}", &"[".repeat(200)] {
        assert_eq!(locate(value), None, "{value}");
    }
    // Too many fields to list.
    let crowded = opportunity_json(&format!("{},\"probability\":140", ",\"x\":0".repeat(20_000)));
    assert_eq!(locate(&crowded).and_then(|found| found.begin).map(|begin| begin.byte), Some(crowded.len() - 4));
}
