//! The variables of TLS and SASL. Certificates, keys and passwords are read from their files when a connection needs them, not with
//! the settings: `status` works without them, and `check` reports them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kafka::{ClientCertificate, Sasl, SaslMechanism, Secret, Tls, TlsFile, TlsFiles};

use super::error::SettingsError;
use super::variables::{Variables, read_text};
use super::{damage, rules};

const CA: &str = "KAFKA_SSL_CA_LOCATION";
const CERTIFICATE: &str = "KAFKA_SSL_CERTIFICATE_LOCATION";
const KEY: &str = "KAFKA_SSL_KEY_LOCATION";
const PASSWORD: &str = "KAFKA_SASL_PASSWORD";
const PASSWORD_FILE: &str = "KAFKA_SASL_PASSWORD_FILE";

/// Permission bit with which every user may read a file.
const READABLE_BY_ALL: u32 = 0o004;

/// Encryption and authentication; by default neither.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Security {
    /// Set for `SSL` and `SASL_SSL`.
    pub tls: Option<TlsFiles>,
    /// Set for `SASL_PLAINTEXT` and `SASL_SSL`.
    pub sasl: Option<SaslSettings>,
}

/// The SASL credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslSettings {
    /// The SASL mechanism.
    pub mechanism: SaslMechanism,
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Password,
}

/// The source of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// The settings.
    Given(Secret),
    /// A file with nothing else.
    File(PathBuf),
}

impl Security {
    /// Reads certificates, key and password.
    pub fn load(&self) -> Result<kafka::Security, SettingsError> {
        let tls = self.tls.as_ref().map(Tls::load).transpose().map_err(|source| {
            let variable = match source.file() {
                TlsFile::Authorities => CA,
                TlsFile::Certificate => CERTIFICATE,
                TlsFile::Key => KEY,
            };
            SettingsError::Tls { variable, source }
        })?;
        let sasl = self.sasl.as_ref().map(SaslSettings::load).transpose()?;
        Ok(kafka::Security { tls, sasl })
    }

    /// Describes protocol, mechanism, user and files, without secrets.
    pub fn describe(&self) -> String {
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => return "PLAINTEXT: neither encrypted nor authenticated".to_owned(),
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        };
        let mut parts = Vec::new();
        if let Some(sasl) = &self.sasl {
            parts.push(format!("{} as '{}'", sasl.mechanism, sasl.username));
        }
        match &self.tls {
            None => parts.push("not encrypted".to_owned()),
            Some(TlsFiles { authorities, client }) => {
                parts.push(match authorities {
                    Some(path) => format!("authorities from '{}'", path.display()),
                    None => "the system's authorities".to_owned(),
                });
                parts.extend(client.as_ref().map(|own| format!("client certificate '{}'", own.certificate.display())));
            }
        }
        format!("{protocol}: {}", parts.join(", "))
    }

    /// Warnings about settings that are less secure than they look.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.tls.is_none() && self.sasl.as_ref().is_some_and(|sasl| sasl.mechanism == SaslMechanism::Plain) {
            warnings.push(
                "KAFKA_SASL_MECHANISM=PLAIN over SASL_PLAINTEXT sends the password in clear text; use SASL_SSL \
                 or SCRAM"
                    .to_owned(),
            );
        }
        let key = self.tls.as_ref().and_then(|tls| tls.client.as_ref()).map(|client| (KEY, &client.key));
        let password = self.sasl.as_ref().and_then(SaslSettings::password_file).map(|path| (PASSWORD_FILE, path));
        for (variable, path) in key.into_iter().chain(password).filter(|(_, path)| is_readable_by_all(path)) {
            warnings.push(format!(
                "{variable}: every user of this machine may read '{}'; let only the service's user read it",
                path.display()
            ));
        }
        warnings
    }

    /// The files of certificates, key and password, with the names of their variables.
    pub(super) fn files(&self) -> Vec<(&'static str, &Path)> {
        let authorities = self.tls.as_ref().and_then(|tls| tls.authorities.as_ref());
        let client = self.tls.as_ref().and_then(|tls| tls.client.as_ref());
        let password = self.sasl.as_ref().and_then(SaslSettings::password_file);
        [
            (CA, authorities),
            (CERTIFICATE, client.map(|client| &client.certificate)),
            (KEY, client.map(|client| &client.key)),
            (PASSWORD_FILE, password),
        ]
        .into_iter()
        .filter_map(|(variable, path)| Some((variable, path?.as_path())))
        .collect()
    }
}

impl SaslSettings {
    fn password_file(&self) -> Option<&PathBuf> {
        match &self.password {
            Password::Given(_) => None,
            Password::File(path) => Some(path),
        }
    }

    fn load(&self) -> Result<Sasl, SettingsError> {
        let password = match &self.password {
            Password::Given(password) => password.clone(),
            Password::File(path) => read_secret(PASSWORD_FILE, path)?,
        };
        Ok(Sasl { mechanism: self.mechanism, username: self.username.clone(), password })
    }
}

pub(super) fn is_readable_by_all(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & READABLE_BY_ALL != 0)
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

fn tls(variables: &mut Variables, wanted: bool) -> Result<Option<TlsFiles>, SettingsError> {
    let (authorities, certificate, key) = (variables.path(CA)?, variables.path(CERTIFICATE)?, variables.path(KEY)?);
    let given = [(authorities.is_some(), CA), (certificate.is_some(), CERTIFICATE), (key.is_some(), KEY)];
    if !wanted {
        return refuse_given(given, "SSL or SASL_SSL");
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            let problem = "is missing: KAFKA_SSL_CERTIFICATE_LOCATION needs it";
            return Err(SettingsError::contradiction(KEY, problem));
        }
        (None, Some(_)) => {
            let problem = "is missing: KAFKA_SSL_KEY_LOCATION needs it";
            return Err(SettingsError::contradiction(CERTIFICATE, problem));
        }
    };
    Ok(Some(TlsFiles { authorities, client }))
}

fn sasl(variables: &mut Variables, wanted: bool) -> Result<Option<SaslSettings>, SettingsError> {
    let mechanism = variables.optional(
        "KAFKA_SASL_MECHANISM",
        rules::choice(&[
            ("PLAIN", SaslMechanism::Plain),
            ("SCRAM-SHA-256", SaslMechanism::ScramSha256),
            ("SCRAM-SHA-512", SaslMechanism::ScramSha512),
        ]),
    )?;
    let username = variables.optional("KAFKA_SASL_USERNAME", rules::name)?;
    let password = variables.secret(PASSWORD)?;
    let password_file = variables.path(PASSWORD_FILE)?;
    let given = [
        (mechanism.is_some(), "KAFKA_SASL_MECHANISM"),
        (username.is_some(), "KAFKA_SASL_USERNAME"),
        (password.is_some(), PASSWORD),
        (password_file.is_some(), PASSWORD_FILE),
    ];
    if !wanted {
        return refuse_given(given, "SASL_PLAINTEXT or SASL_SSL");
    }
    let missing = |variable| SettingsError::contradiction(variable, "is missing: KAFKA_SECURITY_PROTOCOL needs it");
    let password = match (password, password_file) {
        (Some(_), Some(_)) => {
            let problem = "and KAFKA_SASL_PASSWORD_FILE are both set; allowed: one of them";
            return Err(SettingsError::contradiction(PASSWORD, problem));
        }
        (Some(password), None) => Password::Given(Secret::new(&password)),
        (None, Some(path)) => Password::File(path),
        (None, None) => return Err(missing("KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE")),
    };
    Ok(Some(SaslSettings {
        mechanism: mechanism.ok_or_else(|| missing("KAFKA_SASL_MECHANISM"))?,
        username: username.ok_or_else(|| missing("KAFKA_SASL_USERNAME"))?,
        password,
    }))
}

/// Refuses a setting without effect: an operator would believe that the connection is secure.
fn refuse_given<T, const N: usize>(given: [(bool, &'static str); N], needed: &str) -> Result<Option<T>, SettingsError> {
    match given.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, variable)) => Err(SettingsError::contradiction(
            variable,
            format!("is set, but KAFKA_SECURITY_PROTOCOL is not {needed}, so it would have no effect"),
        )),
        None => Ok(None),
    }
}

/// Reads the file of a secret, without the line end at its end.
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
