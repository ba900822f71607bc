//! What the process does about signals that would end it. Must not know what a stop means.
//!
//! A signal that the process was started to ignore stays ignored: `nohup` and shells that run a command in the background set
//! it so, and the disposition survives `exec` ([signal(7)](https://man7.org/linux/man-pages/man7/signal.7.html)).

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

/// The signals that ask for a stop.
const STOP_SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// A further stop signal within this time of the first one is the same request: `timeout` of the GNU coreutils sends its signal
/// to the process and then to its process group, and a supervisor may send another signal on top.
const SAME_REQUEST_MAX: Duration = Duration::from_millis(200);

/// Where Linux tells which signals the process ignores, as `SigIgn`
/// ([proc_pid_status(5)](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html)).
const STATUS_FILE: &str = "/proc/self/status";

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, SIGTERM or SIGHUP.
    Stop,
    /// A write went beyond the largest size that a file of this process may have (`ulimit -f`, `LimitFSIZE=`).
    FileSizeLimit,
}

/// Makes a write beyond `ulimit -f` fail with EFBIG instead of ending the process by SIGXFSZ. To be called before anything is
/// written.
pub fn survive_file_size_limit() -> io::Result<()> {
    // A handler that does nothing is enough (setrlimit(2)); nobody asks for the flag.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

/// Listens from now on; gives the signals one by one, and ends never.
pub fn listen() -> io::Result<impl Iterator<Item = Signal> + Send> {
    // Without `/proc` nothing is known to be ignored.
    let ignored = fs::read_to_string(STATUS_FILE).map(|status| ignored_mask(&status)).unwrap_or_default();
    let obeyed = STOP_SIGNALS.into_iter().filter(|signal| !is_ignored(ignored, *signal));
    let mut signals = Signals::new(obeyed.chain([SIGXFSZ]))?;
    Ok(std::iter::from_fn(move || signals.forever().next())
        .map(|signal| if signal == SIGXFSZ { Signal::FileSizeLimit } else { Signal::Stop }))
}

/// The set of ignored signals: bit 0 is signal 1.
fn ignored_mask(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

fn is_ignored(mask: u64, signal: i32) -> bool {
    let bit = u32::try_from(signal - 1).ok().and_then(|at| 1_u64.checked_shl(at));
    bit.is_some_and(|bit| mask & bit != 0)
}

/// Tells a second request to stop from the first one that arrives twice.
#[derive(Debug, Default)]
pub struct StopRequests {
    first: Option<Instant>,
}

/// What a stop signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To stop.
    First,
    /// The same as before.
    Same,
    /// To end at once.
    Second,
}

impl StopRequests {
    /// Judges a signal that arrived at `now`.
    pub fn judge(&mut self, now: Instant) -> Request {
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
    fn what_is_ignored_is_read_from_the_status() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\tffffffffffffffff\n";
        let ignored = |signal| is_ignored(ignored_mask(status), signal);
        assert!(ignored(SIGHUP) && ignored(SIGINT) && ignored(13));
        assert!(!ignored(SIGTERM) && !ignored(0) && !ignored(64) && !ignored(200));
        for unreadable in ["", "SigIgn:", "SigIgn:\tx"] {
            assert_eq!(ignored_mask(unreadable), 0);
        }
    }

    #[test]
    fn a_signal_that_comes_twice_at_once_is_one_request() {
        let start = Instant::now();
        let mut requests = StopRequests::default();
        let mut at = |ms| requests.judge(start + Duration::from_millis(ms));
        assert_eq!(at(0), Request::First);
        assert_eq!([at(0), at(1), at(199)], [Request::Same; 3]);
        assert_eq!([at(200), at(10_000)], [Request::Second; 2]);
    }
}
