//! The findings of `check`: prints them as they are added, and counts the failures. Must not know what is checked.

use std::fmt;

use crate::runtime::output;

/// Prints the findings and counts the failures.
pub(super) struct Findings {
    verbose: bool,
    failures: usize,
}

impl Findings {
    pub(super) fn new(verbose: bool) -> Self {
        Self { verbose, failures: 0 }
    }

    pub(super) fn has_failures(&self) -> bool {
        self.failures > 0
    }

    fn add(&mut self, subject: &'static str, finding: Finding) {
        if matches!(finding, Finding::Failure(_)) {
            self.failures += 1;
        }
        if self.verbose || !matches!(finding, Finding::Ok(_)) {
            output::print(Line { subject, finding });
        }
    }

    pub(super) fn ok(&mut self, subject: &'static str, text: impl Into<String>) {
        self.add(subject, Finding::Ok(text.into()));
    }

    pub(super) fn warn(&mut self, subject: &'static str, text: impl Into<String>) {
        self.add(subject, Finding::Warning(text.into()));
    }

    pub(super) fn fail(&mut self, subject: &'static str, text: impl Into<String>) {
        self.add(subject, Finding::Failure(text.into()));
    }
}

/// The result of checking one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// Works; shown with `--verbose`.
    Ok(String),
    /// Works, but an operator should know it.
    Warning(String),
    /// `run` would fail.
    Failure(String),
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    subject: &'static str,
    finding: Finding,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match &self.finding {
            Finding::Ok(text) => ("ok", text),
            Finding::Warning(text) => ("warn", text),
            Finding::Failure(text) => ("FAIL", text),
        };
        writeln!(f, "{:<9} {mark:<5} {text}", self.subject)
    }
}
