//! The messages of SCRAM ([RFC 5802](https://www.rfc-editor.org/rfc/rfc5802), and [RFC
//! 7677](https://www.rfc-editor.org/rfc/rfc7677) for SHA-256): client and server prove that they know the password, and
//! neither sends it. `ring` has the cryptography; must not know connections.
//!
//! Names and passwords are used in UTF-8 without the RFC's preparation
//! ([SASLprep](https://www.rfc-editor.org/rfc/rfc4013)), as Kafka's tools, brokers and clients use them
//! (`ScramFormatter.normalize`): a prepared password would be another one to them.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use crate::secret::Secret;

/// Kafka's minimum (`ScramMechanism`): fewer iterations make it easier to guess a password from captured messages.
const ITERATIONS_MIN: u32 = 4096;
/// More would let a malicious peer keep the client busy; Kafka's maximum is 16384.
const ITERATIONS_MAX: u32 = 1_000_000;
/// Random bytes of the client's nonce.
const NONCE_BYTES: usize = 24;
/// No channel binding, no authorization identity.
const GS2_HEADER: &str = "n,,";

/// A hash function, with its HMAC and PBKDF2.
#[derive(Clone, Copy)]
pub(crate) struct Hash {
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

impl Hash {
    pub(crate) fn sha256() -> Self {
        Self { digest: &digest::SHA256, hmac: hmac::HMAC_SHA256, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256 }
    }

    pub(crate) fn sha512() -> Self {
        Self { digest: &digest::SHA512, hmac: hmac::HMAC_SHA512, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512 }
    }
}

/// A random nonce.
pub(crate) fn nonce() -> Result<String, String> {
    let mut random = [0; NONCE_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| "the operating system has no random numbers".to_owned())?;
    Ok(STANDARD.encode(random))
}

/// The client's first message.
pub(crate) struct ClientFirst {
    hash: Hash,
    nonce: String,
    /// The message without the GS2 header (`client-first-message-bare`).
    bare: String,
}

impl ClientFirst {
    pub(crate) fn new(hash: Hash, username: &str, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self { hash, bare: format!("n={username},r={nonce}"), nonce }
    }

    pub(crate) fn message(&self) -> String {
        format!("{GS2_HEADER}{}", self.bare)
    }

    /// The client's final message, and what the server's final message must prove.
    pub(crate) fn finish(&self, password: &Secret, server_first: &[u8]) -> Result<(String, ServerProof), String> {
        let text = std::str::from_utf8(server_first).map_err(|_| "its first message is not UTF-8".to_owned())?;
        let challenge = Challenge::parse(text)?;
        if !challenge.nonce.starts_with(&self.nonce) || challenge.nonce.len() == self.nonce.len() {
            return Err("its nonce does not begin with the client's".to_owned());
        }
        let mut salted = vec![0; self.hash.digest.output_len()];
        pbkdf2::derive(
            self.hash.pbkdf2,
            challenge.iterations,
            &challenge.salt,
            password.expose().as_bytes(),
            &mut salted,
        );
        let salted = hmac::Key::new(self.hash.hmac, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.hash.digest, client_key.as_ref());
        let without_proof = format!("c={},r={}", STANDARD.encode(GS2_HEADER), challenge.nonce);
        let transcript = format!("{},{text},{without_proof}", self.bare);
        let signature = hmac::sign(&hmac::Key::new(self.hash.hmac, stored_key.as_ref()), transcript.as_bytes());
        let proof: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, signature)| key ^ signature).collect();
        let server_key = hmac::Key::new(self.hash.hmac, hmac::sign(&salted, b"Server Key").as_ref());
        Ok((format!("{without_proof},p={}", STANDARD.encode(proof)), ServerProof { server_key, transcript }))
    }
}

/// The server's first message.
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl<'a> Challenge<'a> {
    /// `r=nonce,s=salt,i=iterations`. Later versions of SCRAM may append attributes; an `m=` in front is mandatory and
    /// therefore an error.
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut attributes = text.split(',');
        let mut next = |name: &str| {
            let value = attributes.next().and_then(|attribute| attribute.strip_prefix(name)?.strip_prefix('='));
            value.ok_or_else(|| format!("its first message has no '{name}=' at its place"))
        };
        let (nonce, salt, iterations) = (next("r")?, next("s")?, next("i")?);
        let salt = STANDARD.decode(salt).map_err(|_| "its salt is not base64".to_owned())?;
        let good = iterations.parse().ok().filter(|count| (ITERATIONS_MIN..=ITERATIONS_MAX).contains(count));
        let iterations = good.and_then(NonZeroU32::new).ok_or_else(|| {
            format!("it asks for '{iterations}' iterations; allowed: {ITERATIONS_MIN} to {ITERATIONS_MAX}")
        })?;
        Ok(Self { nonce, salt, iterations })
    }
}

/// What the server's final message must prove.
pub(crate) struct ServerProof {
    server_key: hmac::Key,
    transcript: String,
}

impl ServerProof {
    /// Verifies, in constant time, that the server's final message proves that it knows the password.
    pub(crate) fn verify(&self, server_final: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(server_final).map_err(|_| "its last message is not UTF-8".to_owned())?;
        let signature = first_attribute(text).strip_prefix("v=").and_then(|signature| STANDARD.decode(signature).ok());
        let signature = signature.ok_or_else(|| "its last message has no signature".to_owned())?;
        hmac::verify(&self.server_key, self.transcript.as_bytes(), &signature)
            .map_err(|_| "its signature is wrong".to_owned())
    }
}

/// The error of the server's final message, if it rejects the client's proof.
pub(crate) fn refusal(server_final: &[u8]) -> Option<&str> {
    first_attribute(std::str::from_utf8(server_final).ok()?).strip_prefix("e=")
}

/// The first attribute; extensions may follow.
fn first_attribute(message: &str) -> &str {
    message.split(',').next().unwrap_or_default()
}
