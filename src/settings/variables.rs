//! The variables as text, from the environment and from a file. Must not know variable names or their meaning.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use super::damage;
use super::env_file::{self, BadLine};
use super::error::SettingsError;
use super::rules::shorten;

/// The default settings file.
pub(super) const ENV_FILE_DEFAULT: &str = ".env";
/// Greatest size of a settings file or a password file, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Greatest edit distance between a misspelt name and the name of a variable.
const MISSPELLING_DISTANCE_MAX: usize = 2;

/// The source of the settings. Must not be printed: it has secrets.
pub(super) struct Variables {
    values: HashMap<String, OsString>,
    /// The names that were looked up: after parsing, the names of all settings.
    known: Vec<&'static str>,
    /// Accepted values that may be mistakes.
    notes: Vec<String>,
}

impl Variables {
    pub(super) fn read(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        // No setting has a name that is not UTF-8.
        let environment: HashMap<String, OsString> =
            environment.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        let mut values = read_file(file, &environment)?;
        values.extend(environment);
        Ok(Self { values, known: Vec::new(), notes: Vec::new() })
    }

    /// A setting with a default; an empty value is parsed like any other.
    pub(super) fn or<T>(
        &mut self,
        name: &'static str,
        default: T,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, SettingsError> {
        self.look_up(name).map_or(Ok(default), |value| parse(name, value, rule))
    }

    /// An optional setting; an empty value counts as missing.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        self.look_up(name).filter(|value| !value.is_empty()).map(|value| parse(name, value, rule)).transpose()
    }

    /// An optional path; an empty value counts as missing.
    pub(super) fn path(&mut self, name: &'static str) -> Result<Option<PathBuf>, SettingsError> {
        self.optional(name, path)
    }

    /// A path with a default; an empty value means no file.
    pub(super) fn path_or(&mut self, name: &'static str, default: &str) -> Result<Option<PathBuf>, SettingsError> {
        let path = self.or(name, PathBuf::from(default), path)?;
        Ok(Some(path).filter(|path| !path.as_os_str().is_empty()))
    }

    /// An optional secret, which no error shows; an empty value counts as missing.
    pub(super) fn secret(&mut self, name: &'static str) -> Result<Option<String>, SettingsError> {
        let Some(value) = self.look_up(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let parsed = value.to_str().ok_or_else(not_utf8).and_then(|secret| match damage::of_secret(secret) {
            Some(allowed) => Err(allowed),
            None => Ok(secret.to_owned()),
        });
        let secret = parsed.map_err(|allowed| SettingsError::Invalid { variable: name, value: None, allowed })?;
        if damage::is_secret_surrounded(&secret) {
            self.notes.push(format!("{name} begins or ends with a blank or a quote, which is taken as a part of it"));
        }
        Ok(Some(secret))
    }

    /// Warnings about secrets and misspelt names; to be called after all settings were looked up.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.notes.clone();
        for name in self.values.keys().filter(|name| !self.known.contains(&name.as_str())) {
            let upper = name.to_ascii_uppercase();
            let nearest = self.known.iter().map(|known| (edit_distance(&upper, known), known)).min();
            if let Some((0..=MISSPELLING_DISTANCE_MAX, known)) = nearest {
                warnings.push(format!("{} is not a setting; did you mean {known}?", shorten(name)));
            }
        }
        warnings.sort();
        warnings
    }

    fn look_up(&mut self, name: &'static str) -> Option<&OsStr> {
        self.known.push(name);
        self.values.get(name).map(OsString::as_os_str)
    }

    #[cfg(test)]
    pub(super) fn known(&self) -> &[&'static str] {
        &self.known
    }
}

fn parse<T>(
    variable: &'static str,
    value: &OsStr,
    rule: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, SettingsError> {
    let parsed = value.to_str().ok_or_else(not_utf8).and_then(|value| match (rule(value), damage::of_value(value)) {
        (parsed, None) => parsed,
        (Ok(_), Some(allowed)) => Err(allowed),
        // The rule has detected the damage itself.
        (Err(allowed), Some(damage)) if allowed == damage => Err(allowed),
        (Err(allowed), Some(more)) => Err(format!("{allowed} ({more})")),
    });
    parsed.map_err(|allowed| SettingsError::Invalid {
        variable,
        value: Some(shorten(&value.to_string_lossy())),
        allowed,
    })
}

fn not_utf8() -> String {
    "UTF-8 text".to_owned()
}

fn path(text: &str) -> Result<PathBuf, String> {
    damage::of_path(text).map_or_else(|| Ok(PathBuf::from(text)), Err)
}

fn read_file(
    named: Option<&Path>,
    environment: &HashMap<String, OsString>,
) -> Result<HashMap<String, OsString>, SettingsError> {
    let path = named.unwrap_or(Path::new(ENV_FILE_DEFAULT));
    let unreadable = |source| SettingsError::EnvFile { path: path.to_owned(), source };
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let given = |name: &str| environment.get(name)?.to_str().map(str::to_owned);
    let values = env_file::parse(&text, given).map_err(|BadLine { line, name, problem }| {
        SettingsError::EnvFileLine { path: path.to_owned(), line, name: name.map(|name| shorten(&name)), problem }
    })?;
    Ok(values.into_iter().map(|(name, value)| (name, OsString::from(value))).collect())
}

/// Reads a small text file, without the byte order mark of some editors.
pub(super) fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if !u64::try_from(bytes.len()).is_ok_and(|bytes| bytes <= FILE_BYTES_MAX) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {FILE_BYTES_MAX} bytes")));
    }
    let text =
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, not_text(&error)))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Says why a file is not UTF-8.
fn not_text(error: &FromUtf8Error) -> String {
    let bytes = error.as_bytes();
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return "it is UTF-16: save it as UTF-8".to_owned();
    }
    let good = bytes.get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    format!("line {} is not UTF-8", good.split(|byte| *byte == b'\n').count())
}

/// The [Levenshtein distance](https://en.wikipedia.org/wiki/Levenshtein_distance), in bytes.
fn edit_distance(left: &str, right: &str) -> usize {
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
