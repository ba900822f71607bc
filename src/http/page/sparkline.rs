//! A line of numbers as an inline SVG. Must not know what the numbers are.

use std::fmt::{self, Display};

use super::html::Html;
use crate::runtime::readable::Grouped;

/// The height of the drawing, in units of the horizontal distance between two numbers.
const HEIGHT: u64 = 16;

/// Adds a drawing of the numbers of before and of now, from 0 to the greatest; `None` is a gap.
pub(super) fn add(html: &mut Html, before: &[Option<u32>], now: Option<u64>, what: &str) {
    let now = now.map(|now| u32::try_from(now).unwrap_or(u32::MAX));
    let numbers: Vec<Option<u32>> = before.iter().copied().chain([now]).collect();
    let greatest = numbers.iter().flatten().copied().max();
    html.markup("<svg viewBox=\"-1 -1 62 18\" role=\"img\"");
    match greatest {
        None => html.attribute("aria-label", format_args!("{what}: not known")),
        Some(greatest) => {
            let now = now.map_or_else(|| "not known".to_owned(), |now| Grouped(now.into()).to_string());
            html.attribute("aria-label", format_args!("{what}: at most {}, now {now}", Grouped(greatest.into())))
        }
    };
    html.markup("><path")
        .attribute("d", Line { numbers: &numbers, greatest: greatest.unwrap_or_default() })
        .markup("/></svg>");
}

/// The path: horizontal where there is one number only, so that it is visible.
struct Line<'a> {
    numbers: &'a [Option<u32>],
    greatest: u32,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_drawing = false;
        for (x, number) in self.numbers.iter().enumerate() {
            if let Some(number) = number {
                let y = HEIGHT - u64::from(*number) * HEIGHT / u64::from(self.greatest.max(1));
                write!(f, "{}{x} {y}", if is_drawing { "L" } else { "M" })?;
                if !is_drawing {
                    f.write_str("h.1")?;
                }
            }
            is_drawing = number.is_some();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(before: &[Option<u32>], now: Option<u64>) -> String {
        let mut html = Html::default();
        add(&mut html, before, now, "lag");
        html.into_string()
    }

    #[test]
    fn a_gap_interrupts_the_line() {
        let svg = drawn(&[None, Some(0), Some(50), None], Some(1000));
        assert!(svg.contains("aria-label=\"lag: at most 1,000, now 1,000\""), "{svg}");
        assert!(svg.contains("<path d=\"M1 16h.1L2 16M4 0h.1\"/>"), "{svg}");
        assert!(drawn(&[Some(u32::MAX)], None).contains("\"lag: at most 4,294,967,295, now not known\""));
    }

    #[test]
    fn zero_is_at_the_bottom_and_nothing_is_no_line() {
        assert!(drawn(&[Some(0)], Some(0)).contains("d=\"M0 16h.1L1 16\""));
        let svg = drawn(&[None], None);
        assert!(svg.contains("d=\"\"") && svg.contains("lag: not known"), "{svg}");
    }
}
