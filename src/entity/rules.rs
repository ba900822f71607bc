//! What a value must look like to have a meaning. Each rule gets one JSON value as sent, and answers what it means or
//! what is wrong with it, worded to follow the field's name. Knows no field names.

use std::borrow::Cow;

use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime, UtcDateTime};

/// As much of an offending value as an error shows, in characters.
const QUOTE_CHARS_MAX: usize = 64;

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

/// What is there, and what should be.
pub(super) fn unlike(json: &str, expected: &str) -> String {
    format!("is {}, not {expected}", quote(json))
}

/// A string, which may be empty.
pub(super) fn text(json: &str) -> Result<Cow<'_, str>, String> {
    let Some(inner) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(unlike(json, "a string"));
    };
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    // The only thing that may still be wrong: a surrogate without its other half.
    serde_json::from_str(json).map(Cow::Owned).map_err(|_| unlike(json, "a string of Unicode characters"))
}

/// A number that fits a finite double, to the nearest one.
pub(super) fn number(json: &str) -> Result<f64, String> {
    // JSON's numbers are a part of what `f64` parses; its "inf" and "NaN" are not JSON, so they cannot come here.
    json.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| unlike(json, "a finite number"))
}

/// An integer from 0 to 100, written without fraction and exponent.
pub(super) fn percent(json: &str) -> Result<u8, String> {
    json.parse()
        .ok()
        .filter(|percent| (0..=100).contains(percent))
        .ok_or_else(|| unlike(json, "an integer from 0 to 100"))
}

/// A real calendar day, `YYYY-MM-DD`; the years are 0000 to 9999.
pub(super) fn date(json: &str) -> Result<Cow<'_, str>, String> {
    let day = text(json)?;
    if is_calendar_day(day.as_bytes()) { Ok(day) } else { Err(unlike(json, "a calendar day YYYY-MM-DD")) }
}

fn is_calendar_day(text: &[u8]) -> bool {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
        return false;
    };
    let digits = [y1, y2, y3, y4, m1, m2, d1, d2];
    if !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let two = |tens: u8, ones: u8| (tens - b'0') * 10 + (ones - b'0');
    let year = i32::from(two(y1, y2)) * 100 + i32::from(two(y3, y4));
    Month::try_from(two(m1, m2)).is_ok_and(|month| Date::from_calendar_date(year, month, two(d1, d2)).is_ok())
}

/// A moment of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339#section-5.6), in UTC as `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`:
/// of fixed width, so that it sorts as time.
///
/// Date and time are parted by `T`, `t` or a space. What is finer than nanoseconds is cut off. A leap second (23:59:60
/// UTC at the end of a month) counts as the last nanosecond before it. A moment that is not in the years 0000 to 9999
/// of UTC is refused.
pub(super) fn instant(json: &str) -> Result<String, String> {
    let sent = text(json)?;
    // `time` takes any separator.
    let utc = matches!(sent.as_bytes().get(10), Some(b'T' | b't' | b' '))
        .then(|| OffsetDateTime::parse(&sent, &Rfc3339).ok()?.checked_to_utc())
        .flatten()
        .filter(|utc| (0..=9999).contains(&utc.year()));
    utc.map(sortable).ok_or_else(|| unlike(json, "a time of RFC 3339, like 2024-01-31T12:00:00Z"))
}

fn sortable(utc: UtcDateTime) -> String {
    let mut text = String::with_capacity("YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ".len());
    let (hour, minute, second, nanosecond) = utc.as_hms_nano();
    // Digit by digit: `write!` takes several times as long, for each event that has a time.
    let parts = [
        ("", utc.year().unsigned_abs(), 4),
        ("-", u8::from(utc.month()).into(), 2),
        ("-", utc.day().into(), 2),
        ("T", hour.into(), 2),
        (":", minute.into(), 2),
        (":", second.into(), 2),
        (".", nanosecond, 9),
    ];
    for (mark, number, width) in parts {
        text.push_str(mark);
        for place in (0..width).rev() {
            text.push(char::from_digit(number / 10_u32.pow(place) % 10, 10).unwrap_or('0'));
        }
    }
    text.push('Z');
    text
}
