//! Limits the time of a command that an operator waits for.

use std::error::Error;
use std::fmt;
use std::process;
use std::thread;
use std::time::Duration;

use crate::commands::error::CommandError;
use crate::runtime::output;

/// Greatest time of `check`, `status` and `reset`, however many brokers do not respond.
pub const COMMAND_TIME_MAX: Duration = Duration::from_mins(1);

/// Whom those wait for.
pub const BROKERS_OR_DATABASE: &str = "brokers or the database";

/// Exit code after the time limit: failed.
const EXIT_TIME_LIMIT: i32 = 1;

/// Ends the process with an error, which names whom it has waited for, unless it has ended by itself within `time`.
pub fn exit_after(time: Duration, waits_for: &'static str) -> Result<(), CommandError> {
    let exit = move || {
        thread::sleep(time);
        output::print_error(&TimeLimitExceeded { time, waits_for });
        process::exit(EXIT_TIME_LIMIT);
    };
    thread::Builder::new().name("time-limit".to_owned()).spawn(exit).map(drop).map_err(CommandError::TimeLimit)
}

/// The command took too long.
#[derive(Debug)]
struct TimeLimitExceeded {
    time: Duration,
    waits_for: &'static str,
}

impl fmt::Display for TimeLimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, waits_for } = self;
        write!(f, "gave up after {} s: {waits_for} did not respond in time", time.as_secs())
    }
}

impl Error for TimeLimitExceeded {}
