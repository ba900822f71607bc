//! Compares the service with other ways to bring events from Kafka into SQLite. `./bench` builds and calls it; whatever it
//! measures runs in a process of its own, some of them this program again.

mod broker;
mod checkpointer;
mod database;
mod events;
mod idle;
mod latency;
mod limit;
mod long;
mod machine;
mod measure;
mod options;
mod peers;
mod profile;
mod report;
mod results;
mod service;
mod sets;
mod sql;
mod start;
mod throughput;

use std::process::ExitCode;
use std::time::Instant;

use options::{Options, Task};

/// Any error ends the program with one line.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

fn main() -> ExitCode {
    let done = Task::parse(lexopt::Parser::from_env()).and_then(|task| match task {
        Task::Run(options) => run(&options),
        Task::Measure { usage, command } => measure::child(&usage, &command),
        Task::Peer(peer) => peers::rdkafka::run(&peer),
        Task::Limit(limit) => limit::run(&limit),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let mut results = results::Results::load_or_begin(options)?;
    if !options.report_only {
        measure_all(options, &mut results)?;
    }
    print!("{}", report::console(&results));
    report::write(&results, &options.docs)?;
    println!("\nwritten: {}", options.docs.join("benchmarks.md").display());
    Ok(())
}

/// Part by part, each saved when it is done.
fn measure_all(options: &Options, results: &mut results::Results) -> Result<()> {
    let begun = Instant::now();
    let broker = broker::Broker::start(options)?;
    throughput::measure(options, &broker, results)?;
    if options.wants("latency") {
        results.latency = timed("latency", || latency::measure(options, &broker))?;
        results.save(options)?;
    }
    if options.wants("start") {
        results.start = Some(timed("start", || start::measure(options, &broker))?);
        results.save(options)?;
    }
    if options.wants("idle") {
        results.idle = timed("idle", || idle::measure(options, &broker))?;
        results.save(options)?;
    }
    if options.wants("profile") {
        results.profile = Some(timed("profile", || profile::measure(options, &broker))?);
        results.save(options)?;
    }
    if options.wants("long") {
        results.long = timed("long", || long::measure(options, &broker))?;
        results.save(options)?;
    }
    println!("all together: {} s", begun.elapsed().as_secs());
    Ok(())
}

/// Measures a part, and prints how long that takes.
fn timed<T>(name: &str, measure: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let measured = measure()?;
    println!("  {name}: {} s", begun.elapsed().as_secs());
    Ok(measured)
}
