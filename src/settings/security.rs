//! How a connection to a broker is encrypted and who we are there. Reads the files that hold secrets, not certificates.

use std::fmt;
use std::path::{Path, PathBuf};

use super::variables::{Variables, read_text};
use super::{SettingsError, rules};

/// Encryption and authentication; neither by default.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Security {
    /// Set for `SSL` and `SASL_SSL`.
    pub tls: Option<Tls>,
    /// Set for `SASL_PLAINTEXT` and `SASL_SSL`.
    pub sasl: Option<Sasl>,
}

/// Encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file with the authorities to trust; `None`: the system's.
    pub ca: Option<PathBuf>,
    /// For mutual TLS.
    pub client: Option<ClientCertificate>,
}

/// Who we are in TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with its key.
    pub key: PathBuf,
}

/// Who we are in SASL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// How it is proved.
    pub mechanism: SaslMechanism,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Secret,
}

/// How we prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaslMechanism {
    /// [RFC 4616](https://www.rfc-editor.org/rfc/rfc4616).
    Plain,
    /// [RFC 7677](https://www.rfc-editor.org/rfc/rfc7677).
    ScramSha256,
    /// As SCRAM-SHA-256, with SHA-512.
    ScramSha512,
}

/// Text that no log and no error may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

pub(super) fn read(variables: &mut Variables) -> Result<Security, SettingsError> {
    let (with_tls, with_sasl) = variables.or(
        "KAFKA_SECURITY_PROTOCOL",
        (false, false),
        rules::choice(&[
            ("PLAINTEXT", (false, false)),
            ("SSL", (true, false)),
            ("SASL_PLAINTEXT", (false, true)),
            ("SASL_SSL", (true, true)),
        ]),
    )?;
    Ok(Security { tls: tls(variables, with_tls)?, sasl: sasl(variables, with_sasl)? })
}

fn tls(variables: &mut Variables, wanted: bool) -> Result<Option<Tls>, SettingsError> {
    let ca = variables.path("KAFKA_SSL_CA_LOCATION");
    let certificate = variables.path("KAFKA_SSL_CERTIFICATE_LOCATION");
    let key = variables.path("KAFKA_SSL_KEY_LOCATION");
    let given = [
        (ca.is_some(), "KAFKA_SSL_CA_LOCATION"),
        (certificate.is_some(), "KAFKA_SSL_CERTIFICATE_LOCATION"),
        (key.is_some(), "KAFKA_SSL_KEY_LOCATION"),
    ];
    if !wanted {
        return refuse_given(given, "SSL or SASL_SSL");
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            let problem = "is missing: KAFKA_SSL_CERTIFICATE_LOCATION needs it";
            return Err(SettingsError::contradiction("KAFKA_SSL_KEY_LOCATION", problem));
        }
        (None, Some(_)) => {
            let problem = "is missing: KAFKA_SSL_KEY_LOCATION needs it";
            return Err(SettingsError::contradiction("KAFKA_SSL_CERTIFICATE_LOCATION", problem));
        }
    };
    Ok(Some(Tls { ca, client }))
}

fn sasl(variables: &mut Variables, wanted: bool) -> Result<Option<Sasl>, SettingsError> {
    let mechanism = variables.optional(
        "KAFKA_SASL_MECHANISM",
        rules::choice(&[
            ("PLAIN", SaslMechanism::Plain),
            ("SCRAM-SHA-256", SaslMechanism::ScramSha256),
            ("SCRAM-SHA-512", SaslMechanism::ScramSha512),
        ]),
    )?;
    let username = variables.optional("KAFKA_SASL_USERNAME", rules::name)?;
    let password = variables.secret("KAFKA_SASL_PASSWORD")?;
    let password_file = variables.path("KAFKA_SASL_PASSWORD_FILE");
    let given = [
        (mechanism.is_some(), "KAFKA_SASL_MECHANISM"),
        (username.is_some(), "KAFKA_SASL_USERNAME"),
        (password.is_some(), "KAFKA_SASL_PASSWORD"),
        (password_file.is_some(), "KAFKA_SASL_PASSWORD_FILE"),
    ];
    if !wanted {
        return refuse_given(given, "SASL_PLAINTEXT or SASL_SSL");
    }
    let missing = |variable| SettingsError::contradiction(variable, "is missing: KAFKA_SECURITY_PROTOCOL needs it");
    let password = match (password, password_file) {
        (Some(_), Some(_)) => {
            let problem = "and KAFKA_SASL_PASSWORD_FILE are both set; allowed: one of them";
            return Err(SettingsError::contradiction("KAFKA_SASL_PASSWORD", problem));
        }
        (Some(password), None) => password,
        (None, Some(path)) => read_password(&path)?,
        (None, None) => return Err(missing("KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE")),
    };
    Ok(Some(Sasl {
        mechanism: mechanism.ok_or_else(|| missing("KAFKA_SASL_MECHANISM"))?,
        username: username.ok_or_else(|| missing("KAFKA_SASL_USERNAME"))?,
        password: Secret(password),
    }))
}

/// A setting without effect is a mistake: somebody believes that the connection is safe.
fn refuse_given<T, const N: usize>(given: [(bool, &'static str); N], needed: &str) -> Result<Option<T>, SettingsError> {
    match given.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, variable)) => Err(SettingsError::contradiction(
            variable,
            format!("is set, but KAFKA_SECURITY_PROTOCOL is not {needed}, so it would have no effect"),
        )),
        None => Ok(None),
    }
}

/// The file's text without the line end that editors leave.
fn read_password(path: &Path) -> Result<String, SettingsError> {
    let variable = "KAFKA_SASL_PASSWORD_FILE";
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
    Ok(password.to_owned())
}
