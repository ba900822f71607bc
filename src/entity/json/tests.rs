//! The scanner and `serde_json` on the same texts; what they must say is written out where it is not theirs alone.

use super::{Json, Member, read_members, read_rest, scanner};
use crate::entity::fuzzing::check_members;

/// Checks that both say the same, and that it is as expected.
fn check(text: &str, is_object: bool) {
    assert_eq!(check_members(text), is_object, "{text}");
}

/// The same for a value in an object, in an array and in a nested object.
fn check_value(value: &str, is_json: bool) {
    check(&format!(r#"{{"a":{value}}}"#), is_json);
    check(&format!(r#"{{"a":[{value}]}}"#), is_json);
    check(&format!(r#"{{"a":{{"b" : {value} , "c":0}}}}"#), is_json);
}

/// A string of `length` letters with something after the first `at` of them.
fn string_with(inserted: &str, at: usize, length: usize) -> String {
    format!("\"{}{inserted}{}\"", "x".repeat(at), "y".repeat(length - at))
}

#[test]
fn bytes_at_every_offset_of_a_string() {
    // Longer than all that is read at once.
    const LENGTH: usize = 150;
    for at in 0..=LENGTH {
        for control in 0..b' ' {
            check_value(&string_with(char::from(control).encode_utf8(&mut [0; 4]), at, LENGTH), false);
        }
        for plain in ["", " ", "!", "#", "[", "]", "\u{7f}", "\u{80}", "é", "東", "🦀", "\u{10ffff}", "\u{a2}\u{dc}"]
        {
            check_value(&string_with(plain, at, LENGTH), true);
        }
        check_value(&string_with("\"", at, LENGTH), false);
    }
}

#[test]
fn escapes_at_every_offset_of_a_string() {
    const LENGTH: usize = 80;
    for at in 0..=LENGTH {
        for escape in
            [r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", r"\u0000", r"\uD83e\udD80", r#"\\\"\\"#]
        {
            check_value(&string_with(escape, at, LENGTH), true);
            check_value(&string_with(&escape.repeat(20), at, LENGTH), true);
        }
        // Lone surrogates are JSON.
        for surrogate in [r"\ud800", r"\udfff", r"\ud800\ud800", r"\uDC00\n"] {
            check_value(&string_with(surrogate, at, LENGTH), true);
        }
        for wrong in [r"\x", r"\ ", r"\N", r"\u12g4", r"\u123é", r"\U0000", "\\\n", "\\\0", r"\u+123", "\\é", r"\'"] {
            check_value(&string_with(wrong, at, LENGTH), false);
        }
        let torn = ["\\", r"\u", r"\u1", r"\u12", r"\u123"];
        for end in torn {
            check_value(&format!("\"{}{end}\"", "x".repeat(at)), false);
        }
    }
}

#[test]
fn escape_sequences_are_noticed() {
    let read = |text| {
        let mut members = Vec::new();
        assert_eq!(scanner::read_members(text, |member| members.push((member.name, member.value))), Some(()));
        members
    };
    let texts = read(r#"{"a":"\n","b\t":"x","c":["\n"],"d":"                                              \\"}"#);
    let escaped: Vec<_> = texts.iter().map(|(name, value)| (name.is_escaped(), value.is_escaped())).collect();
    assert_eq!(escaped, [(false, true), (true, false), (false, false), (false, true)]);
}

#[test]
fn numbers() {
    for number in
        ["0", "-0", "7", "-12", "1e5", "1E+5", "1e-05", "0.0", "-0.50e0", "10", "1e400", "123456789012345678901"]
    {
        check_value(number, true);
    }
    for number in [
        "01",
        "-01",
        "00",
        "1.",
        ".5",
        "-.5",
        "-",
        "+1",
        "1e",
        "1e+",
        "1.e5",
        "1.5.5",
        "1e5.5",
        "0x10",
        "1_000",
        "--1",
        "1e5e5",
        "NaN",
        "Infinity",
        "-Infinity",
        "1-1",
        "٥",
        "1 1",
        "-e5",
        "1,",
    ] {
        check_value(number, false);
    }
}

#[test]
fn words_and_brackets() {
    for value in ["true", "false", "null", "[]", "{}", "[ ]", "{ }", "[[],{}]", r#"[{"":[{}]},0]"#, "[true,false,null]"]
    {
        check_value(value, true);
    }
    for value in [
        "True",
        "tru",
        "truex",
        "nul",
        "nulll",
        "fals",
        "undefined",
        "[",
        "]",
        "{",
        "}",
        "[}",
        "{]",
        "[1}",
        r#"{"a":1]"#,
        "[,]",
        "[1,]",
        "[1 1]",
        "[1:1]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        "{1:1}",
        "{null:1}",
        r#"{"a":1 "b":1}"#,
        r#"{"a"::1}"#,
        "[]]",
        "{}}",
        "'a'",
        "[1]1",
        r#"["a"]"b""#,
    ] {
        check_value(value, false);
    }
}

#[test]
fn what_is_around_the_object() {
    const BLANKS: &str = " \t\r\n";
    check(
        &format!("{BLANKS}{{{BLANKS}\"a\"{BLANKS}:{BLANKS}[{BLANKS}1{BLANKS},{BLANKS}2{BLANKS}]{BLANKS}}}{BLANKS}"),
        true,
    );
    check(&format!("{BLANKS}{{{BLANKS}}}{BLANKS}"), true);
    for other in
        ["\u{b}", "\u{c}", "\u{a0}", "\u{85}", "\u{2028}", "\u{feff}", "\0", "x", "0", ",", "{}", "//", "\u{7f}"]
    {
        for at in ["{}", r#"{"a":1}"#, r#"{"a":1,"b":[1,{"c":""}]}"#]
            .iter()
            .flat_map(|text| (0..=text.len()).map(move |at| (text, at)))
        {
            let (text, at) = at;
            let with = format!("{}{other}{}", &text[..at], &text[at..]);
            // Inside of a string most of them are plain, and a number may go on.
            check_members(&with);
            if at == 0 || at == text.len() {
                check(&with, false);
            }
        }
    }
    for other in ["", " ", "[]", "null", "1", r#""{}""#, "[{}]"] {
        check(other, false);
    }
}

#[test]
fn nesting() {
    let nest = |open: &str, close: &str, levels| format!("{}{}", open.repeat(levels), close.repeat(levels));
    for (levels, is_json) in [(126, true), (127, true), (128, false), (129, false), (300, false)] {
        check(&format!(r#"{{"a":{}}}"#, nest("[", "]", levels)), is_json);
        check(&format!(r#"{{"a":0,"b":{}}}"#, nest("[0,", ",0]", levels - 1).replace("0,,", "0,[],")), is_json);
        check(&format!(r#"{{"a":{}1{}}}"#, r#"{"b":"#.repeat(levels), "}".repeat(levels)), is_json);
        let mixed = format!("{}1{}", r#"[{"b":"#.repeat(levels / 2), "}]".repeat(levels / 2));
        let mixed = if levels % 2 == 1 { format!("[{mixed}]") } else { mixed };
        check(&format!(r#"{{"a":{mixed}}}"#), is_json);
        // Brackets that are closed in the wrong order, at every level.
        for at in 0..levels.min(128) {
            let mut closing = "]".repeat(levels);
            closing.replace_range(at..=at, "}");
            check(&format!(r#"{{"a":{}{closing}}}"#, "[".repeat(levels)), false);
        }
    }
    check(&format!(r#"{{"a":[{}[]]}}"#, "[],".repeat(1_000)), true);
}

/// All texts of four of these characters, at several places.
#[test]
fn every_short_text() {
    const CHARS: &[u8] = b"{}[]\":,\\0-.e n1";
    let mut accepted = 0;
    for number in 0..CHARS.len().pow(4) {
        let chars = (0..4).map(|digit| char::from(CHARS[number / CHARS.len().pow(digit) % CHARS.len()]));
        let text: String = chars.collect();
        for (before, after) in [(r#"{"a":"#, "}"), (r#"{"a":["#, "]}"), (r#"{"a":{"#, "}}"), (r#"{"a"#, "}")] {
            accepted += u32::from(check_members(&format!("{before}{text}{after}")));
        }
    }
    assert!(accepted > 500, "{accepted}");
}

#[test]
fn a_torn_object_is_none() {
    let text =
        r#"{"event_id":"opp_1","amount":-1.5e2,"é":[true,null,{"y":"\u00e9\\"}],"meta_data":{"last_modified":"2024"}}"#;
    check(text, true);
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        check(&text[..end], false);
    }
}

#[test]
fn members_are_as_sent() {
    let text = r#" {"a" : 1 ,"\u0061":[ 1 , "]" ],"":{"b":{}}, "a":"\"}" } "#;
    let mut members = Vec::new();
    assert_eq!(read_members(text, |member| members.push((member.name.text(), member.value.text()))), Ok(true));
    assert_eq!(
        members,
        [("\"a\"", "1"), (r#""\u0061""#, r#"[ 1 , "]" ]"#), ("\"\"", r#"{"b":{}}"#), ("\"a\"", r#""\"}""#)]
    );
}

/// If the scanner stops early, `serde_json` goes on where it stopped.
#[test]
fn the_remaining_members() {
    let text = r#"{"a":1,"b":"\n","c":[]}"#;
    let member = |name, value| Member { name: Json::new(name), value: Json::new(value) };
    let all = [member("\"a\"", "1"), member("\"b\"", r#""\n""#), member("\"c\"", "[]")];
    for read in 0..=3 {
        let mut rest = Vec::new();
        assert_eq!(read_rest(text, read, |member| rest.push(member)), Ok(true));
        assert_eq!(rest, all[read..]);
    }
    assert_eq!(read_rest("[1]", 0, |_| {}), Ok(false));
}
