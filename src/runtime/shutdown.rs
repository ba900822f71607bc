//! The stop flag: set by a signal, read by every thread that waits. Must not know who waits or what remains to be done.
//!
//! The first SIGINT or SIGTERM requests a stop. A second one ends the process immediately, and so does the deadline if the
//! service has not stopped by then. SIGHUP requests what [`OnHangup`] says. [`signals`] decides which signals count.

use std::error::Error;
use std::fmt;
use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::runtime::millis::millis;
use crate::runtime::signals::{self, Request, Signal, StopRequests};

/// Exit code after a second signal: shells report it for a process that SIGINT ended (128 + 2).
pub const EXIT_SECOND_SIGNAL: i32 = 130;

/// Exit code after the deadline: failed.
pub const EXIT_DEADLINE: i32 = 1;

/// After the deadline, the process waits at most this long for the log to write each notice.
const NOTICE_WAIT_MAX: Duration = Duration::from_millis(500);

/// Shortest time between two log lines about the file size limit: the log file may be the file that reaches it.
const FILE_SIZE_NOTICE_INTERVAL: Duration = Duration::from_mins(1);

/// What SIGHUP requests.
#[derive(Clone, Debug)]
pub enum OnHangup {
    /// A stop.
    Stop,
    /// A reload: the receiver gets a message. Requests that come before it has received one are one request.
    Reload(SyncSender<()>),
}

/// The stop flag. Clones share its state.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Set before `state.wakers` are called, and never reset. Not part of the state, so that reading it takes no lock.
    requested: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    finished: bool,
    wakers: Vec<Waker>,
}

type Waker = Box<dyn Fn() + Send + Sync>;

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("finished", &self.finished).field("wakers", &self.wakers.len()).finish()
    }
}

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Slept {
    /// The whole time has passed.
    WholeTime,
    /// A stop was requested.
    Stopped,
}

impl Stop {
    /// Installs the signal handlers. To be called once in a process.
    ///
    /// `timeout` is the greatest time from the first signal until [`finished`](Self::finished).
    pub fn install(timeout: Duration, on_hangup: OnHangup) -> Result<Self, StopError> {
        let stop = Self::manual();
        // The threads are started now: later the machine may refuse a new one.
        let notices = start_log_thread(timeout)?;
        let signals = signals::listen().map_err(StopError::Signals)?;
        let (watched, to_log) = (stop.clone(), notices.clone());
        spawn("shutdown", move || watched.enforce_deadline(timeout, &to_log, || process::exit(EXIT_DEADLINE)))?;
        let signalled = stop.clone();
        spawn("signals", move || signalled.handle_signals(signals, &on_hangup, &notices))?;
        Ok(stop)
    }

    /// Handles the signals. Must not log itself: logging may block forever.
    fn handle_signals(
        &self,
        signals: impl Iterator<Item = Signal>,
        on_hangup: &OnHangup,
        notices: &Sender<(Notice, Sender<()>)>,
    ) {
        let mut requests = StopRequests::default();
        let mut warned_at: Option<Instant> = None;
        for signal in signals {
            let now = Instant::now();
            match (signal, on_hangup) {
                // A full queue has a request that comes after this signal.
                (Signal::Hangup, OnHangup::Reload(reloads)) => drop(reloads.try_send(())),
                (Signal::Stop, _) | (Signal::Hangup, OnHangup::Stop) => match requests.classify(now) {
                    Request::First => drop(self.request()),
                    Request::Same => {}
                    Request::Second => process::exit(EXIT_SECOND_SIGNAL),
                },
                (Signal::FileSizeLimit, _) if warned_at.is_none_or(|at| now - at >= FILE_SIZE_NOTICE_INTERVAL) => {
                    warned_at = Some(now);
                    let _ = notices.send((Notice::FileSizeLimit, channel().0));
                }
                (Signal::FileSizeLimit, _) => {}
            }
        }
    }

    /// A flag without signal handlers: only [`request`](Self::request) sets it.
    pub fn manual() -> Self {
        Self::default()
    }

    /// Requests a stop; `false` if one was requested before.
    pub fn request(&self) -> bool {
        let state = self.lock();
        if self.0.requested.swap(true, Ordering::SeqCst) {
            return false;
        }
        self.0.changed.notify_all();
        for wake in &state.wakers {
            wake();
        }
        true
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Calls `waker` once when a stop is requested; immediately if it already was.
    ///
    /// The waker lives as long as the flag: register it once per process, not per connection. It must return quickly and must
    /// call no other method of this flag than [`is_requested`](Self::is_requested).
    pub fn on_stop(&self, waker: Box<dyn Fn() + Send + Sync>) {
        let mut state = self.lock();
        if self.is_requested() {
            waker();
        } else {
            state.wakers.push(waker);
        }
    }

    /// Waits for `time`, or until a stop is requested.
    pub fn sleep(&self, time: Duration) -> Slept {
        let (_state, wait) = self
            .0
            .changed
            .wait_timeout_while(self.lock(), time, |_| !self.is_requested())
            .unwrap_or_else(PoisonError::into_inner);
        if wait.timed_out() { Slept::WholeTime } else { Slept::Stopped }
    }

    /// Declares the service stopped: the deadline no longer counts.
    pub fn finished(&self) {
        self.lock().finished = true;
        self.0.changed.notify_all();
    }

    /// Waits for a stop request, then for [`finished`](Self::finished); calls `exit` if that takes longer than `timeout`.
    fn enforce_deadline(&self, timeout: Duration, notices: &Sender<(Notice, Sender<()>)>, exit: impl FnOnce()) {
        let state = self
            .0
            .changed
            .wait_while(self.lock(), |state| !self.is_requested() && !state.finished)
            .unwrap_or_else(PoisonError::into_inner);
        if state.finished {
            return;
        }
        let (written, await_written) = channel();
        // The deadline holds even if the log thread has ended.
        let _ = notices.send((Notice::Stopping, written.clone()));
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, timeout, |state| !state.finished)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.finished {
            drop(state);
            let _ = notices.send((Notice::DeadlineExceeded, written));
            // Two notices; one that blocks the log is not waited for.
            let _ =
                await_written.recv_timeout(NOTICE_WAIT_MAX).and_then(|()| await_written.recv_timeout(NOTICE_WAIT_MAX));
            exit();
        }
    }

    /// The state is consistent even if a waker panicked while it was locked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line for the log.
#[derive(Clone, Copy, Debug)]
enum Notice {
    Stopping,
    DeadlineExceeded,
    FileSizeLimit,
}

/// Starts a thread that logs notices and acknowledges each: logging may block forever, as on a pipe that nobody reads, and the
/// deadline must not wait for it.
fn start_log_thread(timeout: Duration) -> Result<Sender<(Notice, Sender<()>)>, StopError> {
    let (notices, to_log) = channel::<(Notice, Sender<()>)>();
    let timeout_ms = millis(timeout);
    spawn("shutdown-log", move || {
        for (notice, written) in to_log {
            match notice {
                Notice::FileSizeLimit => log::warn!(
                    "a file has reached the largest size that this process may write: raise ulimit -f (LimitFSIZE= of the unit)"
                ),
                Notice::Stopping => log::info!(timeout_ms; "stopping; a second signal ends the process at once"),
                Notice::DeadlineExceeded => {
                    log::error!(timeout_ms; "not stopped in time: the process ends now; records that were not stored are read again");
                }
            }
            log::logger().flush();
            // The receiver may have ended in the meantime.
            let _ = written.send(());
        }
    })?;
    Ok(notices)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StopError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(StopError::Thread)
}

/// Why the signal handlers cannot be installed.
#[derive(Debug)]
pub enum StopError {
    /// The kernel refuses a handler.
    Signals(io::Error),
    /// A thread cannot be started.
    Thread(io::Error),
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signals(_) => f.write_str("cannot listen to signals"),
            Self::Thread(_) => f.write_str("cannot start the threads that watch over the shutdown"),
        }
    }
}

impl Error for StopError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Signals(source) | Self::Thread(source) => Some(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc;

    use super::*;

    /// Longer than any test may take.
    const FOREVER: Duration = Duration::from_hours(1);

    fn counter(stop: &Stop) -> Arc<AtomicU32> {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        stop.on_stop(Box::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        }));
        calls
    }

    #[test]
    fn the_first_request_counts_and_is_seen_by_every_clone() {
        let stop = Stop::manual();
        let clone = stop.clone();
        assert!(!clone.is_requested());
        assert!(stop.request());
        assert!(clone.is_requested());
        assert!(!clone.request());
    }

    #[test]
    fn a_waker_is_called_once_even_if_registered_late() {
        let stop = Stop::manual();
        let (first, second) = (counter(&stop), counter(&stop));
        assert_eq!(first.load(Ordering::SeqCst), 0);
        stop.request();
        stop.request();
        let late = counter(&stop);
        for calls in [first, second, late] {
            assert_eq!(calls.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn sleep_ends_with_its_time_or_with_the_request() {
        let stop = Stop::manual();
        assert_eq!(stop.sleep(Duration::from_millis(1)), Slept::WholeTime);
        assert_eq!(stop.sleep(Duration::ZERO), Slept::WholeTime);

        let sleeper = stop.clone();
        let (ready, is_ready) = mpsc::channel();
        let sleeping = thread::spawn(move || {
            ready.send(()).unwrap();
            sleeper.sleep(FOREVER)
        });
        is_ready.recv().unwrap();
        stop.request();
        assert_eq!(sleeping.join().unwrap(), Slept::Stopped);
        assert_eq!(stop.sleep(FOREVER), Slept::Stopped);
        assert_eq!(stop.sleep(Duration::MAX), Slept::Stopped);
    }

    #[test]
    fn the_deadline_counts_from_the_request_until_finished() {
        let exits = |stop: &Stop, timeout| {
            let mut exited = false;
            // Nobody receives the notices, as if the log were blocked.
            stop.enforce_deadline(timeout, &channel().0, || exited = true);
            exited
        };
        let late = Stop::manual();
        late.request();
        assert!(exits(&late, Duration::from_millis(1)));

        let in_time = Stop::manual();
        in_time.request();
        in_time.finished();
        assert!(!exits(&in_time, FOREVER));

        // Finished without any request, as at the end of `run --exit-at-end`.
        let done = Stop::manual();
        done.finished();
        assert!(!exits(&done, Duration::ZERO));

        // Without a request the deadline does not run.
        let running = Stop::manual();
        let watched = running.clone();
        let watching = thread::spawn(move || exits(&watched, Duration::ZERO));
        running.finished();
        assert!(!watching.join().unwrap());
    }
}
