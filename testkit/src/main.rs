//! The program that `./quickstart` runs: brokers, topics and samples. Must not know the service.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use testkit::{Client, Cluster, Error, NEWEST, ProduceOptions, Result, samples};

const HELP: &str = "\
Usage: testkit check
       testkit fetch
       testkit broker --port PORT --data-dir DIR
       testkit has-topic --bootstrap-servers SERVERS --topic TOPIC
       testkit samples --round N (--print | --bootstrap-servers SERVERS --topic TOPIC)

check      says in one line what is missing to run Kafka on this machine, if anything is
fetch      downloads Kafka into the cache if it is not there
broker     runs a Kafka broker with its data below DIR; prints 'ready' when it is, and runs until its input ends; if that
           was the line 'keep', until somebody stops the process whose id is in DIR/broker.pid
has-topic  prints 'yes' or 'no'
samples    creates the topic with 3 partitions if it is not there, and produces the sample events of round N (from 1);
           or prints them, as kafka-console-producer takes them (key, tab, value; the null value is 'NULL')
";

/// The seed of the samples, which are the same on every machine.
const SEED: u64 = 2025;

const PARTITIONS: u32 = 3;

/// Time between two checks whether a broker still runs.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["check"] => testkit::check_prerequisites(),
        ["fetch"] => testkit::fetch(NEWEST),
        ["broker", "--port", port, "--data-dir", directory] => broker(port, directory),
        ["has-topic", "--bootstrap-servers", servers, "--topic", topic] => has_topic(servers, topic),
        ["samples", "--round", round, "--print"] => print_samples(round),
        ["samples", "--round", round, "--bootstrap-servers", servers, "--topic", topic] => {
            produce_samples(round, servers, topic)
        }
        _ => Err(Error::Usage(HELP.trim_end().to_owned())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn broker(port: &str, directory: &str) -> Result<()> {
    let port = port.parse().map_err(|_| Error::Usage(format!("'{port}' is not a port")))?;
    let directory = PathBuf::from(directory);
    let ready = Arc::new(AtomicBool::new(false));
    let input_end = watch_input(Arc::clone(&ready));
    let cluster = Cluster::builder(NEWEST).port(port).data_dir(&directory).start()?;
    let node = cluster.node(1)?;
    let pid_file = directory.join("broker.pid");
    let pid = node.pid().map(|pid| format!("{pid}\n")).unwrap_or_default();
    fs::write(&pid_file, pid).map_err(|source| Error::Io { doing: format!("write {}", pid_file.display()), source })?;
    ready.store(true, Ordering::SeqCst);
    say("ready\n".as_bytes())?;

    while node.is_running()? && input_end.recv_timeout(LOOK_INTERVAL) == Err(RecvTimeoutError::Timeout) {}
    let stopped = node.stop();
    // The port distinguishes a running broker from a stale file.
    let _ = fs::remove_file(&pid_file);
    stopped
}

/// Closes the channel at the end of the input, unless that was the line 'keep'. Before the broker is ready, the end of the
/// input ends this process, and with it whatever is being started or downloaded.
fn watch_input(ready: Arc<AtomicBool>) -> Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut input = String::new();
        // An input that cannot be read counts as ended.
        let _ = io::stdin().lock().read_to_string(&mut input);
        if !ready.load(Ordering::SeqCst) {
            process::exit(1);
        }
        if input == "keep\n" {
            loop {
                thread::park();
            }
        }
        drop(sender);
    });
    receiver
}

fn has_topic(servers: &str, topic: &str) -> Result<()> {
    let exists = Client::connect(NEWEST, servers)?.topic_exists(topic)?;
    say(if exists { b"yes\n" } else { b"no\n" })
}

fn produce_samples(round: &str, servers: &str, topic: &str) -> Result<()> {
    let records = samples::events(SEED, parse_round(round)?);
    let count = records.len();
    let kafka = Client::connect(NEWEST, servers)?;
    if !kafka.topic_exists(topic)? {
        kafka.create_topic(topic, PARTITIONS, &[])?;
    }
    kafka.produce(topic, &ProduceOptions::default().codec(testkit::Codec::Lz4).linger_ms(20), records)?;
    say(format!("{count} records\n").as_bytes())
}

fn print_samples(round: &str) -> Result<()> {
    let mut lines = Vec::new();
    for record in samples::events(SEED, parse_round(round)?) {
        lines.extend(record.key.unwrap_or_default());
        lines.push(b'\t');
        lines.extend(record.value.unwrap_or_else(|| b"NULL".to_vec()));
        lines.push(b'\n');
    }
    say(&lines)
}

fn parse_round(round: &str) -> Result<u32> {
    round.parse().map_err(|_| Error::Usage(format!("'{round}' is not the number of a round")))
}

fn say(what: &[u8]) -> Result<()> {
    let mut output = io::stdout().lock();
    let said = output.write_all(what).and_then(|()| output.flush());
    said.map_err(|source| Error::Io { doing: "write to standard output".to_owned(), source })
}
