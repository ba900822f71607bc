//! The program: parses its arguments, runs one command, prints one error chain, and says how it went by its exit code.

use std::process::ExitCode;

use enterprise_consumer::cli::{self, Asked, Command, Invocation};
use enterprise_consumer::error_chain::ErrorChain;
use enterprise_consumer::settings::{Settings, SettingsError};
use enterprise_consumer::shutdown::Stop;
use enterprise_consumer::{check, logger, replay, reset, service, status, verify, views};

/// musl's own gives large pieces back to the kernel at once and takes a lock for small ones: with it the whole job takes 1.5 times the
/// CPU time. SQLite's C code is given memory by this one too.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Failure = Box<dyn std::error::Error>;

/// Wrong usage or settings.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)) {
        Err(error) => fail(&error, ExitCode::from(USAGE)),
        Ok(Asked::Text(text)) => {
            cli::print(text);
            ExitCode::SUCCESS
        }
        Ok(Asked::Views(databases)) => match views::print(&databases) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, ExitCode::FAILURE),
        },
        Ok(Asked::Work(invocation)) => match work(&invocation) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) if error.is::<SettingsError>() => fail(&*error, ExitCode::from(USAGE)),
            Err(error) => fail(&*error, ExitCode::FAILURE),
        },
    }
}

/// Whether all is well.
fn work(invocation: &Invocation) -> Result<bool, Failure> {
    let settings = Settings::load(std::env::vars_os(), invocation.env_file.as_deref())?;
    match &invocation.command {
        Command::Run { exit_at_end } => run(&settings, *exit_at_end),
        Command::Check { verbose } => Ok(check::check(&settings, *verbose)),
        Command::Status(options) => Ok(status::print(&settings, *options)?),
        Command::Replay { dry_run } => Ok(replay::replay(&settings, *dry_run).map(|()| true)?),
        Command::Reset(options) => reset::reset(&settings, options),
        Command::Verify => Ok(verify::verify(&settings)?),
    }
}

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
