//! The variables as text: those of the environment over those of a file. Knows no variable's name and no meaning.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::SettingsError;
use super::rules::shorten;

/// The file that is read if none is named.
pub(super) const ENV_FILE_DEFAULT: &str = ".env";
/// A file with settings or with a secret is not larger than this, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// A name is suspected to be a misspelt one if so few letters are wrong, missing or too many.
const MISSPELT_LETTERS_MAX: usize = 2;

/// Where the settings are taken from. Not to be printed: secrets are among them.
pub(super) struct Variables {
    values: HashMap<String, OsString>,
    /// Every name that has been asked for: so this is the list of those that mean something.
    asked: Vec<&'static str>,
}

impl Variables {
    pub(super) fn read(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        let mut values = read_file(file)?;
        // A name that is not UTF-8 is none of ours.
        values.extend(environment.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))));
        Ok(Self { values, asked: Vec::new() })
    }

    /// A setting that has a default; an empty value is judged as any other.
    pub(super) fn or<T>(
        &mut self,
        name: &'static str,
        default: T,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, SettingsError> {
        self.ask(name).map_or(Ok(default), |value| judge(name, value, rule))
    }

    /// A setting that may be missing; empty is the same.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        self.ask(name).filter(|value| !value.is_empty()).map(|value| judge(name, value, rule)).transpose()
    }

    /// A file that may be missing; empty is the same.
    pub(super) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        self.ask(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// A file that has a default; empty: none.
    pub(super) fn path_or(&mut self, name: &'static str, default: &str) -> Option<PathBuf> {
        let path = self.ask(name).map_or_else(|| PathBuf::from(default), PathBuf::from);
        Some(path).filter(|path| !path.as_os_str().is_empty())
    }

    /// Text that no error may show; empty is the same as missing.
    pub(super) fn secret(&mut self, name: &'static str) -> Result<Option<String>, SettingsError> {
        let Some(value) = self.ask(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        match value.to_str() {
            Some(secret) => Ok(Some(secret.to_owned())),
            None => Err(SettingsError::Invalid { variable: name, value: None, allowed: "UTF-8 text".to_owned() }),
        }
    }

    /// Names that nobody has asked for, but that look like one of those; to be called when all have been asked for.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        for name in self.values.keys().filter(|name| !self.asked.contains(&name.as_str())) {
            let near = self.asked.iter().map(|known| (letters_apart(name, known), known)).min();
            if let Some((1..=MISSPELT_LETTERS_MAX, known)) = near {
                warnings.push(format!("{} is set, but means nothing here; did you mean {known}?", shorten(name)));
            }
        }
        warnings.sort();
        warnings
    }

    fn ask(&mut self, name: &'static str) -> Option<&OsStr> {
        self.asked.push(name);
        self.values.get(name).map(OsString::as_os_str)
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> &[&'static str] {
        &self.asked
    }
}

fn judge<T>(
    variable: &'static str,
    value: &OsStr,
    rule: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, SettingsError> {
    let judged = value.to_str().ok_or_else(|| "UTF-8 text".to_owned()).and_then(rule);
    judged.map_err(|allowed| SettingsError::Invalid {
        variable,
        value: Some(shorten(&value.to_string_lossy())),
        allowed,
    })
}

fn read_file(named: Option<&Path>) -> Result<HashMap<String, OsString>, SettingsError> {
    let path = named.unwrap_or(Path::new(ENV_FILE_DEFAULT));
    let unreadable = |source| SettingsError::EnvFile { path: path.to_owned(), source };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(unreadable(error)),
    };
    parse(&text, path)
}

/// The whole of a small text file, without the byte order mark that some editors begin it with.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if !u64::try_from(text.len()).is_ok_and(|bytes| bytes <= FILE_BYTES_MAX) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn parse(text: &str, path: &Path) -> Result<HashMap<String, OsString>, SettingsError> {
    let mut values = HashMap::new();
    for pair in dotenvy::from_read_iter(text.as_bytes()) {
        let (name, value) = pair.map_err(|_| malformed(text, path))?;
        if values.insert(name.clone(), OsString::from(value)).is_some() {
            return Err(SettingsError::EnvFileRepeated { path: path.to_owned(), variable: shorten(&name) });
        }
    }
    Ok(values)
}

/// The parser does not say where it failed, and quotes the value. But the fewest lines from which it takes as much as from all
/// of them end before the bad one, and between the two are at most lines that say nothing.
fn malformed(text: &str, path: &Path) -> SettingsError {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let pairs_in = |count: usize| {
        let begin: String = lines.iter().take(count).copied().collect();
        dotenvy::from_read_iter(begin.as_bytes()).take_while(Result::is_ok).count()
    };
    let pairs = pairs_in(lines.len());
    let counts: Vec<usize> = (0..lines.len()).collect();
    let taken = counts.partition_point(|count| pairs_in(*count) < pairs);
    let says_nothing = |line: &&&str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let good = taken + lines.iter().skip(taken).take_while(says_nothing).count();
    let line = lines.get(good).copied().unwrap_or_default().trim_end();
    // Only a name with its sign of equality: anything else may be a secret, or the rest of one.
    let name_ends = |letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '_' | '.');
    let line = line.trim_start();
    let (name, rest) = line.split_at(line.find(name_ends).unwrap_or(line.len()));
    let name = (!name.is_empty() && rest.starts_with('=')).then(|| shorten(name));
    SettingsError::EnvFileLine { path: path.to_owned(), line: good + 1, name }
}

/// The [Levenshtein distance](https://en.wikipedia.org/wiki/Levenshtein_distance), in bytes.
fn letters_apart(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, left) in left.bytes().enumerate() {
        let (mut diagonal, mut last) = (at, at + 1);
        let mut next = Vec::with_capacity(row.len());
        next.push(last);
        for (above, right) in row.iter().skip(1).zip(right.bytes()) {
            last = (diagonal + usize::from(left != right)).min(above + 1).min(last + 1);
            diagonal = *above;
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
