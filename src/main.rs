//! The program: parses its arguments, runs one command, prints one error chain, and says how it went by its exit code.

use std::process::ExitCode;

use enterprise_consumer::cli::{self, Command};
use enterprise_consumer::settings::Settings;
use enterprise_consumer::shutdown::Stop;
use enterprise_consumer::{check, logger, service, status};

type Failure = Box<dyn std::error::Error>;

/// Wrong usage or settings.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os().skip(1)) {
        Ok(invocation) => invocation,
        Err(error) => return fail(&error, USAGE),
    };
    match invocation.command {
        Command::Help => return done(cli::HELP),
        Command::Version => return done(concat!("enterprise-consumer ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Run { .. } | Command::Check | Command::Status { .. } => {}
    }
    let settings = match Settings::load(std::env::vars_os(), invocation.env_file.as_deref()) {
        Ok(settings) => settings,
        Err(error) => return fail(&error, USAGE),
    };
    let result = match invocation.command {
        Command::Run { exit_at_end } => run(&settings, exit_at_end).map(|()| true),
        Command::Check => Ok(check::check(&settings)),
        Command::Status { json } => status::print(&settings, json).map(|()| true).map_err(Failure::from),
        Command::Help | Command::Version => Ok(true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&*error, 1),
    }
}

fn run(settings: &Settings, exit_at_end: bool) -> Result<(), Failure> {
    let stop = Stop::install(settings.shutdown_timeout)?;
    logger::init(&settings.log)?;
    let result = service::run(settings, exit_at_end, &stop);
    stop.finished();
    Ok(result?)
}

fn done(text: &str) -> ExitCode {
    cli::print(text);
    ExitCode::SUCCESS
}

fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    cli::print_error(error);
    ExitCode::from(code)
}
