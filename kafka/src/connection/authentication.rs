//! Says to a broker who we are, at the beginning of a connection and again before it forgets. Knows the order of the messages, not
//! what is in them.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Connection, Deadline};
use crate::backoff;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{Request, SaslAuthenticate, SaslAuthenticateRequest, SaslHandshakeRequest};
use crate::sasl::scram::{self, ClientFirst, Hash};
use crate::sasl::{Sasl, SaslFault, SaslMechanism, plain};

/// We say again who we are between this part of the time that it counts …
const RENEWAL_PERCENT_MIN: u32 = 85;
/// … and this much later, at random, so that many connections do not do so at once; Kafka's own clients take the same.
const RENEWAL_PERCENT_SPREAD: u32 = 10;
/// A broker hears who we are once in this time at most (`KafkaChannel.MIN_REAUTH_INTERVAL_ONE_SECOND_NANOS`).
pub(super) const RENEWAL_AFTER_MIN: Duration = Duration::from_secs(1);

impl Connection {
    /// The whole exchange before one deadline; afterwards other requests are welcome. May be repeated on the same connection
    /// ([KIP-368](https://cwiki.apache.org/confluence/display/KAFKA/KIP-368%3A+Allow+SASL+Connections+to+Periodically+Re-Authenticate)).
    pub(super) fn authenticate(&mut self, sasl: &Sasl, deadline: &Deadline) -> Result<()> {
        self.agree_on(sasl.mechanism, deadline)?;
        let lifetime = match sasl.mechanism {
            SaslMechanism::Plain => self.say(sasl, plain::message(sasl), deadline)?.lifetime,
            SaslMechanism::ScramSha256 => self.prove(sasl, Hash::sha256(), deadline)?,
            SaslMechanism::ScramSha512 => self.prove(sasl, Hash::sha512(), deadline)?,
        };
        self.renew_at = lifetime.and_then(|lifetime| Instant::now().checked_add(renewal_after(lifetime)));
        Ok(())
    }

    /// Authenticates again before the broker's time for this connection is over. A broker that refuses may believe a client on a new
    /// connection ("Cannot change principals", "Session too short"): only that one decides, so this connection counts as closed.
    pub(super) fn reauthenticate(&mut self, sasl: &Sasl) -> Result<()> {
        let deadline = Deadline::after(self.settings.request_timeout);
        self.authenticate(sasl, &deadline).map_err(|error| match error {
            Error::Sasl { .. } | Error::Broker { .. } | Error::UnsupportedVersion { .. } | Error::Malformed { .. } => {
                self.stream.shut_down();
                log::info!("re-authentication failed, authenticating on a new connection: {error}");
                let source = io::Error::other(format!("re-authentication failed: {error}"));
                Error::Disconnected { address: self.address.clone(), request: SaslAuthenticateRequest::NAME, source }
            }
            error => error,
        })
    }

    fn agree_on(&mut self, mechanism: SaslMechanism, deadline: &Deadline) -> Result<()> {
        let request = SaslHandshakeRequest { mechanism: mechanism.to_string() };
        let version = self.version_for(&request)?;
        let answer = self.exchange(&request, version, deadline)?;
        Err(match answer.error {
            None => return Ok(()),
            Some(ErrorCode::UNSUPPORTED_SASL_MECHANISM) => {
                self.sasl_failed(SaslFault::Mechanism { ours: mechanism, theirs: answer.mechanisms })
            }
            // It heard us here before: a new connection helps.
            Some(code @ ErrorCode::ILLEGAL_SASL_STATE) if self.renew_at.is_some() => {
                self.stream.shut_down();
                let source = io::Error::other(format!("the broker does not hear again who we are: {code}"));
                Error::Disconnected { address: self.address.clone(), request: SaslHandshakeRequest::NAME, source }
            }
            Some(ErrorCode::ILLEGAL_SASL_STATE) => self.sasl_failed(SaslFault::NotHere),
            Some(code) => self.sasl_refused(SaslHandshakeRequest::NAME, code),
        })
    }

    /// SCRAM: each side proves to the other that it knows the password.
    fn prove(&mut self, sasl: &Sasl, hash: Hash, deadline: &Deadline) -> Result<Option<Duration>> {
        let unproved = |connection: &Self, detail| connection.sasl_failed(SaslFault::Unproved { detail });
        let nonce = scram::nonce().map_err(Error::Config)?;
        let first = ClientFirst::new(hash, &sasl.username, nonce);
        let challenge = self.say(sasl, first.message().into_bytes(), deadline)?;
        let (last, proof) =
            first.answer(&sasl.password, &challenge.message).map_err(|detail| unproved(self, detail))?;
        let verdict = self.say(sasl, last.into_bytes(), deadline)?;
        if let Some(word) = scram::refusal(&verdict.message) {
            return Err(self.not_believed(sasl, word.to_owned()));
        }
        proof.verify(&verdict.message).map_err(|detail| unproved(self, detail))?;
        Ok(verdict.lifetime)
    }

    fn say(&mut self, sasl: &Sasl, message: Vec<u8>, deadline: &Deadline) -> Result<SaslAuthenticate> {
        let request = SaslAuthenticateRequest { message: Bytes::from(message) };
        let version = self.version_for(&request)?;
        let answer = self.exchange(&request, version, deadline)?;
        Err(match answer.refusal {
            None => return Ok(answer),
            Some((ErrorCode::SASL_AUTHENTICATION_FAILED, message)) => self.not_believed(sasl, message),
            Some((code, _)) => self.sasl_refused(SaslAuthenticateRequest::NAME, code),
        })
    }

    fn not_believed(&self, sasl: &Sasl, message: String) -> Error {
        self.sasl_failed(SaslFault::Refused { mechanism: sasl.mechanism, username: sasl.username.clone(), message })
    }

    /// A connection whose two sides do not know each other is of no use.
    fn sasl_failed(&self, fault: SaslFault) -> Error {
        self.stream.shut_down();
        Error::Sasl { address: self.address.clone(), fault }
    }

    fn sasl_refused(&self, request: &'static str, code: ErrorCode) -> Error {
        self.stream.shut_down();
        Error::Broker { address: self.address.clone(), request, code, subject: String::new() }
    }
}

fn renewal_after(lifetime: Duration) -> Duration {
    let percent = |percent| lifetime.saturating_mul(percent) / 100;
    let after = percent(RENEWAL_PERCENT_MIN) + backoff::random_up_to(percent(RENEWAL_PERCENT_SPREAD));
    after.max(RENEWAL_AFTER_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_again_in_time() {
        for lifetime in [Duration::from_secs(2), Duration::from_hours(1)] {
            for _ in 0..100 {
                let after = renewal_after(lifetime);
                assert!(lifetime * 85 / 100 <= after && after <= lifetime * 95 / 100, "{after:?} of {lifetime:?}");
            }
        }
        assert_eq!(renewal_after(Duration::from_millis(1)), RENEWAL_AFTER_MIN);
    }
}
