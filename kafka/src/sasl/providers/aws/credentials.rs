//! AWS credentials: from environment variables, from the file that AWS's tools share, and from the response of a metadata
//! service. Must not send requests; no error has a secret.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::secret::Secret;
use crate::text::shorten;

/// The largest credentials file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The variables of the AWS SDKs that name credentials and their sources.
const VARIABLES: [&str; 14] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "HOME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_REGION",
];

/// The variables of the AWS SDKs, read once. Not printed: it has secrets.
#[derive(Clone, Default)]
pub struct AwsEnvironment(HashMap<&'static str, String>);

impl AwsEnvironment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self::new(|name| env::var(name).ok())
    }

    /// Variables from another place.
    pub fn new(look_up: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &'static str| look_up(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        Self(VARIABLES.into_iter().filter_map(set).collect())
    }

    /// `AWS_REGION`.
    pub fn region(&self) -> Option<&str> {
        self.get("AWS_REGION")
    }

    /// The value of a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for AwsEnvironment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsEnvironment").finish_non_exhaustive()
    }
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret,
    /// Of temporary credentials.
    pub(crate) session_token: Option<Secret>,
    /// Of temporary credentials, if it is known.
    pub(crate) expires_at: Option<SystemTime>,
}

impl AwsCredentials {
    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    pub(crate) fn of_environment(environment: &AwsEnvironment) -> Option<Self> {
        Some(Self {
            access_key_id: environment.get("AWS_ACCESS_KEY_ID")?.to_owned(),
            secret_access_key: Secret::new(environment.get("AWS_SECRET_ACCESS_KEY")?),
            session_token: environment.get("AWS_SESSION_TOKEN").map(Secret::new),
            expires_at: None,
        })
    }

    /// From a profile of the credentials file. `None` if no profile is chosen and the file does not exist or has no
    /// default profile.
    pub(crate) fn of_profile(environment: &AwsEnvironment) -> Result<Option<Self>, String> {
        let chosen = environment.get("AWS_PROFILE");
        let named = environment.get("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
        let at_home = || environment.get("HOME").map(|home| Path::new(home).join(".aws/credentials"));
        let Some(path) = named.or_else(at_home) else { return Ok(None) };
        let failed = |why: &str| Err(format!("credentials file '{}': {why}", path.display()));
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && chosen.is_none() => return Ok(None),
            Err(error) => return failed(&error.to_string()),
        };
        let profile = chosen.unwrap_or("default");
        match (parse_profile(&text, profile), chosen) {
            (Some(credentials), _) => Ok(Some(credentials)),
            (None, None) => Ok(None),
            (None, Some(_)) => failed(&format!("it has no access key for the profile '{}'", shorten(profile))),
        }
    }

    /// From the response of a metadata service.
    pub(crate) fn of_response(body: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Response {
            access_key_id: String,
            secret_access_key: String,
            token: Option<String>,
            expiration: Option<String>,
        }
        let Ok(response) = serde_json::from_slice::<Response>(body) else {
            return Err("sent a response without credentials".to_owned());
        };
        let expiration = response.expiration.and_then(|text| OffsetDateTime::parse(&text, &Rfc3339).ok());
        Ok(Self {
            access_key_id: response.access_key_id,
            secret_access_key: Secret::new(response.secret_access_key),
            session_token: response.token.filter(|token| !token.is_empty()).map(Secret::new),
            expires_at: expiration.map(SystemTime::from),
        })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// The access key of a profile
/// ([format](https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html)).
fn parse_profile(text: &str, profile: &str) -> Option<AwsCredentials> {
    let mut values: HashMap<&str, &str> = HashMap::new();
    let mut is_inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_inside = section.split(']').next().is_some_and(|name| name.trim() == profile);
        } else if is_inside
            && !line.starts_with(['#', ';'])
            && let Some((key, value)) = line.split_once('=')
        {
            values.insert(key.trim(), value.trim());
        }
    }
    let value = |key| values.get(key).copied().filter(|value| !value.is_empty());
    Some(AwsCredentials {
        access_key_id: value("aws_access_key_id")?.to_owned(),
        secret_access_key: Secret::new(value("aws_secret_access_key")?),
        session_token: value("aws_session_token").map(Secret::new),
        expires_at: None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> AwsEnvironment {
        let variables: HashMap<String, String> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        AwsEnvironment::new(move |name| variables.get(name).cloned())
    }

    #[test]
    fn credentials_of_the_environment() {
        let both = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hush")];
        let credentials = AwsCredentials::of_environment(&environment(&both)).unwrap();
        assert_eq!((&*credentials.access_key_id, credentials.secret_access_key.expose()), ("AKID", "hush"));
        assert_eq!(credentials.session_token, None);
        let with_session = [&both[..], &[("AWS_SESSION_TOKEN", "st")]].concat();
        let credentials = AwsCredentials::of_environment(&environment(&with_session)).unwrap();
        assert_eq!(credentials.session_token, Some(Secret::new("st")));
        for missing in [&both[..1], &both[1..], &[both[0], ("AWS_SECRET_ACCESS_KEY", "")]] {
            assert_eq!(AwsCredentials::of_environment(&environment(missing)), None);
        }
        assert!(!format!("{:?} {credentials:?}", environment(&both)).contains("hush"));
    }

    #[test]
    fn credentials_of_a_profile() {
        let path = std::env::temp_dir().join(format!("kafka-aws-{}", std::process::id()));
        let file = path.to_str().unwrap().to_owned();
        fs::write(
            &path,
            "[default]\naws_access_key_id = ONE\n# aws_access_key_id = NO\naws_secret_access_key=s=1\n\n\
             [ other ]  ; with a session\naws_access_key_id=TWO\naws_secret_access_key = s2\naws_session_token = t2\n\
             [half]\naws_access_key_id=THREE\n",
        )
        .unwrap();
        let of = |variables: &[(&str, &str)]| AwsCredentials::of_profile(&environment(variables));
        let shared = ("AWS_SHARED_CREDENTIALS_FILE", &*file);
        let default = of(&[shared]).unwrap().unwrap();
        assert_eq!((&*default.access_key_id, default.secret_access_key.expose()), ("ONE", "s=1"));
        let other = of(&[shared, ("AWS_PROFILE", "other")]).unwrap().unwrap();
        assert_eq!((&*other.access_key_id, other.session_token), ("TWO", Some(Secret::new("t2"))));
        for missing in ["half", "none"] {
            let error = of(&[shared, ("AWS_PROFILE", missing)]).unwrap_err();
            assert_eq!(error, format!("credentials file '{file}': it has no access key for the profile '{missing}'"));
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(of(&[shared]), Ok(None));
        assert_eq!(of(&[]), Ok(None));
        assert!(of(&[shared, ("AWS_PROFILE", "other")]).unwrap_err().contains("No such file"));
    }

    #[test]
    fn credentials_of_a_metadata_service() {
        let body = br#"{"Code":"Success","AccessKeyId":"A","SecretAccessKey":"hush","Token":"t",
            "Expiration":"2023-11-14T22:13:20Z"}"#;
        let credentials = AwsCredentials::of_response(body).unwrap();
        let expires_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        assert_eq!((&*credentials.access_key_id, credentials.expires_at), ("A", expires_at));
        assert_eq!(credentials.session_token, Some(Secret::new("t")));
        assert!(AwsCredentials::of_response(br#"{"Code":"Failed"}"#).is_err());
    }
}
