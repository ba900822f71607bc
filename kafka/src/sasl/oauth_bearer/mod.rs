//! The messages of the mechanism OAUTHBEARER ([RFC 7628](https://www.rfc-editor.org/rfc/rfc7628),
//! [KIP-255](https://cwiki.apache.org/confluence/pages/viewpage.action?pageId=75968876)). The first one contains the
//! token. Must not know connections or where tokens come from.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::token::{Token, TokenProvider};

/// No channel binding, no authorization identity.
const GS2_HEADER: &str = "n,,";
/// Ends each key-value pair, and the list of them (`kvsep`).
const SEPARATOR: char = '\u{1}';
/// The client's reply to an error of the server, after which the server ends the exchange
/// ([RFC 7628](https://www.rfc-editor.org/rfc/rfc7628#section-3.2.3)).
pub(crate) const ERROR_REPLY: &[u8] = b"\x01";
/// The key of the token, which no extension may have.
const AUTH: &str = "auth";
/// The most extensions: identity providers use two or three.
const EXTENSIONS_MAX: usize = 32;

/// Tokens, and what is sent with each.
#[derive(Clone, Debug)]
pub struct OauthBearer {
    /// Where the tokens come from.
    pub tokens: Arc<dyn TokenProvider>,
    /// Sent with each token.
    pub extensions: SaslExtensions,
}

/// SASL extensions of OAUTHBEARER, which some brokers require, such as `logicalCluster`
/// ([KIP-342](https://cwiki.apache.org/confluence/display/KAFKA/KIP-342%3A+Add+support+for+Custom+SASL+extensions+in+OAuthBearer+authentication)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslExtensions(Vec<(String, String)>);

impl SaslExtensions {
    /// Parses comma-separated `key=value`, such as `logicalCluster=lkc-1,identityPoolId=pool-2`; keys are letters,
    /// values visible ASCII characters and blanks. `None` if the text is anything else, has a key twice, or has the key
    /// `auth`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split(',') {
            let (key, value) = pair.trim().split_once('=')?;
            let is_key = !key.is_empty() && key != AUTH && key.bytes().all(|byte| byte.is_ascii_alphabetic());
            let is_value = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
            let is_new = pairs.iter().all(|(known, _)| known != key);
            if !(is_key && is_value && is_new) || pairs.len() == EXTENSIONS_MAX {
                return None;
            }
            pairs.push((key.to_owned(), value.to_owned()));
        }
        Some(Self(pairs))
    }
}

/// The client's first message.
pub(crate) fn message(token: &Token, extensions: &SaslExtensions) -> Vec<u8> {
    let mut message = format!("{GS2_HEADER}{SEPARATOR}{AUTH}=Bearer {}{SEPARATOR}", token.expose());
    for (key, value) in &extensions.0 {
        message.extend([key, "=", value]);
        message.push(SEPARATOR);
    }
    message.push(SEPARATOR);
    message.into_bytes()
}

/// The error that a server sends instead of an empty message
/// ([RFC 7628](https://www.rfc-editor.org/rfc/rfc7628#section-3.2.2)).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerError {
    status: String,
    scope: Option<String>,
}

impl ServerError {
    /// The error in the server's message; `None` if the server accepts the token. A message that is not the RFC's JSON
    /// is the status as a whole.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Json {
            status: String,
            scope: Option<String>,
        }
        if message.is_empty() {
            return None;
        }
        Some(match serde_json::from_slice(message) {
            Ok(Json { status, scope }) => Self { status, scope: scope.filter(|scope| !scope.is_empty()) },
            Err(_) => Self { status: String::from_utf8_lossy(message).into_owned(), scope: None },
        })
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.status)?;
        self.scope.as_ref().map_or(Ok(()), |scope| write!(f, ", required scope: {scope}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_the_rfc() {
        let token = Token::parse("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==").unwrap();
        let extensions = SaslExtensions::parse("host=server.example.com,port=143").unwrap();
        // RFC 7628, section 4.1, with Kafka's empty authorization identity; host and port are pairs like any extension,
        // but follow the token.
        let expected = b"n,,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\
            host=server.example.com\x01port=143\x01\x01";
        assert_eq!(message(&token, &extensions), expected);
        let none = message(&Token::parse("t").unwrap(), &SaslExtensions::default());
        assert_eq!(none, b"n,,\x01auth=Bearer t\x01\x01");
    }

    #[test]
    fn extensions_are_letters_and_visible_characters() {
        let pairs = |text| SaslExtensions::parse(text).map(|SaslExtensions(pairs)| pairs);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            pairs("logicalCluster=lkc-1, identityPoolId=pool 2=x"),
            Some(vec![pair("logicalCluster", "lkc-1"), pair("identityPoolId", "pool 2=x")])
        );
        let many = (0..=EXTENSIONS_MAX).map(|at| format!("{}=x", "a".repeat(at + 1))).collect::<Vec<_>>().join(",");
        for bad in ["", "a", "=b", "a=", "a1=b", "a_b=c", "auth=x", "a=b,", "a=b,a=c", "a=b\u{1}auth=x", "a=ä", &many]
        {
            assert_eq!(pairs(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_servers_error() {
        let shown = |message: &str| ServerError::parse(message.as_bytes()).map(|error| error.to_string());
        assert_eq!(shown(""), None);
        assert_eq!(shown(r#"{"status":"invalid_token"}"#).as_deref(), Some("invalid_token"));
        // RFC 7628, section 4.3.
        let of_rfc = r#"{"status":"invalid_token","scope":"example_scope","openid-configuration":"https://e.com/c"}"#;
        assert_eq!(shown(of_rfc).as_deref(), Some("invalid_token, required scope: example_scope"));
        assert_eq!(shown("no").as_deref(), Some("no"));
        assert_eq!(shown("{}").as_deref(), Some("{}"));
    }
}
