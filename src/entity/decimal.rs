//! Decimal numbers as text: their exact value, and whether a double holds it. Must not know fields, nor JSON other than numbers.

use std::borrow::Cow;

/// How many decimal digits a double holds, whichever they are
/// ([`DBL_DIG`](https://en.cppreference.com/w/c/types/limits)).
const DOUBLE_DIGITS: usize = f64::DIGITS as usize;

/// A number for a column of type REAL, with its text if the column cannot hold it exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Number<'a> {
    /// The nearest double; finite.
    pub value: f64,
    /// The number as sent, where the shortest decimal that reads as `value` is a different number.
    pub text: Option<Cow<'a, str>>,
}

impl From<f64> for Number<'_> {
    fn from(value: f64) -> Self {
        Self { value, text: None }
    }
}

impl<'a> Number<'a> {
    /// Reads what [`Decimal::read`] does; `None` of anything else, and beyond the range of a double.
    pub(super) fn read(text: Cow<'a, str>) -> Option<Self> {
        // With these bytes `f64` parses decimals only: `inf` and `nan` have others.
        let is_decimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
        if !text.bytes().all(is_decimal) {
            return None;
        }
        let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
        let is_short = text.len() <= DOUBLE_DIGITS && !text.bytes().any(|byte| matches!(byte, b'e' | b'E'));
        let is_held = is_short || Decimal::read(&text)?.is_shortest_of(value);
        Some(Self { value, text: (!is_held).then_some(text) })
    }
}

/// A decimal number `0.DIGITS * 10^magnitude`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal<'a> {
    is_negative: bool,
    /// How many digits are before the decimal point; saturates.
    magnitude: i64,
    /// Its digits from the first to the last that is not zero, possibly with a decimal point between them. Zero has none.
    significant: &'a str,
}

impl<'a> Decimal<'a> {
    /// Reads an optional sign, digits with an optional decimal point, and an optional exponent: every number of JSON, and `+5`, `.5`, `5.` and
    /// `007`, which some producers send.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (is_negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
            None => (unsigned, 0),
            Some(at) => (unsigned.get(..at)?, exponent(unsigned.get(at + 1..)?)?),
        };
        let is_digit = |byte: u8| byte.is_ascii_digit();
        let points = mantissa.bytes().filter(|byte| *byte == b'.').count();
        if points > 1 || mantissa.len() == points || !mantissa.bytes().all(|byte| is_digit(byte) || byte == b'.') {
            return None;
        }
        let significant = mantissa.trim_matches(['0', '.']);
        if significant.is_empty() {
            return Some(Self { is_negative: false, magnitude: 0, significant });
        }
        let point = index(mantissa.find('.').unwrap_or(mantissa.len()));
        let first = index(mantissa.find(|char| !matches!(char, '0' | '.')).unwrap_or_default());
        let before = if first < point { point - first } else { point + 1 - first };
        Some(Self { is_negative, magnitude: exponent.saturating_add(before), significant })
    }

    fn digits(&self) -> impl Iterator<Item = u8> + 'a {
        self.significant.bytes().filter(|byte| *byte != b'.')
    }

    fn is_zero(&self) -> bool {
        self.significant.is_empty()
    }

    /// Whether this is the number of the shortest decimal text that reads as a double.
    fn is_shortest_of(&self, value: f64) -> bool {
        let shortest = format!("{value:e}");
        Decimal::read(&shortest).is_some_and(|shortest| {
            (shortest.is_negative, shortest.magnitude) == (self.is_negative, self.magnitude)
                && shortest.digits().eq(self.digits())
        })
    }

    /// The number, if it is a whole one from 0 to `max`.
    pub(super) fn whole(&self, max: u8) -> Option<u8> {
        if self.is_zero() {
            return Some(0);
        }
        let places = usize::try_from(self.magnitude).ok().filter(|places| *places <= 3)?;
        if self.is_negative || self.digits().nth(places).is_some() {
            return None;
        }
        let number = self.digits_to(places)?;
        u8::try_from(number).ok().filter(|number| *number <= max)
    }

    /// How many digits are before the decimal point of a positive number; `None` of others, and of those below 1.
    pub(super) fn whole_digits(&self) -> Option<usize> {
        let is_positive = !self.is_negative && !self.is_zero();
        usize::try_from(self.magnitude).ok().filter(|digits| is_positive && *digits > 0)
    }

    /// The first `count` digits as a number: missing digits are zeros, further ones are cut off. `None` if it is too great.
    pub(super) fn digits_to(&self, count: usize) -> Option<u64> {
        let digits = self.digits().chain(std::iter::repeat(b'0')).take(count);
        digits
            .into_iter()
            .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0'))))
    }
}

/// An exponent with or without sign; one beyond all numbers saturates.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let beyond = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(beyond))
}

/// The index as a signed number; no text is longer.
fn index(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}
