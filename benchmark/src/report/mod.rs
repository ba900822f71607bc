//! The report: one text for people, on the console and as `docs/benchmarks.md`, and its plots.

mod goals;
mod plots;
mod svg;
mod text;

use std::fs;
use std::path::Path;

use crate::Result;
use crate::results::Results;

/// The report for the console.
pub fn console(results: &Results) -> String {
    text::report(results, text::For::Console)
}

/// Writes the report and its plots below a directory.
pub fn write(results: &Results, docs: &Path) -> Result<()> {
    let plots = docs.join("benchmarks");
    fs::create_dir_all(&plots)?;
    for (name, svg) in plots::all(results) {
        fs::write(plots.join(name), svg)?;
    }
    Ok(fs::write(docs.join("benchmarks.md"), text::report(results, text::For::Document))?)
}
