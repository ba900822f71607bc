//! The program: parses its arguments, runs one command, prints one error chain, and says how it went by its exit code.

use std::process::ExitCode;

use enterprise_consumer::cli::{self, Command, Invocation};
use enterprise_consumer::error_chain::ErrorChain;
use enterprise_consumer::settings::Settings;
use enterprise_consumer::shutdown::Stop;
use enterprise_consumer::{check, logger, service, status};

type Failure = Box<dyn std::error::Error>;

/// Exit code: failed.
const FAILED: u8 = 1;
/// Exit code: wrong usage or settings.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => invocation,
        Err(error) => return fail(&error, USAGE),
    };
    match invocation.command {
        Command::Help => done(cli::HELP),
        Command::Version => done(concat!("enterprise-consumer ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Run { exit_at_end } => with_settings(&invocation, |settings| run(settings, exit_at_end)),
        Command::Check => with_settings(&invocation, |settings| Ok(check::check(settings))),
        Command::Status { json } => {
            with_settings(&invocation, |settings| Ok(status::print(settings, json).map(|()| true)?))
        }
    }
}

/// Does the work of a command; its answer is whether all is well.
fn with_settings(invocation: &Invocation, work: impl FnOnce(&Settings) -> Result<bool, Failure>) -> ExitCode {
    let settings = match Settings::load(std::env::vars_os(), invocation.env_file.as_deref()) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, USAGE),
    };
    match work(&settings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => fail(&*error, FAILED),
    }
}

fn run(settings: &Settings, exit_at_end: bool) -> Result<bool, Failure> {
    let stop = Stop::install(settings.shutdown_timeout)?;
    logger::init(&settings.log)?;
    let result = service::run(settings, exit_at_end, &stop);
    if let Err(error) = &result {
        log::error!("{}", ErrorChain(error));
    }
    stop.finished();
    match result {
        Err(error) if !log::log_enabled!(log::Level::Error) => Err(error.into()),
        // The log has told it, on the console too.
        result => Ok(result.is_ok()),
    }
}

fn done(text: &str) -> ExitCode {
    cli::print(text);
    ExitCode::SUCCESS
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    cli::print_error(error);
    ExitCode::from(code)
}
