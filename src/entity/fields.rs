//! The fields of a JSON object by name, each value as sent. Knows JSON's grammar and what "missing" and "more than once" mean; must not know
//! event types.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::rejection::{Reason, Rejection};
use super::rules;

/// How deep objects and arrays may be nested, the outermost one included: far deeper than in ordinary events, and about as deep as other
/// readers accept (`serde_json` 127, SQLite's JSON functions 1000).
const NESTING_MAX: usize = 128;

/// The capacity for the fields of an ordinary event, so that their list is allocated once.
const FIELDS_TYPICAL: usize = 16;

/// The JSON values that count as absent.
const NULL: &str = "null";
const EMPTY: &str = "\"\"";

/// How many fields are listed: in memory, a field of five bytes takes eight times as much. Far more than in ordinary events.
const FIELDS_LISTED_MAX: usize = 10_000;

/// The fields of one JSON object that have not been taken yet, in the order sent.
pub(super) struct Fields<'a> {
    object: &'a str,
    list: List<'a>,
}

enum List<'a> {
    All(Vec<Field<'a>>),
    /// There are too many to list: the object is parsed again for each call. The names of the fields that have been taken.
    TooLong {
        taken: Vec<String>,
    },
}

#[derive(Clone, Copy)]
struct Field<'a> {
    /// The name as sent, in its quotes.
    name: &'a str,
    /// Whether the name has an escape sequence.
    escaped: bool,
    /// The value as sent.
    value: &'a str,
}

impl Field<'_> {
    fn is(&self, name: &str) -> bool {
        if self.escaped {
            // A name with a lone surrogate is not text and equals no name.
            return rules::text(self.name).is_ok_and(|unescaped| unescaped == name);
        }
        self.name.get(1..self.name.len() - 1) == Some(name)
    }
}

impl<'a> Fields<'a> {
    /// Parses one JSON object; `None` if the text is any other JSON value. The error says why the text is not JSON.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>, String> {
        if is_nested_too_deep(text) {
            return Err(format!("nested deeper than {NESTING_MAX} levels"));
        }
        let syntax = |error: serde_json::Error| format!("not one JSON value: {error}");
        if text.trim_start_matches(rules::BLANKS).starts_with('{') {
            return Self::of_object(text).map(Some).map_err(syntax);
        }
        serde_json::from_str::<&RawValue>(text).map(|_| None).map_err(syntax)
    }

    /// Whether a field of this name is there with a value other than null.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.find(|field| field.value != NULL && field.is(name)).is_some()
    }

    /// Whether a field of this name is there with a value other than null and the empty string.
    pub(super) fn is_filled(&self, name: &str) -> bool {
        self.find(|field| !matches!(field.value, NULL | EMPTY) && field.is(name)).is_some()
    }

    /// The value of the first field of this name, as sent.
    pub(super) fn first(&self, name: &str) -> Option<&'a str> {
        self.find(|field| field.is(name)).map(|field| field.value)
    }

    /// Takes a text that must be set and not empty.
    pub(super) fn required(&mut self, name: &str) -> Result<Cow<'a, str>, Rejection> {
        match self.take(name)? {
            None | Some(NULL) => Err(invalid(name, "is missing")),
            Some(EMPTY) => Err(invalid(name, "is empty")),
            Some(value) => rules::text(value).map_err(|problem| invalid(name, &problem)),
        }
    }

    /// Takes a field that may be absent, and applies a rule to its value as sent. Null and the empty string count as absent: they can mean
    /// nothing else in a field that is not required.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        rule: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Result<Option<T>, Rejection> {
        match self.take(name)? {
            None | Some(NULL | EMPTY) => Ok(None),
            Some(value) => rule(value).map(Some).map_err(|problem| invalid(name, &problem)),
        }
    }

    /// The fields that have not been taken, as a JSON object: names, values, order and repetitions as sent. `None` if there are none.
    pub(super) fn into_extra(self) -> Option<String> {
        let (mut count, mut length) = (0_usize, 0);
        self.for_each(|field| {
            count += 1;
            length += field.name.len() + field.value.len() + ":,".len();
        });
        if count == 0 {
            return None;
        }
        let mut json = String::with_capacity(length + "{}".len());
        self.for_each(|field| {
            let before = if json.is_empty() { "{" } else { "," };
            json.extend([before, field.name, ":", field.value]);
        });
        json.push('}');
        Some(json)
    }

    /// Takes a field. Two fields of one name are an error, since JSON readers disagree on which of them counts.
    fn take(&mut self, name: &str) -> Result<Option<&'a str>, Rejection> {
        let (mut first, mut is_repeated) = (None, false);
        self.for_each(|field| {
            if field.is(name) {
                is_repeated |= first.is_some();
                first = first.or(Some(field.value));
            }
        });
        if is_repeated {
            return Err(invalid(name, "is given more than once"));
        }
        if first.is_some() {
            match &mut self.list {
                List::All(fields) => fields.retain(|field| !field.is(name)),
                List::TooLong { taken } => taken.push(name.to_owned()),
            }
        }
        Ok(first)
    }

    fn of_object(object: &'a str) -> Result<Self, serde_json::Error> {
        let (mut fields, mut is_too_long) = (Vec::with_capacity(FIELDS_TYPICAL), false);
        read_fields(object, |field| {
            is_too_long |= fields.len() == FIELDS_LISTED_MAX;
            if !is_too_long {
                fields.push(field);
            }
        })?;
        let list = if is_too_long { List::TooLong { taken: Vec::new() } } else { List::All(fields) };
        Ok(Self { object, list })
    }

    /// Calls a function with each field that has not been taken.
    fn for_each(&self, mut each: impl FnMut(Field<'a>)) {
        match &self.list {
            List::All(fields) => fields.iter().copied().for_each(each),
            List::TooLong { taken } => {
                let read = read_fields(self.object, |field| {
                    if !taken.iter().any(|name| field.is(name)) {
                        each(field);
                    }
                });
                debug_assert!(read.is_ok(), "it has been parsed before");
            }
        }
    }

    fn find(&self, is_wanted: impl Fn(&Field<'a>) -> bool) -> Option<Field<'a>> {
        if let List::All(fields) = &self.list {
            return fields.iter().find(|field| is_wanted(field)).copied();
        }
        let mut found = None;
        self.for_each(|field| found = found.or_else(|| is_wanted(&field).then_some(field)));
        found
    }
}

fn invalid(name: &str, problem: &str) -> Rejection {
    Rejection::new(Reason::InvalidField, format!("{name} {problem}"))
}

/// Calls a function with each field of a JSON object, one after the other.
fn read_fields<'a>(object: &'a str, each: impl FnMut(Field<'a>)) -> Result<(), serde_json::Error> {
    struct FieldsVisitor<E>(E);

    impl<'a, E: FnMut(Field<'a>)> Visitor<'a> for FieldsVisitor<E> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'a>>(mut self, mut object: A) -> Result<(), A::Error> {
            while let Some((name, value)) = object.next_entry::<&RawValue, &RawValue>()? {
                let (name, value) = (name.get(), value.get());
                (self.0)(Field { name, escaped: name.contains('\\'), value });
            }
            Ok(())
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(object);
    deserializer.deserialize_map(FieldsVisitor(each))?;
    deserializer.end()
}

/// Whether brackets are nested deeper than [`NESTING_MAX`]. `serde_json` skips raw values without a limit (and without recursion); readers of
/// the database may not.
fn is_nested_too_deep(text: &str) -> bool {
    let opens = |byte: u8| matches!(byte, b'{' | b'[');
    // Counting is fast, and an ordinary event has fewer brackets.
    if text.bytes().filter(|&byte| opens(byte)).count() <= NESTING_MAX {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte == b'"' {
            in_string = true;
        } else if opens(byte) {
            depth += 1;
            if depth > NESTING_MAX {
                return true;
            }
        } else if matches!(byte, b'}' | b']') {
            // A bracket that closes nothing is not JSON, which the parser reports.
            depth = depth.saturating_sub(1);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use fuzzkit::within;

    use crate::entity::{Event, Reason, decode};

    /// An opportunity among very many fields of nothing.
    fn crowded(before: usize, after: usize, more: &str) -> String {
        let known = r#""event_id":"opp_1","n\u0061me":"n","stage":"s","amount":1"#;
        format!("{{{}{known}{more}{}}}", r#""":0,"#.repeat(before), r#","x":[ ]"#.repeat(after))
    }

    #[test]
    fn an_object_of_very_many_fields_is_read_as_any_other() {
        for (before, after) in [(0, 9_990), (9_990, 0), (0, 10_001), (10_001, 0), (6_000, 6_000)] {
            let value = crowded(before, after, "");
            let Ok(Event::Opportunity(event)) = decode(Some(value.as_bytes())) else { panic!("{before}, {after}") };
            assert_eq!((&*event.event_id, &*event.name, &*event.stage), ("opp_1", "n", "s"));
            let extra = [r#""":0"#].repeat(before).into_iter().chain([r#""x":[ ]"#].repeat(after));
            let extra = format!("{{{}}}", extra.collect::<Vec<_>>().join(","));
            assert!(event.extra == Some(extra), "{before}, {after}");
            let repeated = crowded(before, after, r#","stage":"again""#);
            let rejection = decode(Some(repeated.as_bytes())).unwrap_err();
            assert_eq!((rejection.reason, &*rejection.error), (Reason::InvalidField, "stage is given more than once"));
            let torn = &value[..value.len() - 1];
            assert_eq!(decode(Some(torn.as_bytes())).unwrap_err().reason, Reason::NotJson);
        }
    }

    #[test]
    fn very_many_fields_take_no_more_memory_than_they_were_sent_in() {
        // The list of the first ones, which grows by doubling.
        const LIST_BYTES: usize = 2 << 20;
        let value = crowded(400_000, 0, "");
        let event = within(value.len() + LIST_BYTES, || decode(Some(value.as_bytes())).map(drop));
        assert!(event.is_ok());
    }
}
