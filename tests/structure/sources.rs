//! The files of the repository that the rules are about. Knows no rule.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no source: built, recorded or written at run time. Relative to the repository.
const SKIPPED: [&str; 4] = ["target", "data", "logs", "fuzz/corpus"];

/// A file with its text.
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    pub text: String,
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files whose name ends in one of `extensions`, in the order of their paths. Hidden folders other than `.ci` and `.github` are
/// left out.
pub fn with_extensions(extensions: &[&str]) -> Vec<Source> {
    read(|path| path.extension().is_some_and(|extension| extensions.iter().any(|one| extension == *one)))
}

/// All shell scripts, by extension or first line.
pub fn scripts() -> Vec<Source> {
    let mut scripts = read(|path| path.extension().is_none_or(|extension| extension == "sh"));
    scripts.retain(|source| {
        let first = source.text.lines().next().unwrap_or_default();
        has_extension(source, "sh") || (first.starts_with("#!") && first.ends_with("sh"))
    });
    scripts
}

pub fn has_extension(source: &Source, extension: &str) -> bool {
    Path::new(&source.path).extension().is_some_and(|it| it == extension)
}

fn read(is_wanted: impl Fn(&Path) -> bool) -> Vec<Source> {
    let mut sources: Vec<Source> =
        paths().into_iter().filter(|path| is_wanted(path)).filter_map(|path| source(&path)).collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// `None` for a file that is no text.
fn source(path: &Path) -> Option<Source> {
    let relative = path.strip_prefix(repository()).unwrap().to_string_lossy().into_owned();
    Some(Source { path: relative, text: String::from_utf8(fs::read(path).unwrap()).ok()? })
}

fn paths() -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut folders = vec![repository().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_skipped = SKIPPED.iter().any(|skipped| path == repository().join(skipped));
            let is_hidden = name.starts_with('.') && ![".ci", ".github", ".env.example"].contains(&name.as_str());
            if is_skipped || is_hidden || path.is_symlink() || name == "node_modules" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                paths.push(path);
            }
        }
    }
    paths
}
