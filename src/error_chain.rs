//! One line for an error and all that caused it. Knows no error of its own.

use std::error::Error;
use std::fmt;

/// Prints `what failed: why: and why that`, following [`Error::source`] to its end.
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(pub &'a dyn Error);

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
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
    fn every_cause_is_told_once() {
        let leaf = Layer("disk full", None);
        assert_eq!(ErrorChain(&leaf).to_string(), "disk full");
        let chain = Layer("cannot store", Some(Box::new(Layer("write failed", Some(Box::new(leaf))))));
        assert_eq!(ErrorChain(&chain).to_string(), "cannot store: write failed: disk full");
    }
}
