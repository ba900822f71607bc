//! A file that holds a secret alone. Must not know what the secret is for.

use std::path::Path;

use kafka::Secret;

use super::error::SettingsError;
use super::variables::read_text;
use super::{damage, rules};

/// Reads the file of a variable, without the line end at its end.
pub(super) fn read_secret(variable: &'static str, path: &Path) -> Result<Secret, SettingsError> {
    let text = read_text(path).map_err(|source| SettingsError::File { variable, path: path.to_owned(), source })?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(SettingsError::Invalid {
            variable,
            value: Some(rules::shorten(&path.to_string_lossy())),
            allowed: "a file that is not empty".to_owned(),
        });
    }
    match damage::of_secret(secret) {
        Some(allowed) => Err(SettingsError::Invalid { variable, value: None, allowed }),
        None => Ok(Secret::new(secret)),
    }
}
