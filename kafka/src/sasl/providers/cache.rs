//! Keeps a token until most of its lifetime has passed. Must not know where tokens come from.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::sasl::token::{Token, TokenError};

/// A token is renewed after this part of its lifetime, so that a short failure of its source does not matter: 80 %, as in
/// Kafka's clients (`sasl.login.refresh.window.factor`).
const RENEW_PERCENT: u32 = 80;

/// A new token.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) token: Token,
    /// `None` if it is not known: the token is not kept.
    pub(crate) lifetime: Option<Duration>,
}

/// A token for all connections.
#[derive(Default)]
pub(crate) struct Cache {
    state: Mutex<State>,
    changed: Condvar,
}

/// Shows no token.
impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    /// One thread requests a token at a time; the others wait for it.
    is_requesting: bool,
}

struct Kept {
    token: Token,
    issued: Instant,
    lifetime: Duration,
}

impl State {
    /// The kept token, unless more than this part of its lifetime has passed.
    fn token_within(&self, percent: u32) -> Option<&Token> {
        let kept = self.kept.as_ref()?;
        (kept.issued.elapsed() < kept.lifetime.saturating_mul(percent) / 100).then_some(&kept.token)
    }
}

impl Cache {
    /// The kept token, or a new one from `request`, which must end within the time that it receives. If there is no new
    /// one, the kept one is used until it expires.
    pub(crate) fn get(
        &self,
        timeout: Duration,
        request: impl FnOnce(Duration) -> Result<Issued, TokenError>,
    ) -> Result<Token, TokenError> {
        let start = Instant::now();
        let left = || timeout.saturating_sub(start.elapsed());
        let mut state = self.lock();
        loop {
            if let Some(token) = state.token_within(RENEW_PERCENT) {
                return Ok(token.clone());
            }
            if !state.is_requesting {
                break;
            }
            // Another connection renews it.
            if let Some(token) = state.token_within(100) {
                return Ok(token.clone());
            }
            if left().is_zero() {
                return Err(TokenError::Unavailable(
                    "another connection's request for a token takes too long".to_owned(),
                ));
            }
            state = self.changed.wait_timeout(state, left()).unwrap_or_else(PoisonError::into_inner).0;
        }
        // A source that does not respond must leave time to authenticate with the kept one.
        let time_max = if state.token_within(100).is_some() { left() / 2 } else { left() };
        state.is_requesting = true;
        drop(state);
        let issued = request(time_max);
        let mut state = self.lock();
        state.is_requesting = false;
        self.changed.notify_all();
        let error = match issued {
            Ok(Issued { token, lifetime }) => {
                let (token, issued) = (token.with_lifetime(lifetime), Instant::now());
                state.kept = lifetime.map(|lifetime| Kept { token: token.clone(), issued, lifetime });
                return Ok(token);
            }
            Err(error) => error,
        };
        let kept = state.token_within(100).cloned();
        drop(state);
        match (&error, kept) {
            (TokenError::Unavailable(_), Some(token)) => {
                log::warn!("cannot renew the token, which has not expired yet: {error}");
                Ok(token)
            }
            _ => Err(error),
        }
    }

    /// Drops a token that the broker has rejected.
    pub(crate) fn discard(&self, rejected: &Token) {
        let mut state = self.lock();
        if state.kept.as_ref().is_some_and(|kept| kept.token == *rejected) {
            state.kept = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// Never reached.
    const LONG: Duration = Duration::from_mins(1);

    fn issued(token: &str, lifetime: Option<Duration>) -> Result<Issued, TokenError> {
        Token::parse(token).map(|token| Issued { token, lifetime })
    }

    fn unavailable() -> Result<Issued, TokenError> {
        Err(TokenError::Unavailable("down".to_owned()))
    }

    fn text(token: Result<Token, TokenError>) -> String {
        token.map_or_else(|error| format!("error: {error}"), |token| token.expose().to_owned())
    }

    #[test]
    fn a_token_is_kept_for_most_of_its_lifetime() {
        let cache = Cache::default();
        assert_eq!(text(cache.get(LONG, |_| issued("one", Some(LONG)))), "one");
        assert_eq!(text(cache.get(LONG, |_| panic!("a request"))), "one");
        cache.discard(&Token::parse("other").unwrap());
        assert_eq!(text(cache.get(LONG, |_| panic!("a request"))), "one");
        cache.discard(&Token::parse("one").unwrap());
        assert_eq!(text(cache.get(LONG, |_| unavailable())), "error: down");
        // A token without a lifetime is not kept.
        assert_eq!(text(cache.get(LONG, |_| issued("two", None))), "two");
        assert_eq!(text(cache.get(LONG, |_| issued("three", None))), "three");
    }

    #[test]
    fn a_token_is_used_until_it_expires_if_there_is_no_new_one() {
        let cache = Cache::default();
        let age = |percent: u32| {
            let mut state = cache.lock();
            let kept = state.kept.as_mut().unwrap();
            kept.issued = Instant::now().checked_sub(kept.lifetime * percent / 100).unwrap();
        };
        let hour = Some(Duration::from_hours(1));
        cache.get(LONG, |_| issued("one", hour)).unwrap();
        age(79);
        assert_eq!(text(cache.get(LONG, |_| panic!("a request"))), "one");
        age(81);
        let half = |time_max| {
            assert!(time_max <= LONG / 2, "{time_max:?} leave none to authenticate with the kept token");
            unavailable()
        };
        assert_eq!(text(cache.get(LONG, half)), "one");
        cache.lock().is_requesting = true;
        assert_eq!(text(cache.get(Duration::ZERO, |_| panic!("a second request"))), "one", "it need not wait");
        cache.lock().is_requesting = false;
        let refused = || Err(TokenError::Refused("no".to_owned()));
        assert_eq!(text(cache.get(LONG, |_| refused())), "error: no");
        assert_eq!(text(cache.get(LONG, |_| issued("two", hour))), "two");
        age(101);
        assert_eq!(text(cache.get(LONG, |_| unavailable())), "error: down");
    }

    #[test]
    fn one_connection_requests_for_all() {
        let cache = Arc::new(Cache::default());
        let (release, held) = channel::<()>();
        let (begun, begins) = channel();
        let first = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || {
                cache.get(LONG, |_| {
                    begun.send(()).unwrap();
                    held.recv().unwrap();
                    issued("one", Some(LONG))
                })
            })
        };
        begins.recv().unwrap();
        let late = text(cache.get(Duration::from_millis(10), |_| panic!("a second request")));
        assert!(late.contains("takes too long"), "{late}");
        let second = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || cache.get(LONG, |_| panic!("a second request")))
        };
        release.send(()).unwrap();
        assert_eq!(text(first.join().unwrap()), "one");
        assert_eq!(text(second.join().unwrap()), "one");
    }
}
