//! Tokens from a file that another program renews, such as the kubelet or an agent of the identity provider. Must not
//! know what is in a token.

use std::path::PathBuf;
use std::time::Duration;

use super::secret_file;
use crate::sasl::token::{Token, TokenError, TokenProvider};

/// A file that holds a token alone; one line end after it is ignored. It is read at each authentication, so a renewed
/// token needs no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFile(pub PathBuf);

impl TokenProvider for TokenFile {
    /// Local files are read without a timeout.
    fn token(&self, _timeout: Duration) -> Result<Token, TokenError> {
        let Self(path) = self;
        let text = secret_file::read(path).map_err(|why| TokenError::Unavailable(format!("token file {why}")))?;
        Token::parse(text.expose())
            .map_err(|error| TokenError::Unavailable(format!("token file '{}': {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::sasl::token::TOKEN_BYTES_MAX;

    #[test]
    fn a_file_is_read_each_time() {
        let path = std::env::temp_dir().join(format!("kafka-token-{}", std::process::id()));
        let provider = TokenFile(path.clone());
        let token = || provider.token(Duration::MAX).map(|token| token.expose().to_owned());
        let missing = token().unwrap_err();
        assert_eq!(
            missing,
            TokenError::Unavailable(format!("token file '{}': No such file or directory (os error 2)", path.display()))
        );
        for (content, expected) in [("one", "one"), ("two\n", "two"), ("three\r\n", "three")] {
            fs::write(&path, content).unwrap();
            assert_eq!(token().as_deref(), Ok(expected));
        }
        let largest = "x".repeat(TOKEN_BYTES_MAX);
        fs::write(&path, format!("{largest}\r\n")).unwrap();
        assert_eq!(token(), Ok(largest.clone()));
        for bad in ["", "\n", "s3cr3t\n\n", "s3cr3t token", &format!("{largest}x\r\n")] {
            fs::write(&path, bad).unwrap();
            let error = token().unwrap_err();
            assert!(matches!(&error, TokenError::Unavailable(text) if !text.contains("s3cr3t")), "{error:?}");
        }
        fs::write(&path, b"s3cr3t\xff").unwrap();
        assert!(token().unwrap_err().to_string().ends_with("': it is not UTF-8 text"));
        fs::remove_file(&path).unwrap();
    }
}
