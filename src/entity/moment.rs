//! Days and times as text and as numbers. Must not know fields and JSON.
//!
//! Times are those of [ISO 8601](https://www.rfc-editor.org/rfc/rfc3339#appendix-A) in the extended format and its relatives:
//! `2024-03-24T20:40:35.000+01:00`. Date and time are separated by `T`, `t` or a space; seconds may be absent (Java omits them if
//! they are zero), their fraction may follow a comma; the zone is `Z`, `z`, `UTC`, `GMT`, an offset `+01:00`, `+0100` or `+01`, with or
//! without a space before it, or absent, which is UTC.

use std::fmt;

use time::{Date, Month, Time, UtcDateTime, UtcOffset};

use super::decimal::Decimal;

/// A time in UTC in the format of the tables, `YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ`: of fixed width, so that it sorts as time. The years are 0000
/// to 9999.
#[derive(Clone, PartialEq, Eq)]
pub struct UtcTime {
    /// ASCII.
    text: [u8; UTC_TIME_BYTES],
    unix_ms: i64,
}

/// Length of a time in the format of the tables.
const UTC_TIME_BYTES: usize = "YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ".len();

impl UtcTime {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Milliseconds since 1970, rounded down.
    pub fn unix_ms(&self) -> i64 {
        self.unix_ms
    }

    /// A time in milliseconds since 1970; one outside of the years 0000 to 9999 is the nearest inside.
    pub fn from_unix_ms(ms: i64) -> Self {
        let clamped = ms.clamp(-62_167_219_200_000, 253_402_300_799_999);
        let moment = UtcDateTime::from_unix_timestamp_nanos(i128::from(clamped) * 1_000_000);
        Self::new(moment.unwrap_or(UtcDateTime::UNIX_EPOCH))
    }

    /// Reads a date and time, as described at the head of this module; `None` if the text is not one, or outside of the years 0000 to 9999
    /// in UTC.
    ///
    /// Digits after the nanoseconds are cut off. A leap second (23:59:60 UTC at the end of a month) is the last nanosecond before
    /// it.
    pub fn read(text: &str) -> Option<Self> {
        WrittenMoment::read(text)?.utc().map(Self::new)
    }

    /// Reads the time since 1970, by the number of its digits before the decimal point: 10 are seconds, 13 milliseconds, 16
    /// microseconds, 19 nanoseconds. Each unit covers 2001-09-09 to 2286-11-20, so that a number has one meaning. A number of another length
    /// may be a date, such as 20240324 or 202403242040.
    pub(super) fn since_1970(number: &Decimal<'_>) -> Option<Self> {
        if !matches!(number.whole_digits()?, 10 | 13 | 16 | 19) {
            return None;
        }
        let nanos = number.digits_to(19)?;
        UtcDateTime::from_unix_timestamp_nanos(nanos.into()).ok().map(Self::new)
    }

    fn new(moment: UtcDateTime) -> Self {
        let unix_ms = moment.unix_timestamp() * 1000 + i64::from(moment.millisecond());
        Self { text: sortable(moment), unix_ms }
    }
}

impl fmt::Debug for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the text is a real calendar day, `YYYY-MM-DD`; the years are 0000 to 9999.
pub(super) fn is_day(text: &str) -> bool {
    Scanner(text.as_bytes()).date().is_some_and(|(_, rest)| rest.0.is_empty())
}

/// The day of a date and time, in the zone of its text.
pub(super) fn day_of_moment(text: &str) -> Option<&str> {
    WrittenMoment::read(text).and_then(|_| text.get(.."YYYY-MM-DD".len()))
}

/// A date and time as its text has it.
#[derive(Clone, Copy, Debug)]
struct WrittenMoment {
    date: Date,
    /// A leap second is the last nanosecond before it.
    time: Time,
    offset: UtcOffset,
}

impl WrittenMoment {
    fn read(text: &str) -> Option<Self> {
        let (date, rest) = Scanner(text.as_bytes()).date()?;
        let (hour, rest) = rest.one_of(b"Tt ")?.two_digits()?;
        let (minute, rest) = rest.one_of(b":")?.two_digits()?;
        let (second, nano, rest) = match rest.one_of(b":") {
            None => (0, 0, rest),
            Some(rest) => {
                let (second, rest) = rest.two_digits()?;
                let (nano, rest) = rest.fraction()?;
                (second, nano, rest)
            }
        };
        let offset = rest.zone()?;
        if second == 60 {
            let time = Time::from_hms_nano(hour, minute, 59, 999_999_999).ok()?;
            let written = Self { date, time, offset };
            return written.is_before_leap_second().then_some(written);
        }
        Some(Self { date, time: Time::from_hms_nano(hour, minute, second, nano).ok()?, offset })
    }

    fn utc(&self) -> Option<UtcDateTime> {
        let local = UtcDateTime::new(self.date, self.time);
        let utc = if self.offset.is_utc() { Some(local) } else { self.shifted(local) };
        utc.filter(|utc| (0..=9999).contains(&utc.year()))
    }

    fn shifted(&self, local: UtcDateTime) -> Option<UtcDateTime> {
        local.checked_sub(time::Duration::seconds(self.offset.whole_seconds().into()))
    }

    /// Leap seconds are [inserted at the end of a month](https://www.rfc-editor.org/rfc/rfc3339#appendix-D), in UTC.
    fn is_before_leap_second(&self) -> bool {
        self.utc().is_some_and(|utc| {
            (utc.hour(), utc.minute(), utc.second()) == (23, 59, 59) && utc.day() == utc.month().length(utc.year())
        })
    }
}

/// The bytes that have not been read yet. Each method reads from their beginning what its name says.
#[derive(Clone, Copy)]
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    /// `YYYY-MM-DD`, a day that exists.
    fn date(self) -> Option<(Date, Self)> {
        let (century, rest) = self.two_digits()?;
        let (year, rest) = rest.two_digits()?;
        let (month, rest) = rest.one_of(b"-")?.two_digits()?;
        let (day, rest) = rest.one_of(b"-")?.two_digits()?;
        let year = i32::from(century) * 100 + i32::from(year);
        let date = Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()?;
        Some((date, rest))
    }

    /// Two digits, as a number.
    fn two_digits(self) -> Option<(u8, Self)> {
        match self.0 {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => {
                Some(((tens - b'0') * 10 + (ones - b'0'), Self(rest)))
            }
            _ => None,
        }
    }

    fn one_of(self, bytes: &[u8]) -> Option<Self> {
        let (first, rest) = self.0.split_first()?;
        bytes.contains(first).then_some(Self(rest))
    }

    /// A decimal mark with digits, as nanoseconds; zero if there is none.
    fn fraction(self) -> Option<(u32, Self)> {
        let Some(Self(rest)) = self.one_of(b".,") else { return Some((0, self)) };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = rest.split_at_checked(digits).filter(|(digits, _)| !digits.is_empty())?;
        let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
        let nano = padded.fold(0, |nano, digit| nano * 10 + u32::from(digit - b'0'));
        Some((nano, Self(rest)))
    }

    /// All remaining bytes, as a zone.
    fn zone(self) -> Option<UtcOffset> {
        let rest = self.one_of(b" ").filter(|rest| !rest.0.is_empty()).unwrap_or(self);
        if matches!(rest.0, b"" | b"Z" | b"z" | b"UTC" | b"GMT") {
            return Some(UtcOffset::UTC);
        }
        let (sign, rest) = match rest.0 {
            [b'+', rest @ ..] => (1, Self(rest)),
            [b'-', rest @ ..] => (-1, Self(rest)),
            _ => return None,
        };
        let (hours, rest) = rest.two_digits().filter(|(hours, _)| *hours < 24)?;
        let (minutes, end) = if rest.0.is_empty() {
            (0, rest)
        } else {
            rest.one_of(b":").unwrap_or(rest).two_digits().filter(|(minutes, _)| *minutes < 60)?
        };
        if !end.0.is_empty() {
            return None;
        }
        UtcOffset::from_whole_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).ok()
    }
}

/// Digit by digit: `write!` takes many times as long, for each event that has a time.
fn sortable(utc: UtcDateTime) -> [u8; UTC_TIME_BYTES] {
    let (hour, minute, second, nanosecond) = utc.as_hms_nano();
    let [y1, y2, y3, y4] = digits(utc.year().unsigned_abs());
    let [m1, m2] = digits(u8::from(utc.month()).into());
    let [d1, d2] = digits(utc.day().into());
    let [h1, h2] = digits(hour.into());
    let [i1, i2] = digits(minute.into());
    let [s1, s2] = digits(second.into());
    let [n1, n2, n3, n4, n5, n6, n7, n8, n9] = if nanosecond == 0 { [b'0'; 9] } else { digits(nanosecond) };
    [
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2, b'.', n1, n2, n3, n4, n5,
        n6, n7, n8, n9, b'Z',
    ]
}

/// The last decimal digits of a number.
#[inline]
fn digits<const COUNT: usize>(mut number: u32) -> [u8; COUNT] {
    let mut digits = [b'0'; COUNT];
    for digit in digits.iter_mut().rev() {
        let [low, ..] = (number % 10).to_le_bytes();
        *digit += low;
        number /= 10;
    }
    digits
}
