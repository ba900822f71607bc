//! What a service manager, such as systemd, and a terminal pass to the process. These variables are their interface and not
//! settings: they are read from the environment only. Must not know the protocol.

use std::ffi::{OsStr, OsString};
use std::process;
use std::time::Duration;

/// The service manager of the process; by default there is none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ServiceManager {
    /// The socket for the state of the process
    /// ([`NOTIFY_SOCKET`](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html)).
    pub socket: Option<OsString>,
    /// The process is killed if it sends no keep-alive for this time
    /// ([`WATCHDOG_USEC`](https://www.freedesktop.org/software/systemd/man/latest/sd_watchdog_enabled.html)).
    pub watchdog: Option<Duration>,
}

/// Whether a terminal can replace a line that it shows, as all do whose type `TERM` names.
pub(super) fn can_redraw(environment: &[(OsString, OsString)]) -> bool {
    value(environment, "TERM").is_some_and(|terminal| terminal != "dumb")
}

fn value<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    let found = environment.iter().find(|(variable, _)| variable == name)?;
    Some(found.1.as_os_str()).filter(|value| !value.is_empty())
}

impl ServiceManager {
    pub(super) fn read(environment: &[(OsString, OsString)]) -> Self {
        let value = |name| value(environment, name);
        let number = |name| value(name).and_then(OsStr::to_str).and_then(|value| value.parse::<u64>().ok());
        // Set for another process, whose environment this one has inherited.
        let is_for_this_process = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let watchdog_us = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && is_for_this_process);
        Self { socket: value("NOTIFY_SOCKET").map(OsStr::to_owned), watchdog: watchdog_us.map(Duration::from_micros) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_that_of_this_process() {
        let read = |variables: &[(&str, &str)]| {
            let environment: Vec<_> = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            ServiceManager::read(&environment)
        };
        let own = process::id().to_string();
        let watchdog = |variables: &[(&str, &str)]| read(variables).watchdog;
        let second = Some(Duration::from_secs(1));
        assert_eq!(read(&[]), ServiceManager::default());
        assert_eq!(read(&[("NOTIFY_SOCKET", "@s")]).socket, Some("@s".into()));
        assert_eq!(read(&[("NOTIFY_SOCKET", "")]).socket, None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "1000000")]), second);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", &own)]), second);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "1000000"), ("WATCHDOG_PID", "1")]), None);
        for off in ["", "0", "-1", "x"] {
            assert_eq!(watchdog(&[("WATCHDOG_USEC", off)]), None, "{off}");
        }
    }
}
