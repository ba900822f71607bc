//! Authenticates a client by SASL, when a connection is opened and before its session lifetime ends. Knows the order of
//! the messages; `sasl` encodes them.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::channel::Channel;
use crate::backoff;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{Request, SaslAuthenticate, SaslAuthenticateRequest, SaslHandshakeRequest};
use crate::sasl::oauth_bearer::{self, OauthBearer, ServerError};
use crate::sasl::scram::{self, ClientFirst, Hash};
use crate::sasl::{Credentials, Sasl, SaslFault, SaslMechanism, plain};
use crate::stream::Deadline;

/// Re-authentication is due after this part of the session lifetime …
const DUE_PERCENT_MIN: u32 = 85;
/// … and up to this much later, at random, so that many connections do not re-authenticate at once, as in Kafka's
/// clients.
const DUE_PERCENT_SPREAD: u32 = 10;
/// Brokers accept a re-authentication after this time at the earliest
/// (`KafkaChannel.MIN_REAUTH_INTERVAL_ONE_SECOND_NANOS`).
pub(super) const DUE_AFTER_MIN: Duration = Duration::from_secs(1);

/// Authenticates the client; returns when it must authenticate again, if the session has a lifetime. Can be repeated on
/// the same connection
/// ([KIP-368](https://cwiki.apache.org/confluence/display/KAFKA/KIP-368%3A+Allow+SASL+Connections+to+Periodically+Re-Authenticate)).
pub(super) fn authenticate(channel: &mut Channel, sasl: &Sasl, deadline: &Deadline) -> Result<Option<Instant>> {
    let lifetime = match sasl {
        Sasl::Plain(credentials) => {
            choose_mechanism(channel, sasl.mechanism(), deadline)?;
            send(channel, plain::message(credentials), deadline, &rejects(sasl.mechanism(), credentials))?.lifetime
        }
        Sasl::ScramSha256(credentials) => {
            authenticate_by_scram(channel, SaslMechanism::ScramSha256, credentials, Hash::sha256(), deadline)?
        }
        Sasl::ScramSha512(credentials) => {
            authenticate_by_scram(channel, SaslMechanism::ScramSha512, credentials, Hash::sha512(), deadline)?
        }
        Sasl::OauthBearer(bearer) => authenticate_by_token(channel, bearer, deadline)?,
    };
    Ok(lifetime.and_then(|lifetime| Instant::now().checked_add(due_after(lifetime))))
}

/// Authenticates the client again. A broker that refuses may accept the same credentials on a new connection ("Cannot
/// change principals", "Session too short"), so a refusal is returned as a closed connection.
pub(super) fn reauthenticate(channel: &mut Channel, sasl: &Sasl) -> Result<Option<Instant>> {
    let deadline = Deadline::after(channel.settings().request_timeout);
    authenticate(channel, sasl, &deadline).map_err(|error| match error {
        Error::Sasl { .. } | Error::Broker { .. } | Error::UnsupportedVersion { .. } | Error::Malformed { .. } => {
            channel.close();
            log::info!("re-authentication failed, authenticating on a new connection: {error}");
            let source = io::Error::other(format!("re-authentication failed: {error}"));
            Error::Disconnected { address: channel.address().clone(), request: SaslAuthenticateRequest::NAME, source }
        }
        error => error,
    })
}

fn choose_mechanism(channel: &mut Channel, mechanism: SaslMechanism, deadline: &Deadline) -> Result<()> {
    let request = SaslHandshakeRequest { mechanism: mechanism.to_string() };
    let response = channel.exchange(&request, deadline)?;
    Err(match response.error {
        None => return Ok(()),
        Some(ErrorCode::UNSUPPORTED_SASL_MECHANISM) => {
            failed(channel, SaslFault::UnsupportedMechanism { ours: mechanism, theirs: response.mechanisms })
        }
        Some(ErrorCode::ILLEGAL_SASL_STATE) => failed(channel, SaslFault::NotExpected),
        Some(code) => refused(channel, SaslHandshakeRequest::NAME, code),
    })
}

/// SCRAM: client and server prove to each other that they know the password. Returns the session lifetime.
fn authenticate_by_scram(
    channel: &mut Channel,
    mechanism: SaslMechanism,
    credentials: &Credentials,
    hash: Hash,
    deadline: &Deadline,
) -> Result<Option<Duration>> {
    let unproved = |channel: &Channel, detail| failed(channel, SaslFault::ServerNotVerified { detail });
    choose_mechanism(channel, mechanism, deadline)?;
    let rejected = rejects(mechanism, credentials);
    let nonce = scram::nonce().map_err(Error::Config)?;
    let client_first = ClientFirst::new(hash, &credentials.username, nonce);
    let server_first = send(channel, client_first.message().into_bytes(), deadline, &rejected)?;
    let finished = client_first.finish(&credentials.password, &server_first.message);
    let (client_final, proof) = finished.map_err(|detail| unproved(channel, detail))?;
    let server_final = send(channel, client_final.into_bytes(), deadline, &rejected)?;
    if let Some(error) = scram::refusal(&server_final.message) {
        return Err(failed(channel, rejected(error.to_owned())));
    }
    proof.verify(&server_final.message).map_err(|detail| unproved(channel, detail))?;
    Ok(server_final.lifetime)
}

/// OAUTHBEARER, with a token that the provider returns now. Returns the session lifetime. The token is requested
/// before the mechanism: a broker does not wait for it.
fn authenticate_by_token(channel: &mut Channel, bearer: &OauthBearer, deadline: &Deadline) -> Result<Option<Duration>> {
    let left = deadline.left().unwrap_or_default();
    let token = bearer.tokens.token(left).map_err(|error| failed(channel, SaslFault::NoToken(error)))?;
    choose_mechanism(channel, SaslMechanism::OauthBearer, deadline)?;
    let rejected = |message| SaslFault::TokenRejected { message, expired_for: token.expired_for() };
    let first = send(channel, oauth_bearer::message(&token, &bearer.extensions), deadline, &rejected);
    let sent = first.and_then(|response| match ServerError::parse(&response.message) {
        None => Ok(response.lifetime),
        Some(error) => {
            // The broker ends the exchange; its error is in the message before.
            match send(channel, oauth_bearer::ERROR_REPLY.to_vec(), deadline, &rejected) {
                Ok(_) | Err(Error::Sasl { .. }) => Err(failed(channel, rejected(error.to_string()))),
                Err(error) => Err(error),
            }
        }
    });
    match &sent {
        Ok(_) => channel.settings().statistics.note_token(token.expires_at()),
        Err(Error::Sasl { fault: SaslFault::TokenRejected { .. }, .. }) => bearer.tokens.discard(&token),
        Err(_) => {}
    }
    sent
}

/// Sends one message of the mechanism; `rejected` is the fault if the broker rejects the credentials.
fn send(
    channel: &mut Channel,
    message: Vec<u8>,
    deadline: &Deadline,
    rejected: &dyn Fn(String) -> SaslFault,
) -> Result<SaslAuthenticate> {
    let response = channel.exchange(&SaslAuthenticateRequest { message: Bytes::from(message) }, deadline)?;
    Err(match response.refusal {
        None => return Ok(response),
        Some((ErrorCode::SASL_AUTHENTICATION_FAILED, message)) => failed(channel, rejected(message)),
        Some((code, _)) => refused(channel, SaslAuthenticateRequest::NAME, code),
    })
}

/// The fault of a broker that rejects a user's password.
fn rejects(mechanism: SaslMechanism, credentials: &Credentials) -> impl Fn(String) -> SaslFault {
    move |message| SaslFault::Rejected { mechanism, username: credentials.username.clone(), message }
}

fn failed(channel: &Channel, fault: SaslFault) -> Error {
    channel.close();
    Error::Sasl { address: channel.address().clone(), fault }
}

fn refused(channel: &Channel, request: &'static str, code: ErrorCode) -> Error {
    channel.close();
    Error::Broker { address: channel.address().clone(), request, code, subject: String::new() }
}

fn due_after(lifetime: Duration) -> Duration {
    let percent = |percent| lifetime.saturating_mul(percent) / 100;
    let after = percent(DUE_PERCENT_MIN) + backoff::random_up_to(percent(DUE_PERCENT_SPREAD));
    after.max(DUE_AFTER_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reauthentication_is_due_before_the_session_lifetime_ends() {
        for lifetime in [Duration::from_secs(2), Duration::from_hours(1)] {
            for _ in 0..100 {
                let after = due_after(lifetime);
                assert!(lifetime * 85 / 100 <= after && after <= lifetime * 95 / 100, "{after:?} of {lifetime:?}");
            }
        }
        assert_eq!(due_after(Duration::from_millis(1)), DUE_AFTER_MIN);
    }
}
