//! The variables as text: those of the environment over those of a file. Knows no variable's name and no meaning.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use super::env_file::{self, BadLine};
use super::rules::shorten;
use super::{SettingsError, damage};

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
    /// What is taken as it is, but looks like a mistake.
    notes: Vec<String>,
}

impl Variables {
    pub(super) fn read(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&Path>,
    ) -> Result<Self, SettingsError> {
        // A name that is not UTF-8 is none of ours.
        let environment: HashMap<String, OsString> =
            environment.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        let mut values = read_file(file, &environment)?;
        values.extend(environment);
        Ok(Self { values, asked: Vec::new(), notes: Vec::new() })
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
    pub(super) fn path(&mut self, name: &'static str) -> Result<Option<PathBuf>, SettingsError> {
        self.optional(name, path)
    }

    /// A file that has a default; empty: none.
    pub(super) fn path_or(&mut self, name: &'static str, default: &str) -> Result<Option<PathBuf>, SettingsError> {
        let path = self.or(name, PathBuf::from(default), path)?;
        Ok(Some(path).filter(|path| !path.as_os_str().is_empty()))
    }

    /// Text that no error may show; empty is the same as missing.
    pub(super) fn secret(&mut self, name: &'static str) -> Result<Option<String>, SettingsError> {
        let Some(value) = self.ask(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let judged = value.to_str().ok_or_else(not_utf8).and_then(|secret| match damage::of_secret(secret) {
            Some(allowed) => Err(allowed),
            None => Ok(secret.to_owned()),
        });
        let secret = judged.map_err(|allowed| SettingsError::Invalid { variable: name, value: None, allowed })?;
        if damage::around_secret(&secret) {
            self.notes.push(format!("{name} begins or ends with a blank or a quote, which is taken as a part of it"));
        }
        Ok(Some(secret))
    }

    /// Names that nobody has asked for, but that look like one of those; to be called when all have been asked for.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.notes.clone();
        for name in self.values.keys().filter(|name| !self.asked.contains(&name.as_str())) {
            let upper = name.to_ascii_uppercase();
            let near = self.asked.iter().map(|known| (letters_apart(&upper, known), known)).min();
            if let Some((0..=MISSPELT_LETTERS_MAX, known)) = near {
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
    let judged = value.to_str().ok_or_else(not_utf8).and_then(|value| match (rule(value), damage::of_value(value)) {
        (judged, None) => judged,
        (Ok(_), Some(allowed)) => Err(allowed),
        // The rule has looked for damage itself.
        (Err(allowed), Some(damage)) if allowed == damage => Err(allowed),
        (Err(allowed), Some(more)) => Err(format!("{allowed} ({more})")),
    });
    judged.map_err(|allowed| SettingsError::Invalid {
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

/// The whole of a small text file, without the byte order mark that some editors begin it with.
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

/// Where a file is no UTF-8.
fn not_text(error: &FromUtf8Error) -> String {
    let bytes = error.as_bytes();
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return "it is UTF-16: save it as UTF-8".to_owned();
    }
    let good = bytes.get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    format!("line {} is not UTF-8", good.split(|byte| *byte == b'\n').count())
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
