//! A JSON object taken apart: its fields by name, each value still as sent. Knows JSON's grammar and what "missing" and
//! "more than once" mean; knows no event type.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Reason, Rejection, rules};

/// Objects and arrays may be nested this deep, the outermost one included: far beyond any sane event, and what readers
/// downstream (`serde_json` stops at 127, SQLite's JSON functions at 1000) still take.
const NESTING_MAX: usize = 128;

/// Fields of an ordinary event, so that their list is allocated once.
const FIELDS_TYPICAL: usize = 16;

/// The JSON values that stand for nothing.
const NULL: &str = "null";
const EMPTY: &str = "\"\"";

/// The fields of one JSON object that nobody has asked for yet, in the order sent.
pub(super) struct Fields<'a>(Vec<Field<'a>>);

struct Field<'a> {
    /// The name as sent, in its quotes.
    name: &'a str,
    /// Whether the name holds an escape, so that what it means is not what it looks like.
    escaped: bool,
    /// The value as sent.
    value: &'a str,
}

impl Field<'_> {
    fn is(&self, name: &str) -> bool {
        if self.escaped {
            // A lone surrogate in a name is no text, hence no name that anybody asks for.
            return rules::text(self.name).is_ok_and(|unescaped| unescaped == name);
        }
        self.name.get(1..self.name.len() - 1) == Some(name)
    }
}

impl<'a> Fields<'a> {
    /// Takes one JSON object apart; `None` if the text is any other JSON value. The error says what keeps it from being JSON.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>, String> {
        if is_nested_too_deep(text) {
            return Err(format!("nested deeper than {NESTING_MAX} levels"));
        }
        let syntax = |error: serde_json::Error| format!("not one JSON value: {error}");
        if text.trim_start_matches(rules::BLANKS).starts_with('{') {
            return serde_json::from_str(text).map(Some).map_err(syntax);
        }
        serde_json::from_str::<&RawValue>(text).map(|_| None).map_err(syntax)
    }

    /// Whether a field of this name is there with a value other than null.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.0.iter().any(|field| field.is(name) && field.value != NULL)
    }

    /// Whether a field of this name is there with a value other than null and the empty string.
    pub(super) fn is_filled(&self, name: &str) -> bool {
        self.0.iter().any(|field| field.is(name) && !matches!(field.value, NULL | EMPTY))
    }

    /// The value of the first field of this name, as sent.
    pub(super) fn first(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|field| field.is(name)).map(|field| field.value)
    }

    /// Takes a text that must be there and not be empty.
    pub(super) fn required(&mut self, name: &str) -> Result<Cow<'a, str>, Rejection> {
        match self.take(name)? {
            None | Some(NULL) => Err(invalid(name, "is missing")),
            Some(EMPTY) => Err(invalid(name, "is empty")),
            Some(value) => rules::text(value).map_err(|problem| invalid(name, &problem)),
        }
    }

    /// Takes a field that may be absent, and applies its type's rule to the value as sent. Null and the empty string are the same as
    /// absent: there is nothing else that they could mean where nothing is required.
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

    /// What nobody has asked for, as a JSON object: names, values, order and repetitions as sent. `None` if nothing is left.
    pub(super) fn into_extra(self) -> Option<String> {
        let length: usize = self.0.iter().map(|field| field.name.len() + field.value.len() + ":,".len()).sum();
        let mut fields = self.0.into_iter();
        let first = fields.next()?;
        let mut json = String::with_capacity(length + "{}".len());
        json.extend(["{", first.name, ":", first.value]);
        json.extend(fields.flat_map(|field| [",", field.name, ":", field.value]));
        json.push('}');
        Some(json)
    }

    /// Readers disagree on which of two fields of one name counts, so none does.
    fn take(&mut self, name: &str) -> Result<Option<&'a str>, Rejection> {
        let Some(at) = self.0.iter().position(|field| field.is(name)) else {
            return Ok(None);
        };
        let value = self.0.remove(at).value;
        if self.0.iter().skip(at).any(|field| field.is(name)) {
            return Err(invalid(name, "is given more than once"));
        }
        Ok(Some(value))
    }
}

fn invalid(name: &str, problem: &str) -> Rejection {
    Rejection::new(Reason::InvalidField, format!("{name} {problem}"))
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(FIELDS_TYPICAL);
                while let Some((name, value)) = object.next_entry::<&RawValue, &RawValue>()? {
                    let (name, value) = (name.get(), value.get());
                    fields.push(Field { name, escaped: name.contains('\\'), value });
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// `serde_json` skips raw values without a limit (and without recursion); who reads them later may not be so robust.
fn is_nested_too_deep(text: &str) -> bool {
    let opens = |byte: u8| matches!(byte, b'{' | b'[');
    // Counting is quick, and an ordinary event never has so many brackets that they need a closer look.
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
            // What closes more than it opened is no JSON, which the parser will say.
            depth = depth.saturating_sub(1);
        }
    }
    false
}
