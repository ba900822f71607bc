//! The rules of the project that no compiler checks: no import circle, no word outside of the language rule, the storage engine behind
//! its folder, sizes and heads of files, links of documents. Reads the repository; runs nothing.

// Helpers of tests may panic as tests may; clippy.toml's exception knows only functions marked `#[test]`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod circles;
mod configuration;
mod engine;
mod links;
mod modules;
mod shape;
mod sources;
mod tokens;
mod troubleshooting;
mod words;

/// Fails with all problems, one a line, and what to do about them.
fn report(problems: &[String], advice: &str) {
    assert!(problems.is_empty(), "{} problem(s). {advice}\n\n{}\n", problems.len(), problems.join("\n"));
}
