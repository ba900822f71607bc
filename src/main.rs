//! The program: parses the command line, runs one command, prints one error chain, and exits.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | success |
//! | 1 | failure; of `check`, `health`, `status` and `verify` also: a problem was found; of `decode`: a message is not an event |
//! | 2 | wrong usage or settings, or input that cannot be read: a restart does not help |
//! | 130 | ended by a second signal ([`EXIT_SECOND_SIGNAL`](enterprise_consumer::runtime::shutdown::EXIT_SECOND_SIGNAL)) |

use std::error::Error;
use std::process::ExitCode;

use enterprise_consumer::cli::{self, Command, CommandLine, Invocation};
use enterprise_consumer::commands::{
    BROKERS_OR_DATABASE, COMMAND_TIME_MAX, CommandError, check, decode, exit_after, health, prune, replay, reset, run,
    status, tail, unidentified, verify, views,
};
use enterprise_consumer::runtime::progress_line::Stopwatch;
use enterprise_consumer::runtime::shutdown::StopError;
use enterprise_consumer::runtime::{output, signals};
use enterprise_consumer::settings::Settings;

// musl's `memcpy` is slow, and the linker takes this one.
#[cfg(target_env = "musl")]
use musl_memory as _;

/// musl's allocator returns large blocks to the kernel at once and locks for small ones: with it the service needs 1.5 times the CPU
/// time. SQLite uses this allocator too.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit code of wrong usage or settings.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    // Before anything is written.
    if let Err(error) = signals::survive_file_size_limit() {
        return fail(&StopError::Signals(error), ExitCode::FAILURE);
    }
    let command_line = match cli::parse(std::env::args_os().skip(1)) {
        Ok(command_line) => command_line,
        Err(error) => return fail(&error, ExitCode::from(USAGE)),
    };
    let result = execute(command_line);
    let output = output::take_error().map_or(ExitCode::SUCCESS, |error| fail(&error, ExitCode::FAILURE));
    match result {
        Ok(true) => output,
        Ok(false) => ExitCode::FAILURE,
        Err(error @ (CommandError::Settings(_) | CommandError::Listen(_) | CommandError::Decode(_))) => {
            fail(&error, ExitCode::from(USAGE))
        }
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

/// Returns whether the command found no problem.
fn execute(command_line: CommandLine) -> Result<bool, CommandError> {
    match command_line {
        CommandLine::Text(text) => {
            output::print(text);
            Ok(true)
        }
        CommandLine::Decode(options) => decode::decode(&options),
        CommandLine::Views(databases) => Ok(views::print(&databases).map(|()| true)?),
        CommandLine::Command(Invocation { env_file, command }) => {
            let settings = Settings::load(std::env::vars_os(), env_file.as_deref())?;
            dispatch(command, &settings)
        }
    }
}

fn dispatch(command: Command, settings: &Settings) -> Result<bool, CommandError> {
    let _stopwatch = if matches!(command, Command::Check { .. } | Command::Status(_) | Command::Reset(_)) {
        exit_after(COMMAND_TIME_MAX, BROKERS_OR_DATABASE)?;
        Some(Stopwatch::start("waiting for responses", settings.can_redraw))
    } else {
        None
    };
    match command {
        Command::Run { exit_at_end } => run::run(settings, exit_at_end),
        Command::Health { ready } => health::health(settings, ready),
        Command::Check { verbose } => Ok(check::check(settings, verbose)),
        Command::Status(options) => Ok(status::print(settings, options)?),
        Command::Replay { dry_run } => replay::replay(settings, dry_run).map(|()| true),
        Command::Reset(options) => reset::reset(settings, &options),
        Command::Unidentified(command) => unidentified::unidentified(settings, &command),
        Command::Prune(options) => prune::prune(settings, &options).map(|()| true),
        Command::Tail { json } => tail::tail(settings, json).map(|()| true),
        Command::Verify => Ok(verify::verify(settings)?),
    }
}

fn fail(error: &dyn Error, code: ExitCode) -> ExitCode {
    output::print_error(error);
    code
}
