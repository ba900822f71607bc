//! The variables of TLS, and what they and those of SASL mean together. Certificates, keys and passwords are read from their files when a
//! connection needs them, not with the settings: `status` works without them, and `check` reports them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use kafka::{ClientCertificate, Tls, TlsFile, TlsFiles};

use super::error::SettingsError;
use super::rules;
use super::sasl::{self, SaslSettings};
use super::variables::Variables;

const CA: &str = "KAFKA_SSL_CA_LOCATION";
const CERTIFICATE: &str = "KAFKA_SSL_CERTIFICATE_LOCATION";
const KEY: &str = "KAFKA_SSL_KEY_LOCATION";

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
            parts.push(sasl.describe());
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
        if self.tls.is_none() {
            warnings.extend(self.sasl.as_ref().and_then(SaslSettings::clear_text_warning).map(str::to_owned));
        }
        let key = self.tls.as_ref().and_then(|tls| tls.client.as_ref()).map(|client| (KEY, client.key.as_path()));
        let secrets = self.sasl.iter().flat_map(SaslSettings::secret_files);
        for (variable, path) in key.into_iter().chain(secrets).filter(|(_, path)| is_readable_by_all(path)) {
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
        let tls = [
            (CA, authorities),
            (CERTIFICATE, client.map(|client| &client.certificate)),
            (KEY, client.map(|client| &client.key)),
        ];
        let tls = tls.into_iter().filter_map(|(variable, path)| Some((variable, path?.as_path())));
        let sasl = self.sasl.iter().flat_map(|sasl| [sasl.secret_files(), sasl.other_files()].concat());
        tls.chain(sasl).collect()
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
    Ok(Security { tls: tls(variables, with_tls)?, sasl: sasl::read(variables, with_sasl)? })
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

/// Refuses a setting without effect.
fn refuse_given<T, const N: usize>(given: [(bool, &'static str); N], needed: &str) -> Result<Option<T>, SettingsError> {
    match given.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, variable)) => Err(SettingsError::without_effect(variable, needed)),
        None => Ok(None),
    }
}
