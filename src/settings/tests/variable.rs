//! One row of the tables of variables, and how it is checked.

use std::ffi::OsString;

use crate::runtime::error_chain::ErrorChain;
use crate::settings::Settings;

/// What a variable accepts and what it refuses.
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// The setting, as `Debug` prints it.
    pub(super) get: fn(&Settings) -> String,
    /// Values with the setting that each gives.
    pub(super) accepts: &'static [(&'static str, &'static str)],
    /// What the refusal says is allowed.
    pub(super) allowed: &'static str,
    pub(super) refuses: &'static [&'static str],
}

/// An empty settings file, so that no `.env` of this machine is read.
pub(super) fn no_file() -> tempfile::NamedTempFile {
    tempfile::NamedTempFile::new().unwrap()
}

pub(super) fn load(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let environment = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Settings::load(environment, Some(no_file().path())).map_err(|error| ErrorChain(&error).to_string())
}

pub(super) fn debug(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

impl Variable {
    pub(super) fn check(&self) {
        for (value, expected) in self.accepts {
            let settings = load(&[(self.name, value)]).unwrap_or_else(|line| panic!("{line}"));
            assert_eq!((self.get)(&settings), *expected, "{}={value}", self.name);
            assert_eq!(settings.warnings, Vec::<String>::new(), "{}={value}", self.name);
        }
        self.check_refused(self.refuses);
    }

    pub(super) fn check_refused(&self, values: &[&str]) {
        for value in values {
            let expected = format!("{} is '{value}'; allowed: {}", self.name, self.allowed);
            assert_eq!(load(&[(self.name, value)]), Err(expected));
        }
    }
}
