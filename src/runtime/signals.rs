//! Receives the signals that would end the process. Must not know how the service stops.
//!
//! A signal that is ignored when the process starts stays ignored: `nohup` and shells that run a command in the background set
//! this disposition, and it survives `exec` ([signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html)).

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

/// The signals of the service.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// The controlling terminal of the process, if it has one
/// ([`tty(4)`](https://man7.org/linux/man-pages/man4/tty.4.html)).
const TERMINAL: &str = "/dev/tty";

/// A further stop signal within this time of the first one is the same request: GNU `timeout` sends its signal to the process and
/// then to its process group, and a supervisor may send another signal at the same time.
const SAME_REQUEST_MAX: Duration = Duration::from_millis(200);

/// The file in which Linux shows the ignored signals of the process, as `SigIgn`
/// ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)).
const STATUS_FILE: &str = "/proc/self/status";

/// A received signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT or SIGTERM; also SIGHUP if the controlling terminal was closed.
    Stop,
    /// SIGHUP from somebody who asks the process to reload.
    Hangup,
    /// SIGXFSZ: a write exceeded the file size limit of the process (`ulimit -f`, `LimitFSIZE=`).
    FileSizeLimit,
}

/// Makes a write beyond `ulimit -f` fail with EFBIG; by default SIGXFSZ ends the process. To be called before the first write.
pub fn survive_file_size_limit() -> io::Result<()> {
    // Any handler is enough (setrlimit(2)); the flag is not read.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

/// Registers handlers and returns an endless iterator that blocks until the next signal.
pub fn listen() -> io::Result<impl Iterator<Item = Signal> + Send> {
    // Without `/proc`, no signal counts as ignored.
    let ignored = fs::read_to_string(STATUS_FILE).map(|status| ignored_mask(&status)).unwrap_or_default();
    let terminal = Terminal::current();
    let handled = SIGNALS.into_iter().filter(|signal| !is_ignored(ignored, *signal));
    let mut signals = Signals::new(handled.chain([SIGXFSZ]))?;
    Ok(std::iter::from_fn(move || signals.forever().next()).map(move |signal| match signal {
        SIGXFSZ => Signal::FileSizeLimit,
        SIGHUP if !terminal.is_closed() => Signal::Hangup,
        _ => Signal::Stop,
    }))
}

/// The controlling terminal. The kernel detaches the process from a terminal that is closed before it sends SIGHUP, so this
/// signal then ends the process as that of any program that runs in a window.
#[derive(Clone, Copy, Debug)]
struct Terminal {
    existed_at_start: bool,
}

impl Terminal {
    fn current() -> Self {
        Self { existed_at_start: fs::File::open(TERMINAL).is_ok() }
    }

    fn is_closed(self) -> bool {
        self.existed_at_start && fs::File::open(TERMINAL).is_err()
    }
}

/// The ignored signals as a bit mask: bit 0 is signal 1.
fn ignored_mask(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

fn is_ignored(mask: u64, signal: i32) -> bool {
    let bit = u32::try_from(signal - 1).ok().and_then(|at| 1_u64.checked_shl(at));
    bit.is_some_and(|bit| mask & bit != 0)
}

/// Distinguishes a second stop request from a first one that arrives as several signals.
#[derive(Debug, Default)]
pub struct StopRequests {
    first: Option<Instant>,
}

/// The meaning of a stop signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Stop in order.
    First,
    /// Part of the first request.
    Same,
    /// End the process immediately.
    Second,
}

impl StopRequests {
    /// Classifies a stop signal received at `now`.
    pub fn classify(&mut self, now: Instant) -> Request {
        match self.first {
            None => {
                self.first = Some(now);
                Request::First
            }
            Some(first) if now.saturating_duration_since(first) < SAME_REQUEST_MAX => Request::Same,
            Some(_) => Request::Second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status_file() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\tffffffffffffffff\n";
        let ignored = |signal| is_ignored(ignored_mask(status), signal);
        assert!(ignored(SIGHUP) && ignored(SIGINT) && ignored(13));
        assert!(!ignored(SIGTERM) && !ignored(0) && !ignored(64) && !ignored(200));
        for unreadable in ["", "SigIgn:", "SigIgn:\tx"] {
            assert_eq!(ignored_mask(unreadable), 0);
        }
    }

    #[test]
    fn signals_within_a_short_time_are_one_request() {
        let start = Instant::now();
        let mut requests = StopRequests::default();
        let mut at = |ms| requests.classify(start + Duration::from_millis(ms));
        assert_eq!(at(0), Request::First);
        assert_eq!([at(0), at(1), at(199)], [Request::Same; 3]);
        assert_eq!([at(200), at(10_000)], [Request::Second; 2]);
    }
}
