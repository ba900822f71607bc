//! Keeps the service manager informed while the service starts and runs: extends the timeout of a start that takes long, and
//! sends the keep-alive that its watchdog waits for, as long as every stage is live. Must not know what the stages do.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use kafka::Error;
use log::error;

use crate::runtime::notify::Notifier;
use crate::runtime::stages::Stages;

/// A start that takes long asks for this much time again and again: a migration takes as long as the database is large.
const START_EXTENSION: Duration = Duration::from_mins(1);

/// How often it asks. The first time is before the shortest `TimeoutStartSec=` that somebody would set.
const START_EXTENSION_INTERVAL: Duration = Duration::from_secs(5);

/// Keep-alives in one period of the watchdog: half of it is systemd's advice
/// ([`sd_watchdog_enabled(3)`](https://www.freedesktop.org/software/systemd/man/latest/sd_watchdog_enabled.html)).
const KEEP_ALIVES_PER_PERIOD: u32 = 2;

/// The supervision of a service that starts.
pub(super) struct Supervision {
    notifier: Notifier,
    started: Sender<()>,
}

impl Supervision {
    /// Begins with the start of the service. Does nothing without a service manager.
    pub(super) fn begin(notifier: &Notifier, watchdog: Option<Duration>, stages: &Stages) -> kafka::Result<Self> {
        let (started, is_started) = channel();
        if notifier.is_connected() {
            let watcher = Watcher { notifier: notifier.clone(), stages: stages.clone() };
            let thread = thread::Builder::new().name("watchdog".to_owned());
            thread.spawn(move || watcher.run(&is_started, watchdog)).map_err(Error::Thread)?;
        }
        Ok(Self { notifier: notifier.clone(), started })
    }

    /// Database, lock and reader are there. Brokers need not be: the service waits for them as long as it runs.
    pub(super) fn started(self) {
        self.notifier.ready();
        // There is no thread without a service manager.
        let _ = self.started.send(());
    }
}

/// The thread.
struct Watcher {
    notifier: Notifier,
    stages: Stages,
}

impl Watcher {
    fn run(&self, started: &Receiver<()>, watchdog: Option<Duration>) {
        loop {
            match started.recv_timeout(START_EXTENSION_INTERVAL) {
                Ok(()) => break,
                Err(RecvTimeoutError::Timeout) => self.notifier.extend_timeout(START_EXTENSION),
                // The start has failed.
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        if let Some(period) = watchdog {
            self.keep_alive(period / KEEP_ALIVES_PER_PERIOD);
        }
    }

    /// Ends with the process, so that a stop that hangs is noticed too.
    fn keep_alive(&self, interval: Duration) {
        let mut was_live = true;
        loop {
            was_live = self.send_if_live(was_live, Instant::now());
            thread::sleep(interval);
        }
    }

    /// Sends one keep-alive, unless a stage is late, which is logged once. Returns whether all are live.
    fn send_if_live(&self, was_live: bool, now: Instant) -> bool {
        let late: Vec<&str> = self.stages.late(now).collect();
        if late.is_empty() {
            self.notifier.keep_alive();
        } else if was_live {
            error!("the service hangs (stages: {}): the watchdog of the service manager will end it", late.join(", "));
        }
        late.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_stage_that_is_late_ends_the_keep_alives_until_it_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let notifier = Notifier::new(Some(path.as_os_str())).unwrap();
        let watcher = Watcher { notifier, stages: Stages::default() };
        let later = Instant::now() + Duration::from_hours(1);
        let is_sent = |was_live| {
            let is_live = watcher.send_if_live(was_live, later);
            let is_sent = manager.recv(&mut [0; 64]).is_ok();
            assert_eq!(is_live, is_sent);
            is_sent
        };
        assert!(is_sent(true), "before the first declaration");
        watcher.stages.writer.work(Duration::from_mins(1));
        assert!(!is_sent(true));
        assert!(!is_sent(false));
        watcher.stages.writer.wait(Duration::from_hours(2));
        assert!(is_sent(false), "it waits for a broker");
        watcher.stages.reader.work(Duration::ZERO);
        assert!(!is_sent(true));
    }
}
