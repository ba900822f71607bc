//! When the expiry of the client certificate is a warning, of the running service and of `check`. Reads neither files nor the
//! clock.

use std::time::{Duration, SystemTime};

use kafka::Security;

const DAY: Duration = Duration::from_hours(24);

/// How often the certificate is checked at least: the clock may be set.
const CHECK_INTERVAL_MAX: Duration = DAY;

/// How urgent the renewal of a certificate is. Greater is more urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// It expires within 30 days.
    Month,
    /// It expires within 7 days.
    Week,
    /// It expires within a day.
    Day,
    /// It has expired.
    Expired,
}

impl Urgency {
    const ALL: [Self; 4] = [Self::Month, Self::Week, Self::Day, Self::Expired];

    /// The time before the expiry from which on it holds.
    fn begins_before(self) -> Duration {
        match self {
            Self::Month => 30 * DAY,
            Self::Week => 7 * DAY,
            Self::Day => DAY,
            Self::Expired => Duration::ZERO,
        }
    }
}

/// The warning about the client certificate of these credentials at `now`, if it is urgent.
pub fn warning(security: &Security, now: SystemTime) -> Option<String> {
    let expires_at = security.tls.as_ref()?.client_certificate_expires_at()?;
    Some(match urgency(expires_at, now)? {
        Urgency::Expired => "the client certificate has expired".to_owned(),
        _ => format!("the client certificate expires within {}", remaining(expires_at, now)),
    })
}

/// How urgent the renewal is at `now`; `None` if it is not.
pub(super) fn urgency(expires_at: SystemTime, now: SystemTime) -> Option<Urgency> {
    let left = left(expires_at, now);
    Urgency::ALL.into_iter().rev().find(|urgency| left <= urgency.begins_before())
}

/// When the next, more urgent step begins, at most a day from now.
pub(super) fn next_check_in(expires_at: Option<SystemTime>, now: SystemTime) -> Duration {
    let Some(expires_at) = expires_at else { return CHECK_INTERVAL_MAX };
    let left = left(expires_at, now);
    let next = Urgency::ALL.into_iter().filter_map(|urgency| left.checked_sub(urgency.begins_before()));
    next.filter(|wait| !wait.is_zero()).chain([CHECK_INTERVAL_MAX]).min().unwrap_or(CHECK_INTERVAL_MAX)
}

fn left(expires_at: SystemTime, now: SystemTime) -> Duration {
    expires_at.duration_since(now).unwrap_or_default()
}

/// The remaining time, for people.
pub(super) fn remaining(expires_at: SystemTime, now: SystemTime) -> String {
    let hours = left(expires_at, now).as_secs().div_ceil(3600);
    match hours {
        0..=1 => "1 hour".to_owned(),
        2..=48 => format!("{hours} hours"),
        _ => format!("{} days", hours.div_ceil(24)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The expiry, and a time so long before it.
    fn before(left: Duration) -> (SystemTime, SystemTime) {
        let expires_at = SystemTime::UNIX_EPOCH + 10_000 * DAY;
        (expires_at, expires_at - left)
    }

    #[test]
    fn a_certificate_is_urgent_from_30_days_on() {
        let at = |left| {
            let (expires_at, now) = before(left);
            urgency(expires_at, now)
        };
        assert_eq!(at(30 * DAY + SECOND), None);
        assert_eq!([at(30 * DAY), at(7 * DAY + SECOND)], [Some(Urgency::Month); 2]);
        assert_eq!([at(7 * DAY), at(DAY + SECOND)], [Some(Urgency::Week); 2]);
        assert_eq!([at(DAY), at(SECOND)], [Some(Urgency::Day); 2]);
        let (expires_at, _) = before(SECOND);
        assert_eq!(
            [urgency(expires_at, expires_at), urgency(expires_at, expires_at + 9 * DAY)],
            [Some(Urgency::Expired); 2]
        );
    }

    #[test]
    fn each_step_is_checked_when_it_begins() {
        let at = |left| {
            let (expires_at, now) = before(left);
            next_check_in(Some(expires_at), now)
        };
        assert_eq!(next_check_in(None, SystemTime::UNIX_EPOCH), DAY);
        assert_eq!(at(100 * DAY), DAY, "the clock may be set");
        assert_eq!(at(30 * DAY + 5 * SECOND), 5 * SECOND);
        assert_eq!(at(30 * DAY), DAY);
        assert_eq!(at(7 * DAY + SECOND), SECOND);
        assert_eq!(at(DAY + 2 * SECOND), 2 * SECOND);
        assert_eq!(at(3 * SECOND), 3 * SECOND);
        assert_eq!(at(Duration::ZERO), DAY);
    }

    #[test]
    fn the_remaining_time_is_rounded_for_people() {
        for (left, text) in [
            (SECOND, "1 hour"),
            (Duration::from_secs(3601), "2 hours"),
            (DAY, "24 hours"),
            (2 * DAY, "48 hours"),
            (2 * DAY + SECOND, "3 days"),
            (30 * DAY, "30 days"),
        ] {
            let (expires_at, now) = before(left);
            assert_eq!(remaining(expires_at, now), text);
        }
    }
}
