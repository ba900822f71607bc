//! Every variable: what it may be, and the line that refuses what it may not be.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;

use kafka::{ClientCertificate, SaslMechanism, Secret, TlsFiles};

use super::*;
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::permissions::FileMode;

/// A settings file that says nothing, so that no `.env` of this machine counts.
fn no_file() -> tempfile::NamedTempFile {
    tempfile::NamedTempFile::new().unwrap()
}

fn load(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let environment = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Settings::load(environment, Some(no_file().path())).map_err(|error| ErrorChain(&error).to_string())
}

/// Reads a file, with nothing in the environment.
fn load_file(text: impl AsRef<[u8]>) -> Result<Settings, String> {
    let file = no_file();
    fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    Settings::load([], Some(file.path())).map_err(|error| ErrorChain(&error).to_string().replace(&path, "FILE"))
}

fn address(host: &str, port: u16) -> Address {
    Address { host: host.to_owned(), port }
}

#[test]
fn defaults() {
    let expected = Settings {
        kafka: KafkaSettings {
            bootstrap_servers: vec![address("localhost", 9092)],
            group_id: "enterprise-consumer-group".to_owned(),
            topics: vec!["sales_events".to_owned()],
            client_id: "enterprise-consumer".to_owned(),
            auto_offset_reset: OffsetReset::Earliest,
            isolation_level: IsolationLevel::ReadCommitted,
            group_protocol: GroupProtocol::Classic,
            group_instance_id: None,
            session_timeout: Duration::from_secs(45),
            client_rack: None,
            validate_leader_epochs: true,
            security: Security { tls: None, sasl: None },
            fetch_max_bytes: NonZeroU32::new(4_194_304).unwrap(),
            buffer_max_bytes: NonZeroU32::new(33_554_432).unwrap(),
            receive_max_bytes: NonZeroU32::new(104_857_600).unwrap(),
        },
        database: DatabaseSettings {
            path: PathBuf::from("data/enterprise.db"),
            synchronous: Synchronous::Normal,
            wal_bytes_max: 1_073_741_824,
            file_mode: FileMode::Owner,
        },
        retry: RetryPolicy { initial: Duration::from_millis(200), max: Duration::from_secs(30), attempts_max: None },
        log: LogSettings {
            app_env: AppEnv::Development,
            level: LevelFilter::Info,
            file: Some(PathBuf::from("logs/consumer.log")),
            file_mode: FileMode::Owner,
        },
        batch_records_max: NonZeroUsize::new(5000).unwrap(),
        last_modified_max_ahead: Some(Duration::from_hours(24)),
        fail_on_data_loss: true,
        shutdown_timeout: Duration::from_secs(10),
        unidentified_log_file: Some(PathBuf::from("logs/unidentified_messages.log")),
        warnings: Vec::new(),
    };
    assert_eq!(load(&[]), Ok(expected));
}

/// Sets one variable to each of the good values, and compares what comes of it.
fn check_good<T: PartialEq + std::fmt::Debug>(variable: &str, get: fn(Settings) -> T, good: Vec<(&str, T)>) {
    for (value, expected) in good {
        let settings = load(&[(variable, value)]).unwrap_or_else(|line| panic!("{line}"));
        assert_eq!(settings.warnings, Vec::<String>::new());
        assert_eq!(get(settings), expected, "{variable}={value}");
    }
}

/// Sets one variable to each of the bad values, and compares the line that refuses it.
fn check_bad(variable: &str, allowed: &str, bad: &[&str]) {
    for value in bad {
        assert_eq!(load(&[(variable, value)]), Err(format!("{variable} is '{value}'; allowed: {allowed}")));
    }
}

#[test]
fn choices() {
    let check = |variable, allowed| check_bad(variable, allowed, &["", "nonsense", "0"]);
    check_good(
        "APP_ENV",
        |settings| settings.log.app_env,
        vec![
            ("development", AppEnv::Development),
            ("production", AppEnv::Production),
            ("PRODUCTION", AppEnv::Production),
        ],
    );
    check("APP_ENV", "development, production");
    check_good(
        "LOG_LEVEL",
        |settings| settings.log.level,
        vec![
            ("OFF", LevelFilter::Off),
            ("ERROR", LevelFilter::Error),
            ("WARN", LevelFilter::Warn),
            ("INFO", LevelFilter::Info),
            ("DEBUG", LevelFilter::Debug),
            ("trace", LevelFilter::Trace),
        ],
    );
    check("LOG_LEVEL", "OFF, ERROR, WARN, INFO, DEBUG, TRACE");
    check_good(
        "KAFKA_AUTO_OFFSET_RESET",
        |settings| settings.kafka.auto_offset_reset,
        vec![("earliest", OffsetReset::Earliest), ("latest", OffsetReset::Latest), ("error", OffsetReset::Error)],
    );
    check("KAFKA_AUTO_OFFSET_RESET", "earliest, latest, error");
    check_good(
        "KAFKA_ISOLATION_LEVEL",
        |settings| settings.kafka.isolation_level,
        vec![("read_committed", IsolationLevel::ReadCommitted), ("read_uncommitted", IsolationLevel::ReadUncommitted)],
    );
    check("KAFKA_ISOLATION_LEVEL", "read_committed, read_uncommitted");
    check_good(
        "KAFKA_GROUP_PROTOCOL",
        |settings| settings.kafka.group_protocol,
        vec![
            ("none", GroupProtocol::None),
            ("classic", GroupProtocol::Classic),
            ("consumer", GroupProtocol::Consumer),
            ("CLASSIC", GroupProtocol::Classic),
        ],
    );
    check("KAFKA_GROUP_PROTOCOL", "classic, consumer, none");
    check_good("KAFKA_SECURITY_PROTOCOL", |settings| settings.kafka.security, vec![("PLAINTEXT", Security::default())]);
    check("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL");
    check_good(
        "DATABASE_SYNCHRONOUS",
        |settings| settings.database.synchronous,
        vec![("NORMAL", Synchronous::Normal), ("FULL", Synchronous::Full)],
    );
    check("DATABASE_SYNCHRONOUS", "NORMAL, FULL");
    check_good("FAIL_ON_DATA_LOSS", |settings| settings.fail_on_data_loss, vec![("true", true), ("false", false)]);
    check("FAIL_ON_DATA_LOSS", "true, false");
}

/// What is no number, one that no integer holds, and those out of the range.
fn check_bad_numbers(variable: &str, allowed: &str, out_of_range: &[&str]) {
    check_bad(variable, allowed, &["", "-1", "+1", "1.5", "1e3", "5k", "99999999999999999999999"]);
    check_bad(variable, allowed, out_of_range);
}

#[test]
fn sizes_and_counts() {
    let check = check_bad_numbers;
    check_good(
        "LAST_MODIFIED_MAX_AHEAD_MS",
        |settings| settings.last_modified_max_ahead,
        vec![
            ("0", None),
            ("1", Some(Duration::from_millis(1))),
            ("3153600000000", Some(Duration::from_hours(876_000))),
        ],
    );
    let allowed = "a whole number from 0 to 3153600000000 milliseconds (0: no limit)";
    check("LAST_MODIFIED_MAX_AHEAD_MS", allowed, &["3153600000001"]);
    let bytes = |number| NonZeroU32::new(number).unwrap();
    check_good(
        "KAFKA_FETCH_MAX_BYTES",
        |settings| settings.kafka.fetch_max_bytes,
        vec![("1", bytes(1)), ("104857600", bytes(104_857_600))],
    );
    check("KAFKA_FETCH_MAX_BYTES", "a whole number from 1 to 2147483647 bytes", &["0", "2147483648"]);
    check_good(
        "KAFKA_RECEIVE_MAX_BYTES",
        |settings| settings.kafka.receive_max_bytes,
        vec![("16777216", bytes(16_777_216)), ("2147483647", bytes(2_147_483_647))],
    );
    check("KAFKA_RECEIVE_MAX_BYTES", "a whole number from 1 to 2147483647 bytes", &["0", "2147483648"]);
    check_good(
        "KAFKA_BUFFER_MAX_BYTES",
        |settings| settings.kafka.buffer_max_bytes,
        vec![("4194304", bytes(4_194_304)), ("2147483647", bytes(2_147_483_647))],
    );
    check("KAFKA_BUFFER_MAX_BYTES", "a whole number from 1048576 to 2147483647 bytes", &["0", "1048575", "2147483648"]);
    check_good(
        "KAFKA_FETCH_MAX_BYTES",
        |settings| settings.kafka.buffer_max_bytes,
        vec![("8388608", bytes(33_554_432)), ("16777216", bytes(67_108_864))],
    );
    check_good(
        "WAL_MAX_BYTES",
        |settings| settings.database.wal_bytes_max,
        vec![("1048576", 1_048_576), ("9223372036854775807", 9_223_372_036_854_775_807)],
    );
    check(
        "WAL_MAX_BYTES",
        "a whole number from 1048576 to 9223372036854775807 bytes",
        &["0", "1048575", "9223372036854775808"],
    );
    check_good(
        "BATCH_MAX_RECORDS",
        |settings| settings.batch_records_max.get(),
        vec![("1", 1), ("0010", 10), ("1000000", 1_000_000)],
    );
    check("BATCH_MAX_RECORDS", "a whole number from 1 to 1000000", &["0", "1000001"]);
    check_good(
        "RETRY_MAX_ATTEMPTS",
        |settings| settings.retry.attempts_max.map(NonZeroU32::get),
        vec![("0", None), ("1", Some(1)), ("4294967295", Some(4_294_967_295))],
    );
    check("RETRY_MAX_ATTEMPTS", "a whole number from 0 to 4294967295 (0: no limit)", &["4294967296"]);
}

#[test]
fn times() {
    let milliseconds = Duration::from_millis;
    let check = check_bad_numbers;
    check_good(
        "RETRY_INITIAL_MS",
        |settings| settings.retry.initial,
        vec![("1", milliseconds(1)), ("30000", milliseconds(30_000))],
    );
    check("RETRY_INITIAL_MS", "a whole number from 1 to 3600000 milliseconds", &["0", "3600001"]);
    check_good(
        "RETRY_MAX_MS",
        |settings| settings.retry.max,
        vec![("200", milliseconds(200)), ("3600000", milliseconds(3_600_000))],
    );
    check("RETRY_MAX_MS", "a whole number from 1 to 3600000 milliseconds", &["0", "3600001"]);
    check_good(
        "SHUTDOWN_TIMEOUT_MS",
        |settings| settings.shutdown_timeout,
        vec![("1", milliseconds(1)), ("3600000", milliseconds(3_600_000))],
    );
    check("SHUTDOWN_TIMEOUT_MS", "a whole number from 1 to 3600000 milliseconds", &["0", "3600001"]);
    check_good(
        "KAFKA_SESSION_TIMEOUT_MS",
        |settings| settings.kafka.session_timeout,
        vec![("", milliseconds(45_000)), ("6000", milliseconds(6_000))],
    );
    check_bad(
        "KAFKA_SESSION_TIMEOUT_MS",
        "a whole number from 1 to 2147483647 milliseconds",
        &["0", "45s", "2147483648"],
    );
}

#[test]
fn addresses() {
    check_good(
        "KAFKA_BOOTSTRAP_SERVERS",
        |settings| settings.kafka.bootstrap_servers,
        vec![
            ("kafka:9092", vec![address("kafka", 9092)]),
            ("10.0.0.1:1, b-2.example.com:65535", vec![address("10.0.0.1", 1), address("b-2.example.com", 65_535)]),
            ("[::1]:9092,[fe80::1]:9093", vec![address("::1", 9092), address("fe80::1", 9093)]),
            ("my_broker:9092", vec![address("my_broker", 9092)]),
        ],
    );
    check_bad(
        "KAFKA_BOOTSTRAP_SERVERS",
        "one or several comma-separated host:port, like localhost:9092 or [::1]:9092",
        &[
            "",
            "localhost",
            "localhost:",
            ":9092",
            "localhost:0",
            "localhost:65536",
            "localhost:+1",
            "localhost:http",
            "a:1,",
            ",a:1",
            "a:1 b:2",
            "a:1;b:2",
            "::1:9092",
            "[::1]",
            "[::1:9092",
            "[localhost]:9092",
            "PLAINTEXT://localhost:9092",
            "user@localhost:9092",
        ],
    );
    let host = |bytes| load(&[("KAFKA_BOOTSTRAP_SERVERS", &format!("{}:1", "a".repeat(bytes)))]);
    assert!(host(255).is_ok() && host(256).is_err());
}

#[test]
fn names() {
    let long = "x".repeat(255);
    let allowed = "1 to 255 bytes, without blanks around and control characters";
    for variable in ["KAFKA_GROUP_ID", "KAFKA_CLIENT_ID", "KAFKA_CLIENT_RACK"] {
        let get: fn(Settings) -> Option<String> = match variable {
            "KAFKA_GROUP_ID" => |settings| Some(settings.kafka.group_id),
            "KAFKA_CLIENT_ID" => |settings| Some(settings.kafka.client_id),
            _ => |settings| settings.kafka.client_rack,
        };
        let good = ["a", "Größe 1", "use1-az1", &long];
        check_good(variable, get, good.iter().map(|name| (*name, Some((*name).to_owned()))).collect());
        assert_eq!(
            load(&[(variable, &format!("{long}x"))]),
            Err(format!("{variable} is '{}…'; allowed: {allowed}", "x".repeat(64)))
        );
    }
    check_bad("KAFKA_GROUP_ID", allowed, &[""]);
    check_bad("KAFKA_CLIENT_ID", allowed, &[""]);
    check_good("KAFKA_CLIENT_RACK", |settings| settings.kafka.client_rack, vec![("", None)]);
    check_good(
        "KAFKA_GROUP_INSTANCE_ID",
        |settings| settings.kafka.group_instance_id,
        vec![("", None), ("one", Some("one".to_owned()))],
    );
}

#[test]
fn topics() {
    let longest = "t".repeat(249);
    let topics = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    check_good(
        "KAFKA_TOPIC",
        |settings| settings.kafka.topics,
        vec![
            ("a", topics(&["a"])),
            ("b, a ,b", topics(&["b", "a"])),
            ("A.b_C-9", topics(&["A.b_C-9"])),
            ("...", topics(&["..."])),
            (&longest, topics(&[&longest])),
        ],
    );
    let allowed = "one or several comma-separated topic names of 1 to 249 letters, digits, '.', '_' and '-'";
    check_bad("KAFKA_TOPIC", allowed, &["", ",", "a,", "a,,b", ".", "a,..", "a b", "a/b", "ä"]);
    let shown = "t".repeat(64);
    assert_eq!(
        load(&[("KAFKA_TOPIC", &format!("{longest}t"))]),
        Err(format!("KAFKA_TOPIC is '{shown}…'; allowed: {allowed}"))
    );
}

#[test]
fn database_url() {
    check_good(
        "DATABASE_URL",
        |settings| settings.database.path,
        vec![
            ("sqlite:///events.db", PathBuf::from("events.db")),
            ("sqlite:///data/a b%20c.db", PathBuf::from("data/a b%20c.db")),
            ("sqlite:////var/lib/events.db", PathBuf::from("/var/lib/events.db")),
            ("sqlite:///../events.db", PathBuf::from("../events.db")),
        ],
    );
    let allowed = "sqlite:///relative/path or sqlite:////absolute/path";
    check_bad(
        "DATABASE_URL",
        allowed,
        &[
            "",
            "events.db",
            "/var/lib/events.db",
            "sqlite:",
            "sqlite:events.db",
            "sqlite://events.db",
            "sqlite://localhost/events.db",
            "sqlite:///",
            "sqlite:///data/",
            "sqlite:///file:events.db",
            "SQLITE:///events.db",
            "postgres://localhost/events",
        ],
    );
    let in_memory = format!("{allowed} (what is in memory only would be lost)");
    check_bad("DATABASE_URL", &in_memory, &["sqlite::memory:", "sqlite:///:memory:", ":memory:"]);
    check_bad("DATABASE_URL", &format!("{allowed} (without parameters behind '?')"), &["sqlite:///events.db?mode=ro"]);
}

#[test]
fn file_mode() {
    let good = vec![("0600", FileMode::Owner), ("0640", FileMode::Group)];
    check_good("FILE_MODE", |settings| settings.log.file_mode, good.clone());
    check_good("FILE_MODE", |settings| settings.database.file_mode, good);
    check_bad("FILE_MODE", "0600, 0640", &["", "600", "0644", "0660", "u=rw"]);
}

#[test]
fn a_log_file_is_no_file_of_the_database_and_no_file_that_is_read() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().canonicalize().unwrap().join(name).display().to_string();
    fs::create_dir(at("real")).unwrap();
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    std::os::unix::fs::symlink(at("real/events.db-wal"), at("dangling")).unwrap();
    fs::write(at("real/ca.pem"), "").unwrap();
    let url = format!("sqlite:///{}", at("link/events.db"));
    let refusal = |variable: &str, path: &str| {
        let tls = [("KAFKA_SECURITY_PROTOCOL", "SSL"), ("KAFKA_SSL_CA_LOCATION", &at("real/ca.pem"))];
        load(&[[("DATABASE_URL", &*url), (variable, path)], tls].concat()).err()
    };
    let check = |path: &str, expected: &str| {
        for variable in ["LOG_FILE", "UNIDENTIFIED_LOG_FILE"] {
            let said = refusal(variable, path);
            assert_eq!(said, Some(format!("{variable} must be another file than {expected}")), "{path}");
        }
    };
    let suffixes = ["", "-wal", "-shm", "-journal", ".lock"];
    let names = ["", "'s write-ahead log", "'s shared memory", "'s rollback journal", "'s lock file"];
    // Neither the database nor the log file exists yet.
    for (suffix, name) in suffixes.iter().zip(names) {
        let expected = format!("the database{name} ('{}{suffix}')", at("real/events.db"));
        for spelling in ["real/events.db", "link/events.db", "real/../real/./events.db", "none/../link/events.db"] {
            check(&format!("{}{suffix}", at(spelling)), &expected);
        }
    }
    check(&at("dangling"), &format!("the database's write-ahead log ('{}')", at("real/events.db-wal")));
    check(&at("link/ca.pem"), "KAFKA_SSL_CA_LOCATION");
    fs::write(at("env"), format!("LOG_FILE={}", at("link/../env"))).unwrap();
    let said = Settings::load([], Some(Path::new(&at("env")))).unwrap_err().to_string();
    assert_eq!(said, "LOG_FILE must be another file than the settings file");
    // A hard link is another name of the same file.
    fs::write(at("real/events.db"), "").unwrap();
    fs::hard_link(at("real/events.db"), at("hard")).unwrap();
    check(&at("hard"), &format!("the database ('{}')", at("real/events.db")));
    assert_eq!(refusal("LOG_FILE", &at("real/events.log")), None);
    // Each other.
    fs::write(at("a.log"), "").unwrap();
    fs::hard_link(at("a.log"), at("b.log")).unwrap();
    for (one, other) in [("a.log", "b.log"), ("real/new.log", "link/new.log"), ("x", "./x")] {
        let said = load(&[("LOG_FILE", &at(one)), ("UNIDENTIFIED_LOG_FILE", &at(other))]);
        assert_eq!(said, Err("UNIDENTIFIED_LOG_FILE must be another file than LOG_FILE".to_owned()));
    }
    // Two names of a device that keeps nothing.
    assert!(load(&[("LOG_FILE", "/dev/null"), ("UNIDENTIFIED_LOG_FILE", "/dev/full")]).is_ok());
}

#[test]
fn log_files() {
    let good = || {
        vec![("", None), ("/var/log/x.log", Some(PathBuf::from("/var/log/x.log"))), ("x y", Some(PathBuf::from("x y")))]
    };
    check_good("LOG_FILE", |settings| settings.log.file, good());
    check_good("UNIDENTIFIED_LOG_FILE", |settings| settings.unidentified_log_file, good());
    assert!(load(&[("LOG_FILE", ""), ("UNIDENTIFIED_LOG_FILE", "")]).is_ok());
    assert_eq!(
        load(&[("LOG_FILE", "x"), ("UNIDENTIFIED_LOG_FILE", "x")]),
        Err("UNIDENTIFIED_LOG_FILE must be another file than LOG_FILE".to_owned())
    );
}

#[test]
fn contradictions() {
    let check = |variables: &[(&str, &str)], line: &str| assert_eq!(load(variables), Err(line.to_owned()));
    check(
        &[("RETRY_INITIAL_MS", "201"), ("RETRY_MAX_MS", "200")],
        "RETRY_INITIAL_MS (201) must not be greater than RETRY_MAX_MS (200)",
    );
    check(&[("RETRY_INITIAL_MS", "30001")], "RETRY_INITIAL_MS (30001) must not be greater than RETRY_MAX_MS (30000)");
    check(
        &[("KAFKA_RECEIVE_MAX_BYTES", "4194303")],
        "KAFKA_FETCH_MAX_BYTES (4194304) must not be greater than KAFKA_RECEIVE_MAX_BYTES (4194303)",
    );
    check(
        &[("KAFKA_BUFFER_MAX_BYTES", "4194303")],
        "KAFKA_FETCH_MAX_BYTES (4194304) must not be greater than KAFKA_BUFFER_MAX_BYTES (4194303)",
    );
    check(
        &[("KAFKA_GROUP_INSTANCE_ID", "one"), ("KAFKA_GROUP_PROTOCOL", "none")],
        "KAFKA_GROUP_INSTANCE_ID needs a KAFKA_GROUP_PROTOCOL other than none, which has no members",
    );
    for protocol in ["none", "consumer"] {
        check(
            &[("KAFKA_GROUP_PROTOCOL", protocol), ("KAFKA_SESSION_TIMEOUT_MS", "6000")],
            "KAFKA_SESSION_TIMEOUT_MS is for KAFKA_GROUP_PROTOCOL classic only",
        );
    }
    for (variable, value) in [
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "u"),
        ("KAFKA_SASL_PASSWORD", "p"),
        ("KAFKA_SASL_PASSWORD_FILE", "/p"),
    ] {
        let line = format!(
            "{variable} is set, but KAFKA_SECURITY_PROTOCOL is not SASL_PLAINTEXT or SASL_SSL, so it would have no effect"
        );
        check(&[(variable, value)], &line);
        check(&[(variable, value), ("KAFKA_SECURITY_PROTOCOL", "SSL")], &line);
    }
    for variable in ["KAFKA_SSL_CA_LOCATION", "KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION"] {
        let line = format!(
            "{variable} is set, but KAFKA_SECURITY_PROTOCOL is not SSL or SASL_SSL, so it would have no effect"
        );
        check(&[(variable, "/x")], &line);
    }
    let ssl = ("KAFKA_SECURITY_PROTOCOL", "SSL");
    check(
        &[ssl, ("KAFKA_SSL_CERTIFICATE_LOCATION", "/x")],
        "KAFKA_SSL_KEY_LOCATION is missing: KAFKA_SSL_CERTIFICATE_LOCATION needs it",
    );
    check(
        &[ssl, ("KAFKA_SSL_KEY_LOCATION", "/x")],
        "KAFKA_SSL_CERTIFICATE_LOCATION is missing: KAFKA_SSL_KEY_LOCATION needs it",
    );
}

#[test]
fn sasl() {
    let all = [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
        ("KAFKA_SASL_USERNAME", "user"),
        ("KAFKA_SASL_PASSWORD", " pass word "),
    ];
    let settings = load(&all).unwrap();
    assert_eq!(settings.kafka.security.tls, None);
    let sasl = settings.kafka.security.sasl.clone().unwrap();
    assert_eq!((sasl.mechanism, sasl.username.as_str()), (SaslMechanism::ScramSha512, "user"));
    assert_eq!(sasl.password, Password::Given(Secret::new(" pass word ")));
    assert!(!format!("{settings:?}").contains("pass word"));

    for (at, missing) in [
        (1, "KAFKA_SASL_MECHANISM"),
        (2, "KAFKA_SASL_USERNAME"),
        (3, "KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE"),
    ] {
        for empty in [true, false] {
            let mut variables = all.to_vec();
            if empty {
                variables[at].1 = "";
            } else {
                variables.remove(at);
            }
            assert_eq!(load(&variables), Err(format!("{missing} is missing: KAFKA_SECURITY_PROTOCOL needs it")));
        }
    }
    check_bad("KAFKA_SASL_MECHANISM", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", &["GSSAPI"]);

    // A secret that cannot be read is not shown either.
    let secret = OsString::from_vec(b"sec\xffret".to_vec());
    let error = Settings::load([("KAFKA_SASL_PASSWORD".into(), secret)], Some(no_file().path())).unwrap_err();
    assert_eq!(error.to_string(), "KAFKA_SASL_PASSWORD has a wrong value (not shown); allowed: UTF-8 text");
}

#[test]
fn password_file() {
    let password = |text: &str| {
        let file = no_file();
        fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap();
        password_of(path).map_err(|line| line.replace(path, "FILE"))
    };
    assert_eq!(password("secret").as_deref(), Ok("secret"));
    assert_eq!(password("secret\n").as_deref(), Ok("secret"));
    assert_eq!(password("secret\r\n").as_deref(), Ok("secret"));
    assert_eq!(password("\u{feff}secret\n").as_deref(), Ok("secret"));
    assert_eq!(password(" se cret ").as_deref(), Ok(" se cret "));
    for unfit in ["se\ncret\n", "secret\n\n", "se\0cret", "\tsecret"] {
        let line = "KAFKA_SASL_PASSWORD_FILE has a wrong value (not shown); allowed: a password of one line, without control \
                    and invisible characters";
        assert_eq!(password(unfit), Err(line.to_owned()));
    }
    for empty in ["", "\n", "\r\n", "\u{feff}\n"] {
        assert_eq!(
            password(empty),
            Err("KAFKA_SASL_PASSWORD_FILE is 'FILE'; allowed: a file that is not empty".to_owned())
        );
    }
    let missing = "/no/such/file";
    let line = "KAFKA_SASL_PASSWORD_FILE names a file that cannot be read: '/no/such/file': No such file or directory (os error 2)";
    assert_eq!(password_of(missing), Err(line.to_owned()));
    assert_eq!(
        load(&[&with_password_file(missing)[..], &[("KAFKA_SASL_PASSWORD", "secret")]].concat()),
        Err("KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set; allowed: one of them".to_owned())
    );
}

fn with_password_file(path: &str) -> [(&str, &str); 4] {
    [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256"),
        ("KAFKA_SASL_USERNAME", "user"),
        ("KAFKA_SASL_PASSWORD_FILE", path),
    ]
}

/// What a file gives as the password, or the line that refuses it: not with the settings, but when it is needed.
fn password_of(path: &str) -> Result<String, String> {
    let security = load(&with_password_file(path)).unwrap().kafka.security.load();
    let sasl = security.map(|security| security.sasl.unwrap());
    sasl.map(|sasl| sasl.password.expose().to_owned()).map_err(|error| ErrorChain(&error).to_string())
}

const TLS: [(&str, &str); 4] = [
    ("KAFKA_SECURITY_PROTOCOL", "SSL"),
    ("KAFKA_SSL_CA_LOCATION", "/no/ca.pem"),
    ("KAFKA_SSL_CERTIFICATE_LOCATION", "/no/own.pem"),
    ("KAFKA_SSL_KEY_LOCATION", "/no/key.pem"),
];

#[test]
fn tls() {
    let client = ClientCertificate { certificate: PathBuf::from("/no/own.pem"), key: PathBuf::from("/no/key.pem") };
    let files = TlsFiles { authorities: Some(PathBuf::from("/no/ca.pem")), client: Some(client) };
    let security = load(&TLS).unwrap().kafka.security;
    assert_eq!(security, Security { tls: Some(files), sasl: None });
    // The files are read later.
    let error = security.load().unwrap_err();
    assert_eq!(
        ErrorChain(&error).to_string(),
        "KAFKA_SSL_CA_LOCATION cannot be used: cannot read '/no/ca.pem': No such file or directory (os error 2)"
    );
    assert_eq!(load(&TLS[..1]).unwrap().kafka.security.tls, Some(TlsFiles::default()));
}

#[test]
fn security_is_described_without_secrets() {
    let sasl =
        [("KAFKA_SASL_MECHANISM", "scram-sha-512"), ("KAFKA_SASL_USERNAME", "alice"), ("KAFKA_SASL_PASSWORD", "hush")];
    let check = |variables: &[(&str, &str)], text: &str| {
        let settings = load(variables).unwrap();
        assert_eq!(settings.kafka.security.describe(), text);
        assert_eq!(settings.warnings, Vec::<String>::new());
        assert!(!format!("{settings:?}").contains("hush"));
    };
    check(&[], "PLAINTEXT: neither encrypted nor authenticated");
    check(&TLS, "SSL: authorities from '/no/ca.pem', client certificate '/no/own.pem'");
    check(&TLS[..1], "SSL: the system's authorities");
    check(
        &[&[("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")][..], &sasl].concat(),
        "SASL_PLAINTEXT: SCRAM-SHA-512 as 'alice', not encrypted",
    );
    check(
        &[&[("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"), TLS[1]][..], &sasl].concat(),
        "SASL_SSL: SCRAM-SHA-512 as 'alice', authorities from '/no/ca.pem'",
    );
}

#[test]
fn what_is_less_safe_than_it_looks_is_a_warning() {
    let plain = [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "alice"),
        ("KAFKA_SASL_PASSWORD", "hush"),
    ];
    let [warning] = &load(&plain).unwrap().warnings[..] else { panic!() };
    assert!(warning.contains("KAFKA_SASL_MECHANISM=PLAIN") && warning.contains("readable"), "{warning}");

    let file = no_file();
    let path = file.path().to_str().unwrap();
    let mut tls = TLS;
    tls[3].1 = path;
    let with_file = [("KAFKA_SSL_KEY_LOCATION", tls), ("KAFKA_SASL_PASSWORD_FILE", with_password_file(path))];
    for (mode, is_warned) in [(0o600, false), (0o644, true)] {
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        for (variable, variables) in with_file {
            let warning = format!(
                "{variable}: every user of this machine may read '{path}'; let only the service's user read it"
            );
            let expected = if is_warned { vec![warning] } else { vec![] };
            assert_eq!(load(&variables).unwrap().warnings, expected);
        }
    }
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = no_file();
    fs::write(file.path(), "KAFKA_TOPIC=from_file\nKAFKA_GROUP_ID=from_file\nLOG_FILE=from_file\n").unwrap();
    let environment = [("KAFKA_TOPIC", "from_env"), ("LOG_FILE", "")].map(|(n, v)| (n.into(), v.into()));
    let settings = Settings::load(environment, Some(file.path())).unwrap();
    assert_eq!(settings.kafka.topics, ["from_env"]);
    assert_eq!(settings.kafka.group_id, "from_file");
    assert_eq!(settings.log.file, None);
    // Empty is set, too: the file's value does not count.
    let error = Settings::load([("KAFKA_TOPIC".into(), "".into())], Some(file.path())).unwrap_err();
    assert!(error.to_string().starts_with("KAFKA_TOPIC is '';"), "{error}");
    // What is not UTF-8 is refused where it means something, and else none of our business.
    let strange = || OsString::from_vec(b"a\xff".to_vec());
    let load =
        |name: OsString| Settings::load([(name, strange())], Some(file.path())).map_err(|error| error.to_string());
    assert_eq!(load("KAFKA_TOPIC".into()).unwrap_err(), "KAFKA_TOPIC is 'a\u{fffd}'; allowed: UTF-8 text");
    assert_eq!(load("DATABASE_URL".into()).unwrap_err(), "DATABASE_URL is 'a\u{fffd}'; allowed: UTF-8 text");
    assert_eq!(load("LOG_FILE".into()).unwrap_err(), "LOG_FILE is 'a\u{fffd}'; allowed: UTF-8 text");
    assert!(load(strange()).is_ok());
}

#[test]
fn files() {
    let topics = |text: &str| load_file(text).map(|settings| settings.kafka.topics.join("+"));
    for text in [
        "KAFKA_TOPIC=t",
        "\u{feff}KAFKA_TOPIC=t\r\n",
        "# KAFKA_TOPIC=x\n\n  export KAFKA_TOPIC = 't' # the topic\n",
        "OTHER=\"two\nlines\"\nKAFKA_TOPIC=\"t\"\n",
    ] {
        assert_eq!(topics(text).as_deref(), Ok("t"), "{text}");
    }
    let refused = |text: &str, line: &str| assert_eq!(topics(text), Err(line.to_owned()), "{text}");
    let line = |line: usize, rest: &str| format!("line {line} of the settings file 'FILE' {rest}");
    let no_equals = "has no '=' behind the name; allowed: NAME=value";
    refused("A=1\nKAFKA TOPIC=t\n", &line(2, no_equals));
    refused("A=1\nhunter2\n", &line(2, no_equals));
    refused("A=1\n\n=x\nB=2\n", &line(3, "does not begin with a name of letters, digits and '_'; allowed: NAME=value"));
    // No value is shown: it may be a secret.
    refused(
        "A=\"two\nlines\"\nKAFKA_SASL_PASSWORD='open secret\nKAFKA_TOPIC=t\n",
        &line(
            3,
            "begins 'KAFKA_SASL_PASSWORD=' and opens a quote (') that is not closed; put a value that has this character \
                  in other quotes",
        ),
    );
    refused(
        "KAFKA_SASL_PASSWORD=open secret",
        &line(1, "begins 'KAFKA_SASL_PASSWORD=' and has text behind a blank; put the value in single quotes"),
    );
    for (text, name) in
        [("KAFKA_GROUP_ID=team$prod", "KAFKA_GROUP_ID"), ("KAFKA_SASL_PASSWORD=ab$hush", "KAFKA_SASL_PASSWORD")]
    {
        let rest = format!(
            "begins '{name}=' and has a '$' with a name behind it that is not set; put the value in single quotes"
        );
        refused(text, &line(1, &rest));
    }
    assert_eq!(load_file("KAFKA_GROUP_ID='team$prod'").unwrap().kafka.group_id, "team$prod");
    assert_eq!(topics("OWN=t\nKAFKA_TOPIC=${OWN}"), Ok("t".to_owned()));
    refused(
        "KAFKA_TOPIC=t\nKAFKA_TOPIC=t",
        &line(2, "begins 'KAFKA_TOPIC=' and gives it more than once, first in line 1"),
    );
    refused(
        "KAFKA_TOPIC=",
        "KAFKA_TOPIC is ''; allowed: one or several comma-separated topic names of 1 to 249 letters, digits, '.', '_' and '-'",
    );
    refused(&"#".repeat(65_537), "cannot read the settings file 'FILE': more than 65536 bytes");
    assert_eq!(
        load_file(b"KAFKA_TOPIC=t\nKAFKA_GROUP_ID=\xff"),
        Err("cannot read the settings file 'FILE': line 2 is not UTF-8".to_owned())
    );
    assert_eq!(
        load_file(b"\xff\xfeK\0"),
        Err("cannot read the settings file 'FILE': it is UTF-16: save it as UTF-8".to_owned())
    );
    let endless = Settings::load([], Some(Path::new("/dev/zero"))).unwrap_err();
    assert_eq!(ErrorChain(&endless).to_string(), "cannot read the settings file '/dev/zero': more than 65536 bytes");
    let error = Settings::load([], Some(Path::new("/no/such/.env"))).unwrap_err();
    assert_eq!(
        ErrorChain(&error).to_string(),
        "cannot read the settings file '/no/such/.env': No such file or directory (os error 2)"
    );
}

#[test]
fn the_bad_line_of_a_long_file_is_found_without_a_long_search() {
    let lines = |letter: char| (0..3500).map(|number| format!("{letter}{number}=x\n")).collect::<Vec<_>>().concat();
    let text = format!("{}# good\n\n  no good\n{}", lines('A'), lines('B'));
    let expected = "line 3503 of the settings file 'FILE' has no '=' behind the name; allowed: NAME=value";
    assert_eq!(load_file(text), Err(expected.to_owned()));
}

/// Every variable that there is, whatever its type.
#[test]
fn damaged_values_are_refused_whatever_the_setting() {
    let mut variables = Variables::read([], Some(no_file().path())).unwrap();
    Settings::from_variables(&mut variables).unwrap();
    assert!(variables.asked().len() > 25);
    for name in variables.asked() {
        let is_secret = *name == "KAFKA_SASL_PASSWORD";
        for value in
            ["x\n", "x\r\n", "x\0y", "x\u{1b}[2J", "\u{feff}x", "x\u{200b}", " x", "x ", "x\u{a0}", "\"x\"", "'x'"]
        {
            let may_be_real = is_secret && value.chars().all(|char| !kafka::text::is_unprintable(char));
            let line = load(&[(name, value)]).unwrap_err();
            assert!(line.starts_with(&format!("{name} ")) && !line.contains(kafka::text::is_unprintable), "{line:?}");
            assert_eq!(line.contains("allowed: "), !may_be_real, "{line}");
            assert!(
                is_secret || line.contains("(a value without") || line.contains("allowed: a value without"),
                "{line}"
            );
        }
        let not_utf8 = OsString::from_vec(b"x\xff".to_vec());
        let line = Settings::load([((*name).into(), not_utf8)], Some(no_file().path())).unwrap_err().to_string();
        assert!(line.starts_with(&format!("{name} ")) && line.ends_with("allowed: UTF-8 text"), "{line}");
    }
    let check = |name: &str, value: &str, shown: &str, allowed: &str| {
        assert_eq!(load(&[(name, value)]), Err(format!("{name} is '{shown}'; allowed: {allowed}")));
    };
    let line_end = "a value without a line end behind it";
    check("DATABASE_URL", "sqlite:///data/x.db\n", r"sqlite:///data/x.db\n", line_end);
    check("LOG_FILE", "x.log\r", r"x.log\r", line_end);
    check("DATABASE_URL", "sqlite:///data/x.db ", "sqlite:///data/x.db ", "a value without blanks around it");
    let home = "a path that does not begin with '~' or '$', which only a shell replaces";
    check("DATABASE_URL", "sqlite:///~/x.db", "sqlite:///~/x.db", home);
    check("UNIDENTIFIED_LOG_FILE", "~/x.log", "~/x.log", home);
    check("BATCH_MAX_RECORDS", "7 ", "7 ", "a whole number from 1 to 1000000 (a value without blanks around it)");
}

#[test]
fn a_password_with_blanks_or_quotes_around_it_is_taken_with_a_warning() {
    let load_with = |password: &str| {
        let sasl = [("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"), ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256")];
        let mut variables = sasl.to_vec();
        variables.extend([("KAFKA_SASL_USERNAME", "u"), ("KAFKA_SASL_PASSWORD", password)]);
        load(&variables).unwrap()
    };
    for password in ["\"hush\"", "hush ", " hush", "'hush'"] {
        let settings = load_with(password);
        assert_eq!(settings.kafka.security.sasl.unwrap().password, Password::Given(Secret::new(password)));
        let warning = "KAFKA_SASL_PASSWORD begins or ends with a blank or a quote, which is taken as a part of it";
        assert_eq!(settings.warnings, [warning]);
    }
    assert_eq!(load_with("hu 'sh").warnings, Vec::<String>::new());
}

#[test]
fn misspelt_names_are_warned_about() {
    let check = |name: &str, known: Option<&str>| {
        let expected: Vec<_> = known
            .map(|known| format!("{name} is set, but means nothing here; did you mean {known}?"))
            .into_iter()
            .collect();
        assert_eq!(load(&[(name, "x")]).unwrap().warnings, expected, "{name}");
    };
    check("KAFKA_TOPICS", Some("KAFKA_TOPIC"));
    check("KAFKA_BOOTSTRAP_SERVER", Some("KAFKA_BOOTSTRAP_SERVERS"));
    check("LOGLEVEL", Some("LOG_LEVEL"));
    check("LOG_LEVLE", Some("LOG_LEVEL"));
    check("log_level", Some("LOG_LEVEL"));
    check("LOG_LEVEL ", Some("LOG_LEVEL"));
    check("BATCH_RECORDS", None);
    check("KAFKA_HEAP_OPTS", None);
    check("KAFKA_HOME", None);
    check("HOME", None);
    check("", None);
}

/// `.env.example` names every variable, and what it says in comments is the default.
#[test]
fn the_example_file_holds_the_defaults() {
    let example = include_str!("../../.env.example");
    let defaults = load(&[]).unwrap();
    assert_eq!(load_file(example), Ok(defaults.clone()));

    let settings: Vec<&str> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .collect();
    assert_eq!(load_file(settings.join("\n")), Ok(defaults));

    let mut named: Vec<&str> = settings.iter().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let mut variables = Variables::read([], Some(no_file().path())).unwrap();
    Settings::from_variables(&mut variables).unwrap();
    let mut asked = variables.asked().to_vec();
    named.sort_unstable();
    asked.sort_unstable();
    assert_eq!(named, asked);
}
