//! Tokens for [`Listener::SaslToken`](crate::Listener::SaslToken), valid or not, and the key that brokers validate them with. Must not
//! start brokers.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::error::{Error, Result};
use crate::java;

/// Creates the tokens: a single-file Java program.
const MAKER: &str = include_str!("../java/Tokens.java");

/// The audience that brokers expect.
pub(crate) const AUDIENCE: &str = "kafka";
/// The issuer that brokers expect.
pub(crate) const ISSUER: &str = "https://issuer.example";

/// JSON Web Tokens, signed with RS256; created once and kept in the cache.
#[derive(Clone, Debug)]
pub struct Tokens {
    directory: PathBuf,
}

impl Tokens {
    /// Creates them if they are missing.
    pub fn get() -> Result<Self> {
        let directory = cache::directory(&cache::name_of("tokens", MAKER), |directory| {
            java::write_and_run_source("Tokens.java", MAKER, directory)
        })?;
        Ok(Self { directory })
    }

    /// A token of the user [`USER`](crate::USER).
    pub fn valid(&self) -> Result<String> {
        self.token("valid")
    }

    /// Another token of the same user.
    pub fn renewed(&self) -> Result<String> {
        self.token("renewed")
    }

    /// A token that expired a day ago.
    pub fn expired(&self) -> Result<String> {
        self.token("expired")
    }

    /// A token for another audience.
    pub fn elsewhere(&self) -> Result<String> {
        self.token("elsewhere")
    }

    /// A token that another issuer has signed.
    pub fn stranger(&self) -> Result<String> {
        self.token("stranger")
    }

    /// The public key as a URL of a JSON Web Key Set.
    pub(crate) fn key_url(&self) -> Result<String> {
        let path = self.path("jwks.json");
        let path = path.canonicalize().map_err(Error::io(format!("find {}", path.display())))?;
        Ok(format!("file://{}", path.display()))
    }

    fn token(&self, name: &str) -> Result<String> {
        let path = self.path(&format!("{name}.jwt"));
        fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.directory).join(name)
    }
}
