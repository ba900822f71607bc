//! The format of a line on the console and in the file, and a file that cannot be written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use log::kv::Value;
use time::macros::utc_datetime;

use super::*;
use crate::runtime::permissions::FileMode;

/// A console that keeps level and text of each line.
#[derive(Clone, Default)]
struct CapturedConsole(Arc<Mutex<Vec<String>>>);

impl CapturedConsole {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Log for CapturedConsole {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

fn logger(level: LevelFilter, file: Option<&Path>) -> (Logger, CapturedConsole) {
    // The macros check this level first; without a global logger it has no other effect.
    log::set_max_level(LevelFilter::Trace);
    let console = CapturedConsole::default();
    let settings =
        LogSettings { console: ConsoleFormat::Text, level, file: file.map(Path::to_owned), file_mode: FileMode::Owner };
    (Logger::new(&settings, Console::Text(Box::new(console.clone()))), console)
}

fn read_lines(path: &Path) -> Vec<serde_json::Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn messages(path: &Path) -> Vec<String> {
    read_lines(path).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn json_lines() {
    let check = |fields: &[(&str, Value<'_>)], message: &str, expected: &str| {
        let mut record = Record::builder();
        let now = utc_datetime!(2024-01-02 03:04:05.006_999);
        record.level(Level::Warn).target("kafka::client").key_values(&fields);
        let line = line::json(&record.args(format_args!("{message}")).build(), now);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            format!(r#"{{"timestamp":"2024-01-02T03:04:05.006Z","level":"WARN","target":"kafka::client",{expected}}}"#)
                + "\n"
        );
    };
    check(&[], "hello", r#""message":"hello""#);
    check(&[], "line\n\"two\"\u{1}é", r#""message":"line\n\"two\"\u0001é""#);
    let debug = Some(1);
    check(
        &[
            ("topic", Value::from("sales_events")),
            ("partition", Value::from(3_i32)),
            ("offset", Value::from(-1_i64)),
            ("records", Value::from(u64::MAX)),
            ("big", Value::from(u128::MAX)),
            ("rate", Value::from(0.5)),
            ("nan", Value::from(f64::NAN)),
            ("last", Value::from(true)),
            ("letter", Value::from('x')),
            ("none", Value::null()),
            ("debug", Value::from_debug(&debug)),
        ],
        "m",
        concat!(
            r#""message":"m","topic":"sales_events","partition":3,"offset":-1,"records":18446744073709551615,"#,
            r#""big":340282366920938463463374607431768211455,"rate":0.5,"nan":null,"last":true,"letter":"x","none":null,"#,
            r#""debug":"Some(1)""#
        ),
    );
    check(
        &[("message", Value::from(1)), ("level", Value::from("x")), ("levels", Value::from(2))],
        "m",
        r#""message":"m","field_message":1,"field_level":"x","levels":2"#,
    );
}

#[test]
fn a_field_that_fails_to_print_loses_the_fields_only() {
    struct Source;

    impl log::kv::Source for Source {
        fn visit<'kvs>(&'kvs self, _: &mut dyn log::kv::VisitSource<'kvs>) -> Result<(), log::kv::Error> {
            Err(log::kv::Error::from(fmt::Error))
        }
    }

    let record = &mut Record::builder();
    let line = line::json(&record.key_values(&Source).args(format_args!("\"m\"")).build(), UtcDateTime::now());
    assert_eq!(String::from_utf8(line).unwrap(), "{\"message\":\"\\\"m\\\"\"}\n");
}

#[test]
fn the_text_console_shows_the_fields_after_the_message() {
    let (logger, console) = logger(LevelFilter::Info, None);
    log::info!(logger: logger, partition = 3, path = "a b", none = "", quoted = "\"", newline = "x\ny"; "stored");
    log::info!(logger: logger, "plain");
    assert_eq!(
        console.take(),
        [r#"INFO stored partition=3 path="a b" none="" quoted="\"" newline="x\ny""#, "INFO plain"]
    );
}

#[test]
fn levels() {
    let check = |level, target: &str, expected: &[&str]| {
        let (logger, console) = logger(level, None);
        for level in Level::iter() {
            logger.log(&Record::builder().level(level).target(target).args(format_args!("m")).build());
        }
        let console: Vec<String> = console.take().iter().map(|line| line.replace(" m", "")).collect();
        assert_eq!(console, expected, "{level} {target}");
    };
    check(LevelFilter::Off, "kafka", &[]);
    check(LevelFilter::Error, "kafka", &["ERROR"]);
    check(LevelFilter::Info, "enterprise_consumer::service", &["ERROR", "WARN", "INFO"]);
    check(LevelFilter::Trace, "kafka::client", &["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]);
    check(LevelFilter::Trace, "kafka_protocol", &["ERROR", "WARN"]);
    check(LevelFilter::Error, "rustls::client", &["ERROR"]);
    check(LevelFilter::Trace, "", &["ERROR", "WARN"]);
}

#[test]
fn the_file_is_created_and_appended_to_even_after_truncation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/consumer.log");
    let (first, _) = logger(LevelFilter::Info, Some(&path));
    log::info!(logger: first, n = 1; "one");
    let (second, _) = logger(LevelFilter::Info, Some(&path));
    log::info!(logger: second, "two");
    log::info!(logger: first, "three");
    assert_eq!(messages(&path), ["one", "two", "three"]);
    assert_eq!(read_lines(&path)[0]["n"], 1);
    assert_eq!(read_lines(&path)[0]["target"], module_path!());

    // As logrotate's copytruncate does: no hole of zeros, no lost line.
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    log::info!(logger: first, "four");
    log::info!(logger: second, "five");
    assert_eq!(messages(&path), ["four", "five"]);
}

#[test]
fn a_failing_file_is_reported_once_and_recovers_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (path, good) = (directory.path().join("log"), directory.path().join("good"));
    let (logger, console) = logger(LevelFilter::Info, Some(&path));
    let failing = |reason| {
        format!("WARN cannot write the log file; new lines are on the console only: {reason} path={}", path.display())
    };

    fs::create_dir(&path).unwrap();
    log::info!(logger: logger, "one");
    log::info!(logger: logger, "two");
    assert_eq!(console.take(), ["INFO one".to_owned(), failing("Is a directory (os error 21)"), "INFO two".to_owned()]);

    fs::remove_dir(&path).unwrap();
    symlink(&good, &path).unwrap();
    log::info!(logger: logger, "three");
    assert_eq!(console.take(), ["INFO three", "WARN the log file can be written again lines_lost=2"]);
    assert_eq!(messages(&path), ["three", "the log file can be written again"]);
    assert_eq!(read_lines(&path)[1]["lines_lost"], 2);
}

#[test]
fn a_full_disk_is_reported_once_and_recovers_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let (path, good) = (directory.path().join("log"), directory.path().join("good"));
    symlink("/dev/full", &path).unwrap();
    let (logger, console) = logger(LevelFilter::Info, Some(&path));
    log::info!(logger: logger, "one");
    log::info!(logger: logger, "two");
    let lines = console.take();
    assert!(lines[1].starts_with("WARN") && lines[1].contains("No space left on device"), "{lines:?}");
    assert_eq!(lines.len(), 3);

    fs::remove_file(&path).unwrap();
    symlink(&good, &path).unwrap();
    log::info!(logger: logger, "three");
    assert_eq!(console.take().len(), 2);
    assert_eq!(messages(&good), ["three", "the log file can be written again"]);
}

#[test]
fn lines_of_many_threads_do_not_mix() {
    const THREADS: usize = 4;
    const LINES: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let text = "x".repeat(10_000);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (path, text) = (&path, &text);
            // One logger each, as in separate processes.
            scope.spawn(move || {
                let (logger, _) = logger(LevelFilter::Info, Some(path));
                for line in 0..LINES {
                    log::info!(logger: logger, thread, line; "{text}");
                }
            });
        }
    });
    let mut seen: Vec<(u64, u64)> = read_lines(&path)
        .iter()
        .map(|line| (line["thread"].as_u64().unwrap(), line["line"].as_u64().unwrap()))
        .collect();
    seen.sort_unstable();
    let expected: Vec<(u64, u64)> =
        (0..THREADS as u64).flat_map(|thread| (0..LINES as u64).map(move |line| (thread, line))).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_file_that_was_removed_or_moved_is_created_again() {
    use std::os::unix::fs::MetadataExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("logs/consumer.log");
    let (logger, _) = logger(LevelFilter::Info, Some(&path));
    let say = |text: &str| {
        logger.log(&Record::builder().level(Level::Info).target("kafka").args(format_args!("{text}")).build());
    };
    let messages = || -> Vec<String> {
        read_lines(&path).iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    };
    say("one");
    fs::remove_file(&path).unwrap();
    say("two");
    assert_eq!(messages(), ["two"]);
    fs::rename(&path, directory.path().join("moved.log")).unwrap();
    say("three");
    assert_eq!(messages(), ["three"]);
    fs::remove_dir_all(directory.path().join("logs")).unwrap();
    say("four");
    assert_eq!(messages(), ["four"]);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
}
