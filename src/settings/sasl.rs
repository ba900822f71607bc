//! The variables of SASL: which belong together, and what the client needs of them. A password is read when a connection needs it; a
//! token and a client secret are read by the client, at each authentication.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kafka::{Credentials, OauthBearer, Sasl, SaslExtensions, SaslMechanism, Secret, TokenFile};

use super::error::SettingsError;
use super::variables::{Variables, read_text};
use super::{damage, rules};

const MECHANISM: &str = "KAFKA_SASL_MECHANISM";
const USERNAME: &str = "KAFKA_SASL_USERNAME";
const PASSWORD: &str = "KAFKA_SASL_PASSWORD";
const PASSWORD_FILE: &str = "KAFKA_SASL_PASSWORD_FILE";
const TOKEN_FILE: &str = "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE";
const EXTENSIONS: &str = "KAFKA_SASL_OAUTHBEARER_EXTENSIONS";

/// How the client authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslSettings {
    /// With a user name and a password.
    Password {
        /// The SASL mechanism.
        mechanism: PasswordMechanism,
        /// The user's name.
        username: String,
        /// The user's password.
        password: Password,
    },
    /// With a token, by OAUTHBEARER.
    Token {
        /// Where tokens come from.
        source: TokenSource,
        /// Sent with each token.
        extensions: SaslExtensions,
    },
}

/// The mechanisms with a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMechanism {
    /// `PLAIN`
    Plain,
    /// `SCRAM-SHA-256`
    ScramSha256,
    /// `SCRAM-SHA-512`
    ScramSha512,
}

/// The source of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// The settings.
    Given(Secret),
    /// A file with nothing else.
    File(PathBuf),
}

/// The source of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// A file that another program renews.
    File(PathBuf),
}

impl SaslSettings {
    /// Reads the password; not a token, which may come later.
    pub(super) fn load(&self) -> Result<Sasl, SettingsError> {
        match self {
            Self::Password { mechanism, username, password } => {
                let password = match password {
                    Password::Given(password) => password.clone(),
                    Password::File(path) => read_password(path)?,
                };
                let credentials = Credentials { username: username.clone(), password };
                Ok(match mechanism {
                    PasswordMechanism::Plain => Sasl::Plain(credentials),
                    PasswordMechanism::ScramSha256 => Sasl::ScramSha256(credentials),
                    PasswordMechanism::ScramSha512 => Sasl::ScramSha512(credentials),
                })
            }
            Self::Token { source: TokenSource::File(path), extensions } => {
                let tokens = Arc::new(TokenFile(path.clone()));
                Ok(Sasl::OauthBearer(OauthBearer { tokens, extensions: extensions.clone() }))
            }
        }
    }

    /// Describes mechanism and user, or the source of tokens, without secrets.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Password { mechanism, username, .. } => format!("{} as '{username}'", mechanism.name()),
            Self::Token { source: TokenSource::File(path), .. } => {
                format!("{} with the token in '{}'", SaslMechanism::OauthBearer, path.display())
            }
        }
    }

    /// A warning if the mechanism sends a secret that whoever reads it can use, for connections without TLS.
    pub(super) fn clear_text_warning(&self) -> Option<&'static str> {
        match self {
            Self::Password { mechanism: PasswordMechanism::Plain, .. } => Some(
                "KAFKA_SASL_MECHANISM=PLAIN over SASL_PLAINTEXT sends the password in clear text; use SASL_SSL or SCRAM",
            ),
            Self::Password { mechanism: PasswordMechanism::ScramSha256 | PasswordMechanism::ScramSha512, .. } => None,
            Self::Token { .. } => Some("OAUTHBEARER over SASL_PLAINTEXT sends the token in clear text; use SASL_SSL"),
        }
    }

    /// The files with secrets, with the names of their variables.
    pub(super) fn secret_files(&self) -> Vec<(&'static str, &Path)> {
        match self {
            Self::Password { password: Password::Given(_), .. } => Vec::new(),
            Self::Password { password: Password::File(path), .. } => vec![(PASSWORD_FILE, path)],
            Self::Token { source: TokenSource::File(path), .. } => vec![(TOKEN_FILE, path)],
        }
    }
}

impl PasswordMechanism {
    fn name(self) -> SaslMechanism {
        match self {
            Self::Plain => SaslMechanism::Plain,
            Self::ScramSha256 => SaslMechanism::ScramSha256,
            Self::ScramSha512 => SaslMechanism::ScramSha512,
        }
    }
}

/// The values of `KAFKA_SASL_MECHANISM`.
#[derive(Clone, Copy)]
enum Mechanism {
    Password(PasswordMechanism),
    OauthBearer,
}

/// What a variable is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Any,
    Password,
    OauthBearer,
}

impl Purpose {
    /// Why a variable has no effect, worded to follow its name.
    fn restriction(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Password => "is for KAFKA_SASL_MECHANISM PLAIN and SCRAM only",
            Self::OauthBearer => "is for KAFKA_SASL_MECHANISM OAUTHBEARER only",
        }
    }
}

/// All variables of SASL.
struct Given {
    mechanism: Option<Mechanism>,
    username: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    extensions: Option<SaslExtensions>,
}

pub(super) fn read(variables: &mut Variables, wanted: bool) -> Result<Option<SaslSettings>, SettingsError> {
    let given = Given::read(variables)?;
    if !wanted {
        return match given.names().into_iter().find(|(is_given, ..)| *is_given) {
            Some((_, variable, _)) => Err(SettingsError::without_effect(variable, "SASL_PLAINTEXT or SASL_SSL")),
            None => Ok(None),
        };
    }
    let settings = match given.mechanism.ok_or_else(|| missing(MECHANISM, "KAFKA_SECURITY_PROTOCOL"))? {
        Mechanism::Password(mechanism) => {
            given.refuse_others(&[Purpose::Password])?;
            given.with_password(mechanism)?
        }
        Mechanism::OauthBearer => {
            given.refuse_others(&[Purpose::OauthBearer])?;
            let path = given.token_file.ok_or_else(|| missing(TOKEN_FILE, MECHANISM))?;
            SaslSettings::Token { source: TokenSource::File(path), extensions: given.extensions.unwrap_or_default() }
        }
    };
    Ok(Some(settings))
}

impl Given {
    fn read(variables: &mut Variables) -> Result<Self, SettingsError> {
        Ok(Self {
            mechanism: variables.optional(
                MECHANISM,
                rules::choice(&[
                    ("PLAIN", Mechanism::Password(PasswordMechanism::Plain)),
                    ("SCRAM-SHA-256", Mechanism::Password(PasswordMechanism::ScramSha256)),
                    ("SCRAM-SHA-512", Mechanism::Password(PasswordMechanism::ScramSha512)),
                    ("OAUTHBEARER", Mechanism::OauthBearer),
                ]),
            )?,
            username: variables.optional(USERNAME, rules::name)?,
            password: variables.secret(PASSWORD)?,
            password_file: variables.path(PASSWORD_FILE)?,
            token_file: variables.path(TOKEN_FILE)?,
            extensions: variables.optional(EXTENSIONS, extensions)?,
        })
    }

    fn names(&self) -> [(bool, &'static str, Purpose); 6] {
        [
            (self.mechanism.is_some(), MECHANISM, Purpose::Any),
            (self.username.is_some(), USERNAME, Purpose::Password),
            (self.password.is_some(), PASSWORD, Purpose::Password),
            (self.password_file.is_some(), PASSWORD_FILE, Purpose::Password),
            (self.token_file.is_some(), TOKEN_FILE, Purpose::OauthBearer),
            (self.extensions.is_some(), EXTENSIONS, Purpose::OauthBearer),
        ]
    }

    /// Refuses a variable without effect.
    fn refuse_others(&self, allowed: &[Purpose]) -> Result<(), SettingsError> {
        let is_other = |purpose| purpose != Purpose::Any && !allowed.contains(&purpose);
        match self.names().into_iter().find(|(is_given, _, purpose)| *is_given && is_other(*purpose)) {
            Some((_, variable, purpose)) => Err(SettingsError::contradiction(variable, purpose.restriction())),
            None => Ok(()),
        }
    }

    fn with_password(self, mechanism: PasswordMechanism) -> Result<SaslSettings, SettingsError> {
        let missing = |variable| missing(variable, "KAFKA_SECURITY_PROTOCOL");
        let password = match (self.password, self.password_file) {
            (Some(_), Some(_)) => {
                let problem = "and KAFKA_SASL_PASSWORD_FILE are both set; allowed: one of them";
                return Err(SettingsError::contradiction(PASSWORD, problem));
            }
            (Some(password), None) => Password::Given(Secret::new(&password)),
            (None, Some(path)) => Password::File(path),
            (None, None) => return Err(missing("KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE")),
        };
        Ok(SaslSettings::Password { mechanism, username: self.username.ok_or_else(|| missing(USERNAME))?, password })
    }
}

fn missing(variable: &'static str, by: &str) -> SettingsError {
    SettingsError::contradiction(variable, format!("is missing: {by} needs it"))
}

fn extensions(text: &str) -> Result<SaslExtensions, String> {
    SaslExtensions::parse(text).ok_or_else(|| {
        "comma-separated key=value, each key once, of letters, and not 'auth'; values of visible ASCII characters and blanks"
            .to_owned()
    })
}

/// Reads a password file, without the line end at its end.
fn read_password(path: &Path) -> Result<Secret, SettingsError> {
    let variable = PASSWORD_FILE;
    let text = read_text(path).map_err(|source| SettingsError::File { variable, path: path.to_owned(), source })?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(SettingsError::Invalid {
            variable,
            value: Some(rules::shorten(&path.to_string_lossy())),
            allowed: "a file that is not empty".to_owned(),
        });
    }
    match damage::of_secret(password) {
        Some(allowed) => Err(SettingsError::Invalid { variable, value: None, allowed }),
        None => Ok(Secret::new(password)),
    }
}
