//! Numbers, sizes and durations as a person reads them. Must not know what they measure.

use std::fmt;
use std::time::Duration;

/// A number with its digits in groups of three.
#[derive(Clone, Copy, Debug)]
pub struct Grouped(pub u64);

/// A duration in its two greatest units.
#[derive(Clone, Copy, Debug)]
pub struct Rounded(pub Duration);

/// A number of bytes in its greatest binary unit, with one decimal.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..60 => write!(f, "{seconds} s"),
            seconds @ 60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            seconds @ 3600..172_800 => write!(f, "{} h {} min", seconds / 3600, seconds % 3600 / 60),
            seconds => write!(f, "{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match unit.into_iter().find(|(_, unit)| self.0 >= *unit) {
            None => write!(f, "{} B", self.0),
            Some((name, unit)) => write!(f, "{}.{} {name}", Grouped(self.0 / unit), self.0 % unit * 10 / unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let text = [0, 12, 123, 1234, 123_456, 1_234_567].map(|number| Grouped(number).to_string());
        assert_eq!(text, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }

    #[test]
    fn durations_have_two_units() {
        let text = |seconds| Rounded(Duration::from_secs(seconds)).to_string();
        assert_eq!([text(0), text(59)], ["0 s", "59 s"]);
        assert_eq!([text(60), text(3599)], ["1 min 0 s", "59 min 59 s"]);
        assert_eq!([text(3600), text(100_000)], ["1 h 0 min", "27 h 46 min"]);
        assert_eq!([text(172_800), text(1_000_000)], ["2 d 0 h", "11 d 13 h"]);
    }

    #[test]
    fn sizes_are_rounded_down() {
        let text =
            [0, 1023, 1024, 1_048_575, 1 << 20, (3 << 30) + (1 << 29), 1 << 42].map(|size| Bytes(size).to_string());
        assert_eq!(text, ["0 B", "1023 B", "1.0 KiB", "1,023.9 KiB", "1.0 MiB", "3.5 GiB", "4,096.0 GiB"]);
    }
}
