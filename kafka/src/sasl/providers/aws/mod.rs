//! Tokens for Amazon MSK with IAM: each is signed here, with AWS credentials from the places where AWS's SDKs look for
//! them. Must not know brokers.

pub(crate) mod credentials;
mod metadata;
mod signer;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use self::credentials::{AwsCredentials, AwsEnvironment};
use super::cache::{Cache, Issued};
use super::http::Http;
use crate::sasl::token::{Token, TokenError, TokenProvider};

/// Signs tokens for the brokers of one region.
///
/// Credentials come from the first of these that has some: environment variables, a profile of the credentials file, the
/// metadata service of the container, the metadata service of the EC2 instance.
#[derive(Debug)]
pub struct AwsMskIam {
    region: String,
    environment: AwsEnvironment,
    http: Http,
    cache: Cache,
}

impl AwsMskIam {
    /// Sends no request yet.
    pub fn new(region: impl Into<String>, environment: AwsEnvironment) -> Self {
        Self { region: region.into(), environment, http: Http::without_proxy(), cache: Cache::default() }
    }

    fn sign(&self, timeout: Duration) -> Result<Issued, TokenError> {
        let unavailable = |why: String| TokenError::Unavailable(format!("AWS credentials: {why}"));
        let credentials = self.find_credentials(timeout).map_err(unavailable)?;
        let now = SystemTime::now();
        let token = signer::sign(&self.region, &credentials, now)
            .ok_or_else(|| unavailable("this machine's clock is wrong".to_owned()))?;
        // A token ends with the credentials that signed it.
        let left = credentials.expires_at.map(|end| end.duration_since(now).unwrap_or_default());
        let lifetime = left.map_or(signer::LIFETIME, |left| left.min(signer::LIFETIME));
        Ok(Issued { token: Token::parse(&token)?, lifetime: Some(lifetime) })
    }

    fn find_credentials(&self, timeout: Duration) -> Result<AwsCredentials, String> {
        if let Some(credentials) = AwsCredentials::of_environment(&self.environment) {
            return Ok(credentials);
        }
        if let Some(credentials) = AwsCredentials::of_profile(&self.environment)? {
            return Ok(credentials);
        }
        let container = metadata::of_container(&self.http, &self.environment, timeout);
        let found = container.or_else(|| metadata::of_instance(&self.http, &self.environment, timeout));
        found.unwrap_or_else(|| Err("none were found".to_owned())).map_err(|why| {
            match self.environment.get("AWS_WEB_IDENTITY_TOKEN_FILE") {
                Some(_) => format!("{why}; AWS_WEB_IDENTITY_TOKEN_FILE is not supported: use EKS Pod Identity"),
                None => why,
            }
        })
    }
}

impl TokenProvider for AwsMskIam {
    fn token(&self, timeout: Duration) -> Result<Token, TokenError> {
        self.cache.get(timeout, |timeout| self.sign(timeout))
    }

    fn discard(&self, rejected: &Token) {
        self.cache.discard(rejected);
    }
}
