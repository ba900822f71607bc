//! Tokens from the token endpoint of an authorization server, by the client credentials grant
//! ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-4.4),
//! [KIP-768](https://cwiki.apache.org/confluence/pages/viewpage.action?pageId=186877575)). Must not know brokers.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use ureq::http::Request;

use super::cache::{Cache, Issued};
use super::encoding::percent_encode;
use super::endpoint::TokenEndpoint;
use super::http::{Http, HttpError};
use super::secret_file;
use crate::sasl::token::{Token, TokenError, TokenProvider};
use crate::text::shorten;
use crate::tls::Authorities;

/// Errors after which a retry does not help until somebody changes the client or its settings
/// ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
const REFUSALS: [&str; 6] = [
    "invalid_client",
    "unauthorized_client",
    "invalid_scope",
    "invalid_request",
    "invalid_grant",
    "unsupported_grant_type",
];

/// Requests tokens from an endpoint, and keeps each one for 80 % of its lifetime.
#[derive(Debug)]
pub struct ClientCredentials {
    endpoint: TokenEndpoint,
    http: Http,
    cache: Cache,
}

impl ClientCredentials {
    /// Trusts these authorities. Sends no request yet.
    pub fn new(endpoint: TokenEndpoint, authorities: &Authorities) -> Self {
        Self { endpoint, http: Http::new(authorities), cache: Cache::default() }
    }

    fn request(&self, timeout: Duration) -> Result<Issued, TokenError> {
        let secret = secret_file::read(&self.endpoint.client_secret_file)
            .map_err(|why| TokenError::Unavailable(format!("client secret file {why}")))?;
        let credentials = format!("{}:{}", percent_encode(&self.endpoint.client_id), percent_encode(secret.expose()));
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.endpoint.scope {
            form.extend(["&scope=", &percent_encode(scope)]);
        }
        let request = Request::post(&self.endpoint.url)
            .header("Authorization", format!("Basic {}", STANDARD.encode(credentials)))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept", "application/json")
            .body(form)
            .map_err(|_| {
                TokenError::Refused(format!(
                    "token endpoint '{}': no request can be sent there",
                    self.endpoint.shown_url()
                ))
            })?;
        let response = self.http.send(request, timeout).map_err(|error| match error {
            HttpError::Tls(_) => {
                TokenError::Refused(format!("token endpoint '{}': {error}", self.endpoint.shown_url()))
            }
            HttpError::Failed(_) => {
                TokenError::Unavailable(format!("token endpoint '{}': {error}", self.endpoint.shown_url()))
            }
        })?;
        parse(response.status, &response.body).map_err(|error| match error {
            TokenError::Refused(why) => {
                TokenError::Refused(format!("token endpoint '{}' {why}", self.endpoint.shown_url()))
            }
            TokenError::Unavailable(why) => {
                TokenError::Unavailable(format!("token endpoint '{}' {why}", self.endpoint.shown_url()))
            }
        })
    }
}

impl TokenProvider for ClientCredentials {
    fn token(&self, timeout: Duration) -> Result<Token, TokenError> {
        self.cache.get(timeout, |timeout| self.request(timeout))
    }

    fn discard(&self, rejected: &Token) {
        self.cache.discard(rejected);
    }
}

/// The token in a response. An error never quotes a response that may have one.
fn parse(status: u16, body: &[u8]) -> Result<Issued, TokenError> {
    if status == 200 { accepted(body).map_err(TokenError::Unavailable) } else { Err(refused(status, body)) }
}

/// A response of success ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
fn accepted(body: &[u8]) -> Result<Issued, String> {
    #[derive(Deserialize)]
    struct Success {
        access_token: String,
        token_type: Option<String>,
        expires_in: Option<Seconds>,
    }
    let success: Success = serde_json::from_slice(body)
        .map_err(|error| format!("sent a malformed response (line {}, column {})", error.line(), error.column()))?;
    if let Some(other) = success.token_type.filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(format!("issued a token of the type '{}', not 'Bearer'", shorten(&other)));
    }
    let token = Token::parse(&success.access_token).map_err(|error| format!("sent a malformed response: {error}"))?;
    let until_expiry = || token.expires_at()?.duration_since(SystemTime::now()).ok();
    let lifetime = success.expires_in.and_then(Seconds::duration).or_else(until_expiry);
    Ok(Issued { token, lifetime })
}

/// A number of seconds, which some servers send as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    fn duration(self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(seconds) => seconds,
            Self::Text(text) => text.parse().ok()?,
        };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// The error in a response ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)); any other response may be
/// that of a proxy, or of a server that starts.
fn refused(status: u16, body: &[u8]) -> TokenError {
    #[derive(Deserialize)]
    struct Failure {
        error: String,
        error_description: Option<String>,
    }
    let Ok(Failure { error, error_description }) = serde_json::from_slice(body) else {
        return TokenError::Unavailable(format!("responded with the status {status}"));
    };
    let mut text = format!("responded with the status {status}: '{}'", shorten(&error));
    if let Some(description) = error_description {
        text.extend([": '", &shorten(&description), "'"]);
    }
    let is_of_client = (400..500).contains(&status) && REFUSALS.contains(&error.as_str());
    if is_of_client { TokenError::Refused(text) } else { TokenError::Unavailable(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lifetime_is_that_of_the_response_or_of_the_token() {
        let lifetime = |rest: &str| {
            parse(200, format!(r#"{{"access_token":"t","token_type":"bearer"{rest}}}"#).as_bytes()).unwrap().lifetime
        };
        let hour = Some(Duration::from_hours(1));
        assert_eq!([lifetime(r#","expires_in":3600"#), lifetime(r#","expires_in":"3600""#)], [hour, hour]);
        for unknown in ["", r#","expires_in":null"#, r#","expires_in":"soon""#, r#","expires_in":-1"#] {
            assert_eq!(lifetime(unknown), None, "{unknown}");
        }
        let end = SystemTime::now() + Duration::from_hours(1);
        let exp = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{exp}}}"#));
        let issued = parse(200, format!(r#"{{"access_token":"e30.{claims}.x"}}"#).as_bytes()).unwrap();
        let lifetime = issued.lifetime.unwrap();
        assert!(lifetime > Duration::from_secs(3500) && lifetime <= Duration::from_hours(1), "{lifetime:?}");
    }
}
