//! Prints an error and its causes as one line. Defines no error.

use std::error::Error;
use std::fmt;

use kafka::text::excerpt;

/// Greatest number of characters shown of one cause: SQLite quotes whole statements, and a trigger's message can have any length.
const CAUSE_CHARS_MAX: usize = 4000;

/// Prints `error: cause: cause of the cause`, following [`Error::source`] to its end. It is one line whatever the errors quote:
/// line ends and other unprintable characters are [escaped](kafka::text::Escaped).
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(pub &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&excerpt(&self.0.to_string(), CAUSE_CHARS_MAX))?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {}", excerpt(&error.to_string(), CAUSE_CHARS_MAX))?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as _)
        }
    }

    #[test]
    fn every_cause_is_printed_once() {
        let leaf = Layer("disk full", None);
        assert_eq!(ErrorChain(&leaf).to_string(), "disk full");
        let chain = Layer("cannot store", Some(Box::new(Layer("write failed", Some(Box::new(leaf))))));
        assert_eq!(ErrorChain(&chain).to_string(), "cannot store: write failed: disk full");
    }

    #[test]
    fn an_error_is_one_line_even_if_it_quotes_sql() {
        let leaf = Layer("no such column: x in INSERT INTO t (\n    x\n) \u{1b}[2J", None);
        let chain = Layer("cannot\r\nstore", Some(Box::new(leaf)));
        assert_eq!(
            ErrorChain(&chain).to_string(),
            r"cannot\r\nstore: no such column: x in INSERT INTO t (\n    x\n) \u{1b}[2J"
        );
        let endless = Layer("x".repeat(CAUSE_CHARS_MAX + 1).leak(), None);
        assert_eq!(ErrorChain(&endless).to_string().chars().count(), CAUSE_CHARS_MAX + 1);
    }
}
