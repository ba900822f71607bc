//! The rules for values: a table of all spellings that are accepted, and the functions that read them. Must not know field names.
//!
//! A value with one meaning is accepted, and stored in one form. A value with none, or with two possible ones, is refused.

use std::borrow::Cow;

use super::decimal::{Decimal, Number};
use super::json::{BLANKS, Json};
use super::moment::{self, UtcTime};

/// How much of an invalid value an error quotes, in characters.
const QUOTE_CHARS_MAX: usize = 64;

/// Makes a function of each block. It gets one JSON value and returns its meaning, or an error that is worded to follow the field's
/// name.
macro_rules! table {
    ($($(#[$doc:meta])+ $rule:ident -> $meaning:ty, $expected:literal { $($spelling:ident: $($example:literal),+;)+ })+) => {
        $($(#[$doc])+
        pub(super) fn $rule(json: Json<'_>) -> Result<$meaning, String> {
            let sent = Sent::of(json)?;
            None$(.or_else(|| $spelling(&sent)))+.ok_or_else(|| unlike(json.text(), $expected))
        })+

        /// An example of every spelling, by the name of its rule.
        #[cfg(test)]
        pub(super) const EXAMPLES: &[(&str, &str)] = &[$($($((stringify!($rule), $example),)+)+)+];
    };
}

// Each line is a spelling and examples of it. A rule refuses every other spelling.
table! {
    /// A number that is finite as a double.
    number -> Number<'_>, "a finite number" {
        json_number: "50000.00", "-1.5e3";
        quoted_number: "\"50000.00\"", "\" 5 \"", "\"1e3\"", "\"+5\"", "\".5\"", "\"007\"";
    }

    /// A whole number from 0 to 100.
    percent -> u8, "an integer from 0 to 100" {
        plain_percent: "75";
        whole_json_number: "75.0", "7.5e1";
        whole_quoted_number: "\"75\"", "\"75.00\"";
    }

    /// A real calendar day, `YYYY-MM-DD`; the years are 0000 to 9999.
    date -> Cow<'_, str>, "a calendar day YYYY-MM-DD" {
        quoted_day: "\"2024-06-30\"", "\" 2024-06-30 \"";
        day_of_quoted_moment: "\"2024-06-30T00:00:00Z\"", "\"2024-06-30 23:59:59+02:00\"";
    }

    /// A time; see [`UtcTime`].
    instant -> UtcTime, "a time like 2024-01-31T12:00:00Z, or since 1970 in 10 (s), 13 (ms), 16 (us) or 19 (ns) digits" {
        quoted_moment: "\"2024-03-24T20:40:35Z\"", "\"2024-03-24T20:40:35.000+0000\"", "\"2024-03-24 20:40:35\"";
        since_1970: "1711312835", "1711312835000", "1711312835.123";
        quoted_since_1970: "\"1711312835\"", "\"1711312835000\"";
    }

    /// A string, which may be empty. A number is refused: `42` may have been `"42"`, `"0042"` or `"42.0"`.
    text -> Cow<'_, str>, "a string" {
        quoted_text: "\"acc_0042\"";
    }
}

/// One JSON value as sent.
enum Sent<'a> {
    /// The text of a string.
    Quoted(Cow<'a, str>),
    /// Anything else, as JSON.
    Bare(&'a str),
}

impl<'a> Sent<'a> {
    #[inline]
    fn of(json: Json<'a>) -> Result<Self, String> {
        let text = json.text();
        let Some(inner) = json.quoted() else { return Ok(Self::Bare(text)) };
        if !json.is_escaped() {
            return Ok(Self::Quoted(Cow::Borrowed(inner)));
        }
        // The only error that is left: a lone surrogate.
        let unescaped = serde_json::from_str(text).map_err(|_| unlike(text, "a string of Unicode characters"))?;
        Ok(Self::Quoted(Cow::Owned(unescaped)))
    }

    /// The text of a string, without whitespace around it.
    fn trimmed(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Quoted(Cow::Borrowed(text)) => Some(Cow::Borrowed(trim(text))),
            Self::Quoted(Cow::Owned(text)) => Some(Cow::Owned(trim(text).to_owned())),
            Self::Bare(_) => None,
        }
    }

    /// The JSON of a value that is not a string.
    fn number(&self) -> Option<&'a str> {
        match self {
            Self::Bare(json) => Some(json),
            Self::Quoted(_) => None,
        }
    }
}

/// Removes whitespace around a text. Most texts have none, and are not read char by char.
fn trim(text: &str) -> &str {
    let is_blank = |byte: Option<&u8>| byte.is_some_and(|byte| BLANKS.contains(&char::from(*byte)));
    let bytes = text.as_bytes();
    if is_blank(bytes.first()) || is_blank(bytes.last()) { text.trim_matches(BLANKS) } else { text }
}

fn json_number<'a>(sent: &Sent<'a>) -> Option<Number<'a>> {
    Number::read(Cow::Borrowed(sent.number()?))
}

fn quoted_number<'a>(sent: &Sent<'a>) -> Option<Number<'a>> {
    Number::read(sent.trimmed()?)
}

fn plain_percent(sent: &Sent<'_>) -> Option<u8> {
    sent.number()?.parse().ok().filter(|percent| (0..=100).contains(percent))
}

fn whole_json_number(sent: &Sent<'_>) -> Option<u8> {
    Decimal::read(sent.number()?)?.whole(100)
}

fn whole_quoted_number(sent: &Sent<'_>) -> Option<u8> {
    Decimal::read(&sent.trimmed()?)?.whole(100)
}

fn quoted_day<'a>(sent: &Sent<'a>) -> Option<Cow<'a, str>> {
    sent.trimmed().filter(|text| moment::is_day(text))
}

fn day_of_quoted_moment<'a>(sent: &Sent<'a>) -> Option<Cow<'a, str>> {
    match sent.trimmed()? {
        Cow::Borrowed(text) => moment::day_of_moment(text).map(Cow::Borrowed),
        Cow::Owned(text) => moment::day_of_moment(&text).map(|day| Cow::Owned(day.to_owned())),
    }
}

fn quoted_moment(sent: &Sent<'_>) -> Option<UtcTime> {
    UtcTime::read(&sent.trimmed()?)
}

fn since_1970(sent: &Sent<'_>) -> Option<UtcTime> {
    UtcTime::since_1970(&Decimal::read(sent.number()?)?)
}

fn quoted_since_1970(sent: &Sent<'_>) -> Option<UtcTime> {
    UtcTime::since_1970(&Decimal::read(&sent.trimmed()?)?)
}

fn quoted_text<'a>(sent: &Sent<'a>) -> Option<Cow<'a, str>> {
    match sent {
        Sent::Quoted(text) => Some(text.clone()),
        Sent::Bare(_) => None,
    }
}

/// The beginning of a JSON value, on one line, for an error.
pub(super) fn quote(json: &str) -> String {
    let (shown, dots) = match json.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => (json.get(..end).unwrap_or_default(), "…"),
        None => (json, ""),
    };
    let mut quoted = shown.replace(char::is_control, " ");
    quoted.push_str(dots);
    quoted
}

/// The error of a value that is not as expected.
pub(super) fn unlike(json: &str, expected: &str) -> String {
    format!("is {}, not {expected}", quote(json))
}
