//! The variables of SASL, and which belong together. Must not read the files that they name.

use std::path::PathBuf;

use kafka::{SaslExtensions, Secret, TokenEndpoint};

use super::choice::{
    AWS_REGION, CLIENT_SECRET_FILE, ENDPOINT_CA, PASSWORD_FILE, Password, PasswordMechanism, SaslSettings, TOKEN_FILE,
    TokenSource,
};
use crate::settings::error::SettingsError;
use crate::settings::rules;
use crate::settings::variables::Variables;

const MECHANISM: &str = "KAFKA_SASL_MECHANISM";
const USERNAME: &str = "KAFKA_SASL_USERNAME";
const PASSWORD: &str = "KAFKA_SASL_PASSWORD";
const EXTENSIONS: &str = "KAFKA_SASL_OAUTHBEARER_EXTENSIONS";
const ENDPOINT_URL: &str = "KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL";
const CLIENT_ID: &str = "KAFKA_SASL_OAUTHBEARER_CLIENT_ID";
/// Longer than the name of any region.
const AWS_REGION_BYTES_MAX: usize = 63;
const SCOPE: &str = "KAFKA_SASL_OAUTHBEARER_SCOPE";

/// The values of `KAFKA_SASL_MECHANISM`.
#[derive(Clone, Copy)]
enum Mechanism {
    Password(PasswordMechanism),
    OauthBearer,
    AwsMskIam,
}

/// What a variable is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Any,
    Password,
    OauthBearer,
    Endpoint,
    Aws,
}

impl Purpose {
    /// Why a variable has no effect, worded to follow its name.
    fn restriction(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Password => "is for KAFKA_SASL_MECHANISM PLAIN and SCRAM only",
            Self::OauthBearer => "is for KAFKA_SASL_MECHANISM OAUTHBEARER only",
            Self::Aws => "is for KAFKA_SASL_MECHANISM AWS_MSK_IAM only",
            Self::Endpoint => "is for KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL only",
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
    endpoint_url: Option<String>,
    client_id: Option<String>,
    client_secret_file: Option<PathBuf>,
    scope: Option<String>,
    endpoint_ca: Option<PathBuf>,
    aws_region: Option<String>,
}

pub(in crate::settings) fn read(
    variables: &mut Variables,
    wanted: bool,
) -> Result<Option<SaslSettings>, SettingsError> {
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
        Mechanism::OauthBearer => given.with_token()?,
        Mechanism::AwsMskIam => {
            given.refuse_others(&[Purpose::Aws])?;
            let source = TokenSource::AwsMskIam { region: given.aws_region };
            SaslSettings::Token { source, extensions: SaslExtensions::default() }
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
                    ("AWS_MSK_IAM", Mechanism::AwsMskIam),
                ]),
            )?,
            username: variables.optional(USERNAME, rules::name)?,
            password: variables.secret(PASSWORD)?,
            password_file: variables.path(PASSWORD_FILE)?,
            token_file: variables.path(TOKEN_FILE)?,
            extensions: variables.optional(EXTENSIONS, extensions)?,
            endpoint_url: variables.optional(ENDPOINT_URL, endpoint_url)?,
            client_id: variables.optional(CLIENT_ID, rules::name)?,
            client_secret_file: variables.path(CLIENT_SECRET_FILE)?,
            scope: variables.optional(SCOPE, scope)?,
            endpoint_ca: variables.path(ENDPOINT_CA)?,
            aws_region: variables.optional(AWS_REGION, aws_region)?,
        })
    }

    fn names(&self) -> [(bool, &'static str, Purpose); 12] {
        [
            (self.mechanism.is_some(), MECHANISM, Purpose::Any),
            (self.username.is_some(), USERNAME, Purpose::Password),
            (self.password.is_some(), PASSWORD, Purpose::Password),
            (self.password_file.is_some(), PASSWORD_FILE, Purpose::Password),
            (self.token_file.is_some(), TOKEN_FILE, Purpose::OauthBearer),
            (self.extensions.is_some(), EXTENSIONS, Purpose::OauthBearer),
            (self.endpoint_url.is_some(), ENDPOINT_URL, Purpose::OauthBearer),
            (self.client_id.is_some(), CLIENT_ID, Purpose::Endpoint),
            (self.client_secret_file.is_some(), CLIENT_SECRET_FILE, Purpose::Endpoint),
            (self.scope.is_some(), SCOPE, Purpose::Endpoint),
            (self.endpoint_ca.is_some(), ENDPOINT_CA, Purpose::Endpoint),
            (self.aws_region.is_some(), AWS_REGION, Purpose::Aws),
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

impl Given {
    fn with_token(self) -> Result<SaslSettings, SettingsError> {
        let source = match (self.token_file.clone(), self.endpoint_url.clone()) {
            (Some(_), Some(_)) => {
                let problem = "and KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL are both set; allowed: one of them";
                return Err(SettingsError::contradiction(TOKEN_FILE, problem));
            }
            (Some(path), None) => {
                self.refuse_others(&[Purpose::OauthBearer])?;
                TokenSource::File(path)
            }
            (None, Some(url)) => {
                self.refuse_others(&[Purpose::OauthBearer, Purpose::Endpoint])?;
                TokenSource::Endpoint {
                    endpoint: TokenEndpoint {
                        url,
                        client_id: self.client_id.ok_or_else(|| missing(CLIENT_ID, ENDPOINT_URL))?,
                        client_secret_file: self
                            .client_secret_file
                            .ok_or_else(|| missing(CLIENT_SECRET_FILE, ENDPOINT_URL))?,
                        scope: self.scope,
                    },
                    authorities: self.endpoint_ca,
                }
            }
            (None, None) => {
                self.refuse_others(&[Purpose::OauthBearer, Purpose::Endpoint])?;
                let variable = "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE or KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL";
                return Err(missing(variable, "KAFKA_SASL_MECHANISM=OAUTHBEARER"));
            }
        };
        Ok(SaslSettings::Token { source, extensions: self.extensions.unwrap_or_default() })
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

fn endpoint_url(text: &str) -> Result<String, String> {
    let allowed = "https://host/path, or http://localhost/path, without user and '#'";
    TokenEndpoint::accepts(text).then(|| text.to_owned()).ok_or_else(|| allowed.to_owned())
}

/// ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-3.3))
fn scope(text: &str) -> Result<String, String> {
    let is_scope = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !matches!(byte, b'"' | b'\\');
    text.bytes()
        .all(is_scope)
        .then(|| text.to_owned())
        .ok_or_else(|| "scopes of visible ASCII characters other than '\"' and '\\', separated by blanks".to_owned())
}

fn aws_region(text: &str) -> Result<String, String> {
    let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=AWS_REGION_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_region);
    good.then(|| text.to_owned()).ok_or_else(|| "the name of a region, such as eu-central-1".to_owned())
}
