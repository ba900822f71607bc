//! Reports the state of the process to a service manager, by the protocol of
//! [`sd_notify(3)`](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html): datagrams of `NAME=value` lines.
//! Without a service manager nothing happens. Must not know what the states mean to the service.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Once};
use std::time::Duration;

use kafka::text::excerpt;
use log::warn;
use nix::time::{ClockId, clock_gettime};

/// How long a message may wait for a service manager that does not receive.
const SEND_TIME_MAX: Duration = Duration::from_secs(1);

/// Greatest number of characters of a status.
const STATUS_CHARS_MAX: usize = 200;

/// Reports to the service manager, if there is one. Clones report to the same one.
#[derive(Clone, Debug, Default)]
pub struct Notifier(Option<Arc<Socket>>);

#[derive(Debug)]
struct Socket {
    datagrams: UnixDatagram,
    address: SocketAddr,
    failed: Once,
}

impl Notifier {
    /// A notifier of the service manager that listens to a socket: a path, or a name in the abstract namespace after `@`.
    pub fn new(socket: Option<&OsStr>) -> io::Result<Self> {
        let Some(name) = socket else { return Ok(Self(None)) };
        let address = match name.as_bytes().split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
            Some((b'/', _)) => SocketAddr::from_pathname(name)?,
            // A virtual machine's `vsock:`, for example.
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract socket")),
        };
        let datagrams = UnixDatagram::unbound()?;
        datagrams.set_write_timeout(Some(SEND_TIME_MAX))?;
        Ok(Self(Some(Arc::new(Socket { datagrams, address, failed: Once::new() }))))
    }

    /// Whether there is a service manager.
    pub fn is_connected(&self) -> bool {
        self.0.is_some()
    }

    /// The process has started, or has reloaded.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// The process reloads. [`ready`](Self::ready) must follow.
    pub fn reloading(&self) {
        // The kernel has this clock.
        if let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) {
            self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", Duration::from(now).as_micros()));
        }
    }

    /// The process stops.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The process makes progress.
    pub fn keep_alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// The start, or the stop, may take so much longer from now.
    pub fn extend_timeout(&self, by: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()));
    }

    /// What the process does, in a few words; unprintable characters are escaped.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", excerpt(text, STATUS_CHARS_MAX)));
    }

    /// Sends one message. The first failure is logged: without a message, the service manager acts as if the process hung.
    fn send(&self, message: &str) {
        let Some(socket) = &self.0 else { return };
        if let Err(error) = socket.datagrams.send_to_addr(message.as_bytes(), &socket.address) {
            socket.failed.call_once(|| warn!("the service manager cannot be notified: {error}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(by: &UnixDatagram) -> String {
        let mut bytes = [0; 4096];
        let length = by.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn messages_arrive_at_a_path_and_at_an_abstract_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("enterprise-consumer-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let managers = [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&abstract_address).unwrap(), format!("@{name}").into()),
        ];
        for (manager, address) in managers {
            let notifier = Notifier::new(Some(&address)).unwrap();
            notifier.ready();
            notifier.status("one\ntwo\u{1b}");
            notifier.extend_timeout(Duration::from_mins(1));
            notifier.keep_alive();
            notifier.stopping();
            assert_eq!(received(&manager), "READY=1");
            assert_eq!(received(&manager), r"STATUS=one\ntwo\u{1b}");
            assert_eq!(received(&manager), "EXTEND_TIMEOUT_USEC=60000000");
            assert_eq!(received(&manager), "WATCHDOG=1");
            assert_eq!(received(&manager), "STOPPING=1");
        }
    }

    /// systemd compares the time with its own: that of the machine's monotonic clock, which is never after the uptime.
    #[test]
    fn a_reload_has_the_time_of_the_monotonic_clock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let uptime = || -> f64 {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            text.split_whitespace().next().unwrap().parse().unwrap()
        };
        Notifier::new(Some(path.as_os_str())).unwrap().reloading();
        let message = received(&manager);
        let micros = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let seconds = micros.parse::<f64>().unwrap() / 1e6;
        // The uptime has two digits.
        assert!(seconds > 0.0 && seconds <= uptime() + 0.02, "{seconds}");
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        Notifier::default().ready();
        assert!(!Notifier::new(None).unwrap().is_connected());
        let gone = tempfile::tempdir().unwrap().path().join("gone");
        Notifier::new(Some(gone.as_os_str())).unwrap().ready();
        for unsupported in ["", "vsock:2:1", "relative"] {
            assert!(Notifier::new(Some(OsStr::new(unsupported))).is_err(), "{unsupported}");
        }
    }
}
