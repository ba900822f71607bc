//! The program: parses its arguments, runs one command, prints one error chain, and says how it went by its exit code.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use enterprise_consumer::cli::{self, Asked, Command, Invocation, UsageError};
use enterprise_consumer::commands::{check, replay, reset, status, verify, views};
use enterprise_consumer::runtime::error_chain::ErrorChain;
use enterprise_consumer::runtime::shutdown::Stop;
use enterprise_consumer::runtime::{logger, signals};
use enterprise_consumer::service;
use enterprise_consumer::settings::{Settings, SettingsError};

/// musl's own gives large pieces back to the kernel at once and takes a lock for small ones: with it the whole job takes 1.5 times the
/// CPU time. SQLite's C code is given memory by this one too.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Failure = Box<dyn std::error::Error>;

/// Wrong usage or settings.
const USAGE: u8 = 2;

/// `check`, `status` and `reset` wait for others, brokers and the database, no longer than this in all: somebody is waiting for them.
const LOOK_TIME_MAX: Duration = Duration::from_mins(1);

fn main() -> ExitCode {
    let outcome = obey();
    // Whatever else it was: who reads the output does not have all of it.
    let output = cli::take_output_error().map_or(ExitCode::SUCCESS, |error| fail(&error, ExitCode::FAILURE));
    match outcome {
        Ok(true) => output,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.is::<SettingsError>() || error.is::<UsageError>() => fail(&*error, ExitCode::from(USAGE)),
        Err(error) => fail(&*error, ExitCode::FAILURE),
    }
}

/// Whether all is well.
fn obey() -> Result<bool, Failure> {
    signals::survive_file_size_limit()?;
    match cli::parse(std::env::args_os().skip(1))? {
        Asked::Text(text) => cli::print(text),
        Asked::Views(databases) => views::print(&databases)?,
        Asked::Work(invocation) => return work(&invocation),
    }
    Ok(true)
}

/// Whether all is well.
fn work(invocation: &Invocation) -> Result<bool, Failure> {
    let settings = Settings::load(std::env::vars_os(), invocation.env_file.as_deref())?;
    match &invocation.command {
        Command::Run { exit_at_end } => run(&settings, *exit_at_end),
        Command::Check { verbose } => {
            give_up_after(LOOK_TIME_MAX)?;
            Ok(check::check(&settings, *verbose))
        }
        Command::Status(options) => {
            give_up_after(LOOK_TIME_MAX)?;
            Ok(status::print(&settings, *options)?)
        }
        Command::Replay { dry_run } => Ok(replay::replay(&settings, *dry_run).map(|()| true)?),
        Command::Reset(options) => {
            give_up_after(LOOK_TIME_MAX)?;
            reset::reset(&settings, options)
        }
        Command::Verify => Ok(verify::verify(&settings)?),
    }
}

/// Ends the process when a command has not ended by itself until then.
fn give_up_after(time: Duration) -> io::Result<()> {
    let give_up = move || {
        thread::sleep(time);
        cli::print_error(&GaveUp(time));
        std::process::exit(1);
    };
    thread::Builder::new().name("deadline".to_owned()).spawn(give_up).map(drop)
}

/// A command took too long.
#[derive(Debug)]
struct GaveUp(Duration);

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gave up after {} s: brokers or the database did not answer in time", self.0.as_secs())
    }
}

impl std::error::Error for GaveUp {}

fn run(settings: &Settings, exit_at_end: bool) -> Result<bool, Failure> {
    let security = settings.kafka.security.load()?;
    let stop = Stop::install(settings.shutdown_timeout)?;
    logger::init(&settings.log)?;
    let result = service::run(settings, security, exit_at_end, &stop);
    let result = result.inspect_err(|error| log::error!("{}", ErrorChain(error)));
    stop.finished();
    // What the log has told, on the console too, is not told twice.
    if log::log_enabled!(log::Level::Error) { Ok(result.is_ok()) } else { Ok(result.map(|()| true)?) }
}

fn fail(error: &dyn std::error::Error, code: ExitCode) -> ExitCode {
    cli::print_error(error);
    code
}
