//! The wish to stop: from a signal to everybody who waits. Must not know who waits, or what is left to do.
//!
//! The first SIGINT, SIGTERM or SIGHUP asks the service to stop; a second one ends the process at once; and so does the
//! deadline, if the service has not stopped by itself until then. [`signals`] says which of them count.

use std::error::Error;
use std::fmt;
use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::runtime::signals::{self, Request, Signal, StopRequests};

/// Exit code after a second signal: what shells report for a process that SIGINT ended (128 + 2).
pub const EXIT_SECOND_SIGNAL: i32 = 130;

/// Exit code past the deadline: failed.
pub const EXIT_DEADLINE: i32 = 1;

/// How long the end of the process waits for the log to take a notice, when it is too late already.
const NOTICE_WAIT_MAX: Duration = Duration::from_millis(500);

/// The log says at most this often that a file has reached its greatest size: the log file may be the one.
const FILE_SIZE_NOTICE_EVERY: Duration = Duration::from_mins(1);

/// The stop flag. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Set before `state.wakers` are called, and never taken back. Apart from the state so that asking takes no lock.
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
    /// The time is over.
    WholeTime,
    /// The service shall stop.
    Stopped,
}

impl Stop {
    /// Listens to the signals. To be called once in a process.
    ///
    /// `timeout` is what the service may take from the first signal until [`finished`](Self::finished).
    pub fn install(timeout: Duration) -> Result<Self, StopError> {
        let stop = Self::manual();
        // Threads are started now: at the time of need the machine may have none to give.
        let notices = notices(timeout)?;
        let signals = signals::listen().map_err(StopError::Signals)?;
        let (watched, to_log) = (stop.clone(), notices.clone());
        spawn("shutdown", move || watched.watch(timeout, &to_log, || process::exit(EXIT_DEADLINE)))?;
        let signalled = stop.clone();
        spawn("signals", move || signalled.obey(signals, &notices))?;
        Ok(stop)
    }

    /// Does what signals ask for. Must not log itself: that may never end.
    fn obey(&self, signals: impl Iterator<Item = Signal>, notices: &Sender<(Notice, Sender<()>)>) {
        let mut requests = StopRequests::default();
        let mut told_at: Option<Instant> = None;
        for signal in signals {
            let now = Instant::now();
            match signal {
                Signal::Stop => match requests.judge(now) {
                    Request::First => drop(self.request()),
                    Request::Same => {}
                    Request::Second => process::exit(EXIT_SECOND_SIGNAL),
                },
                Signal::FileSizeLimit if told_at.is_none_or(|at| now - at >= FILE_SIZE_NOTICE_EVERY) => {
                    told_at = Some(now);
                    let _ = notices.send((Notice::FileSizeLimit, channel().0));
                }
                Signal::FileSizeLimit => {}
            }
        }
    }

    /// A flag that only [`request`](Self::request) sets.
    pub fn manual() -> Self {
        Self::default()
    }

    /// Asks the service to stop; `false` if that had been asked before.
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

    /// Whether the service shall stop.
    pub fn is_requested(&self) -> bool {
        self.0.requested.load(Ordering::SeqCst)
    }

    /// Has `waker` called once when the service shall stop; at once if that is so already.
    ///
    /// It is kept as long as the flag, so register once per process and not per connection. It must return quickly, and
    /// must not call back into this flag except for [`is_requested`](Self::is_requested).
    pub fn on_stop(&self, waker: Box<dyn Fn() + Send + Sync>) {
        let mut state = self.lock();
        if self.is_requested() {
            waker();
        } else {
            state.wakers.push(waker);
        }
    }

    /// Waits for `time`, or until the service shall stop.
    pub fn sleep(&self, time: Duration) -> Slept {
        let (_state, wait) = self
            .0
            .changed
            .wait_timeout_while(self.lock(), time, |_| !self.is_requested())
            .unwrap_or_else(PoisonError::into_inner);
        if wait.timed_out() { Slept::WholeTime } else { Slept::Stopped }
    }

    /// The service has stopped by itself: the deadline no longer counts.
    pub fn finished(&self) {
        self.lock().finished = true;
        self.0.changed.notify_all();
    }

    /// Waits for the wish to stop, then for its fulfilment; calls `exit` if that takes longer than `timeout`.
    fn watch(&self, timeout: Duration, notices: &Sender<(Notice, Sender<()>)>, exit: impl FnOnce()) {
        let state = self
            .0
            .changed
            .wait_while(self.lock(), |state| !self.is_requested() && !state.finished)
            .unwrap_or_else(PoisonError::into_inner);
        if state.finished {
            return;
        }
        let (said, wait) = channel();
        // Nobody to say it is no reason not to watch.
        let _ = notices.send((Notice::Stopping, said.clone()));
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, timeout, |state| !state.finished)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.finished {
            drop(state);
            let _ = notices.send((Notice::TooLate, said));
            // Both notices; what cannot be logged by then is not.
            let _ = wait.recv_timeout(NOTICE_WAIT_MAX).and_then(|()| wait.recv_timeout(NOTICE_WAIT_MAX));
            exit();
        }
    }

    /// A waker that panicked leaves nothing half done behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the log is told of a stop.
#[derive(Clone, Copy, Debug)]
enum Notice {
    Stopping,
    TooLate,
    FileSizeLimit,
}

/// A thread that logs notices and then says that it has: logging may never end, as on a pipe that nobody reads, and the
/// deadline must not wait for that.
fn notices(timeout: Duration) -> Result<Sender<(Notice, Sender<()>)>, StopError> {
    let (notices, to_log) = channel::<(Notice, Sender<()>)>();
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    spawn("shutdown-log", move || {
        for (notice, said) in to_log {
            match notice {
                Notice::FileSizeLimit => log::warn!(
                    "a file has reached the largest size that this process may write: raise ulimit -f (LimitFSIZE= of the unit)"
                ),
                Notice::Stopping => log::info!(timeout_ms; "stopping; a second signal ends the process at once"),
                Notice::TooLate => {
                    log::error!(timeout_ms; "not stopped in time: the process ends now; what was not stored is read again");
                }
            }
            log::logger().flush();
            // The watch may have ended meanwhile.
            let _ = said.send(());
        }
    })?;
    Ok(notices)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StopError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(StopError::Thread)
}

/// Why the process cannot listen to signals.
#[derive(Debug)]
pub enum StopError {
    /// The handler could not be set.
    Signals(io::Error),
    /// A thread that watches the deadline could not be started.
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
    fn wakers_are_called_once_also_late_ones() {
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
        let watch = |stop: &Stop, timeout| {
            let mut exited = false;
            // Nobody takes the notices: as if the log were stuck.
            stop.watch(timeout, &channel().0, || exited = true);
            exited
        };
        let late = Stop::manual();
        late.request();
        assert!(watch(&late, Duration::from_millis(1)));

        let in_time = Stop::manual();
        in_time.request();
        in_time.finished();
        assert!(!watch(&in_time, FOREVER));

        // Finished without any request, as at the end of `run --exit-at-end`.
        let done = Stop::manual();
        done.finished();
        assert!(!watch(&done, Duration::ZERO));

        // Without a request the deadline does not run: the watcher ends only when the service does.
        let running = Stop::manual();
        let watched = running.clone();
        let watching = thread::spawn(move || watch(&watched, Duration::ZERO));
        running.finished();
        assert!(!watching.join().unwrap());
    }
}
