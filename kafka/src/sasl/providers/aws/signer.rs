//! Signs tokens as the signers of AWS do (<https://github.com/aws/aws-msk-iam-sasl-signer-python>): a presigned URL of
//! the action `kafka-cluster:Connect`
//! ([Signature Version 4](https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html)) in base64.
//! `ring` has the cryptography. Must not know where credentials come from.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use time::UtcDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::credentials::AwsCredentials;
use crate::sasl::providers::encoding::percent_encode;

/// How long a token is valid: as long as those of AWS's signers.
pub(crate) const LIFETIME: Duration = Duration::from_mins(15);

const ACTION: &str = "kafka-cluster:Connect";
const SERVICE: &str = "kafka-cluster";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// In the brokers' logs.
const USER_AGENT: &str = concat!("enterprise-consumer/", env!("CARGO_PKG_VERSION"));

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]");
const TIME: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// The token; `None` if the time cannot be formatted.
pub(crate) fn sign(region: &str, credentials: &AwsCredentials, now: SystemTime) -> Option<String> {
    let now = UtcDateTime::from(now);
    let (date, time) = (now.format(DATE).ok()?, now.format(TIME).ok()?);
    let host = format!("kafka.{region}.amazonaws.com");
    let scope = format!("{date}/{region}/{SERVICE}/aws4_request");
    let lifetime = LIFETIME.as_secs().to_string();
    let credential = format!("{}/{scope}", credentials.access_key_id);
    // In the order of their names, as they are signed.
    let mut query = vec![
        ("Action", ACTION),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", &credential),
        ("X-Amz-Date", &time),
        ("X-Amz-Expires", &lifetime),
    ];
    query.extend(credentials.session_token.as_ref().map(|token| ("X-Amz-Security-Token", token.expose())));
    query.push(("X-Amz-SignedHeaders", "host"));
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
    let query = query.join("&");
    let request = format!("GET\n/\n{query}\nhost:{host}\n\nhost\n{}", hash(b""));
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(request.as_bytes()));
    let secret = format!("AWS4{}", credentials.secret_access_key.expose());
    let key = [date.as_str(), region, SERVICE, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| mac(&key, part.as_bytes()));
    let signature = hex(&mac(&key, to_sign.as_bytes()));
    let url = format!("https://{host}/?{query}&X-Amz-Signature={signature}&User-Agent={}", percent_encode(USER_AGENT));
    Some(URL_SAFE_NO_PAD.encode(url))
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::secret::Secret;

    /// Signed by AWS's signer for Python; the file says how.
    const VECTORS: &str = include_str!("vectors.txt");

    fn parameters(token: &str) -> BTreeSet<String> {
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap();
        let (host, query) = url.split_once("/?").unwrap();
        let of_software = |parameter: &&str| !parameter.starts_with("User-Agent=");
        query.split('&').filter(of_software).chain([host]).map(str::to_owned).collect()
    }

    #[test]
    fn tokens_are_those_of_the_signer_of_aws() {
        let mut checked = 0;
        for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
            let [region, seconds, id, secret, session, expected] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let credentials = AwsCredentials {
                access_key_id: id.to_owned(),
                secret_access_key: Secret::new(secret),
                session_token: (session != "-").then(|| Secret::new(session)),
                expires_at: None,
            };
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.parse().unwrap());
            let token = sign(region, &credentials, now).unwrap();
            assert_eq!(parameters(&token), parameters(expected), "{line}");
            checked += 1;
        }
        assert_eq!(checked, 3);
    }

    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html> derives a key for IAM.
    #[test]
    fn the_signing_key_of_the_documentation() {
        let secret = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
        let parts = ["20120215", "us-east-1", "iam", "aws4_request"];
        let key = parts.iter().fold(secret, |key, part| mac(&key, part.as_bytes()));
        assert_eq!(hex(&key), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    }
}
