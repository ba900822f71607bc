//! A bearer token, who provides it, and why there is none. No text of this module contains a token. Must not know
//! connections or where tokens come from.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::secret::Secret;
use crate::text::excerpt;

/// The largest token, in bytes. Tokens of identity providers have a few KiB; brokers accept 512 KiB
/// (`sasl.server.max.receive.size`).
pub(crate) const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// The most characters of an error: a URL or a path, a server's error and its description.
const SHOWN_CHARS_MAX: usize = 700;

/// An access token. Two are equal if their texts are, whatever is known of their expiry.
#[derive(Clone)]
pub struct Token {
    text: Secret,
    expires_at: Option<SystemTime>,
}

impl Token {
    /// Checks that a text can be a token: visible ASCII characters
    /// ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-2.1) allows a part of them).
    ///
    /// # Errors
    /// The text is empty, longer than 64 KiB, or has another character.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let problem = if text.is_empty() {
            "the token is empty"
        } else if text.len() > TOKEN_BYTES_MAX {
            "the token is longer than 64 KiB"
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            "the token has a character that no token can have, such as a blank or a line end"
        } else {
            return Ok(Self { text: Secret::new(text), expires_at: expiry_of_jwt(text) });
        };
        Err(TokenError::Unavailable(problem.to_owned()))
    }

    /// The token itself.
    pub(crate) fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The same token with the lifetime that its issuer grants; the claim `exp` of a JWT is more exact.
    #[cfg(feature = "token-http")]
    pub(crate) fn with_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        let end = || SystemTime::now().checked_add(lifetime?);
        self.expires_at = self.expires_at.or_else(end);
        self
    }

    /// When the token expires: the claim `exp` of a JWT, whose signature is not checked, or the end of the
    /// lifetime that its issuer grants.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Time since the token expired; `None` if it has not, or its expiry is unknown.
    pub(crate) fn expired_for(&self) -> Option<Duration> {
        self.expires_at.and_then(|at| SystemTime::now().duration_since(at).ok())
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("text", &self.text).field("expires_at", &self.expires_at).finish()
    }
}

/// The claim `exp` of a JSON Web Token ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4)); `None` for
/// other tokens.
fn expiry_of_jwt(text: &str) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let mut parts = text.split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let Claims { exp } = serde_json::from_slice(&claims).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(exp).ok()?)
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// There may be one later, without a change of settings: a file that is missing, a server that does not respond.
    Unavailable(String),
    /// There is none until somebody changes a setting or the credentials.
    Refused(String),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(detail) | Self::Refused(detail) => f.write_str(&excerpt(detail, SHOWN_CHARS_MAX)),
        }
    }
}

impl std::error::Error for TokenError {}

/// A source of tokens. It is asked at each authentication and re-authentication, from several threads.
pub trait TokenProvider: fmt::Debug + Send + Sync {
    /// A token to authenticate with now.
    ///
    /// # Errors
    /// There is none, or not within the timeout.
    fn token(&self, timeout: Duration) -> Result<Token, TokenError>;

    /// The broker has rejected a token: a provider that keeps tokens must not return it again.
    fn discard(&self, _rejected: &Token) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_visible_ascii() {
        for good in ["a", "abc.def.ghi", "a~b+c/d=="] {
            assert_eq!(Token::parse(good).unwrap().expose(), good);
        }
        for bad in ["", " ", "a b", "a\n", "a\u{1}b", "ä", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
            assert!(matches!(Token::parse(bad), Err(TokenError::Unavailable(_))), "{bad:?}");
        }
    }

    #[test]
    fn the_expiry_is_that_of_a_jwt() {
        // {"alg":"none"}, {"exp":1700000000}, {"exp":1700000000.5,"sub":"a"}, {"exp":-1}, {"exp":1e300}, {"sub":"a"}
        let expiry = |claims: &str| Token::parse(&format!("eyJhbGciOiJub25lIn0.{claims}.c2ln")).unwrap().expires_at();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(expiry("eyJleHAiOjE3MDAwMDAwMDB9"), Some(at));
        assert_eq!(expiry("eyJleHAiOjE3MDAwMDAwMDAuNSwic3ViIjoiYSJ9"), Some(at + Duration::from_millis(500)));
        for without in ["eyJleHAiOi0xfQ", "eyJleHAiOjFlMzAwfQ", "eyJzdWIiOiJhIn0", "%", ""] {
            assert_eq!(expiry(without), None, "{without}");
        }
        assert_eq!(Token::parse("opaque").unwrap().expires_at(), None);
        #[cfg(feature = "token-http")]
        {
            let hour = Duration::from_hours(1);
            let left = |token: Token| token.expires_at().unwrap().duration_since(SystemTime::now()).unwrap();
            let opaque = Token::parse("opaque").unwrap();
            assert_eq!(opaque.clone().with_lifetime(None).expires_at(), None);
            assert!((hour / 2..=hour).contains(&left(opaque.with_lifetime(Some(hour)))));
            let jwt = Token::parse("a.eyJleHAiOjE3MDAwMDAwMDB9.c").unwrap().with_lifetime(Some(hour));
            assert_eq!(jwt.expires_at(), Some(at), "its claim is more exact");
        }
        assert!(Token::parse("a.eyJleHAiOjE3MDAwMDAwMDB9.c").unwrap().expired_for().is_some());
    }

    #[test]
    fn a_token_is_not_shown() {
        assert!(!format!("{:?}", Token::parse("s3cr3t").unwrap()).contains("s3cr3t"));
    }
}
