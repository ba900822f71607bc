//! Variables that contradict each other.

use std::fs;
use std::path::Path;

use super::variable::load;
use crate::settings::{GroupProtocol, Settings};

/// Variables with the line that refuses them.
type Case = (&'static [(&'static str, &'static str)], &'static str);

const SSL: (&str, &str) = ("KAFKA_SECURITY_PROTOCOL", "SSL");

const CASES: &[Case] = &[
    (
        &[("RETRY_INITIAL_MS", "201"), ("RETRY_MAX_MS", "200")],
        "RETRY_INITIAL_MS (201) must not be greater than RETRY_MAX_MS (200)",
    ),
    (&[("RETRY_INITIAL_MS", "30001")], "RETRY_INITIAL_MS (30001) must not be greater than RETRY_MAX_MS (30000)"),
    (
        &[("KAFKA_FETCH_MAX_BYTES", "2000"), ("KAFKA_RECEIVE_MAX_BYTES", "1000")],
        "KAFKA_FETCH_MAX_BYTES (2000) must not be greater than KAFKA_RECEIVE_MAX_BYTES (1000)",
    ),
    (
        &[("KAFKA_RECEIVE_MAX_BYTES", "4194303")],
        "KAFKA_FETCH_MAX_BYTES (4194304) must not be greater than KAFKA_RECEIVE_MAX_BYTES (4194303)",
    ),
    (
        &[("KAFKA_BUFFER_MAX_BYTES", "4194303")],
        "KAFKA_FETCH_MAX_BYTES (4194304) must not be greater than KAFKA_BUFFER_MAX_BYTES (4194303)",
    ),
    (
        &[("KAFKA_GROUP_INSTANCE_ID", "one"), ("KAFKA_GROUP_PROTOCOL", "none")],
        "KAFKA_GROUP_INSTANCE_ID needs a KAFKA_GROUP_PROTOCOL other than none, which has no members",
    ),
    (
        &[("KAFKA_GROUP_PROTOCOL", "none"), ("KAFKA_SESSION_TIMEOUT_MS", "6000")],
        "KAFKA_SESSION_TIMEOUT_MS is for KAFKA_GROUP_PROTOCOL classic only",
    ),
    (
        &[("KAFKA_GROUP_PROTOCOL", "consumer"), ("KAFKA_SESSION_TIMEOUT_MS", "6000")],
        "KAFKA_SESSION_TIMEOUT_MS is for KAFKA_GROUP_PROTOCOL classic only",
    ),
    (
        &[SSL, ("KAFKA_SSL_CERTIFICATE_LOCATION", "/x")],
        "KAFKA_SSL_KEY_LOCATION is missing: KAFKA_SSL_CERTIFICATE_LOCATION needs it",
    ),
    (
        &[SSL, ("KAFKA_SSL_KEY_LOCATION", "/x")],
        "KAFKA_SSL_CERTIFICATE_LOCATION is missing: KAFKA_SSL_KEY_LOCATION needs it",
    ),
    (&[("HTTP_TOKEN_FILE", "/x")], "HTTP_TOKEN_FILE is set, but HTTP_LISTEN is not, so it would have no effect"),
    (&[("LOG_FILE", "x"), ("UNIDENTIFIED_LOG_FILE", "x")], "UNIDENTIFIED_LOG_FILE must be another file than LOG_FILE"),
];

#[test]
fn contradicting_variables_are_refused() {
    for (variables, line) in CASES {
        assert_eq!(load(variables), Err((*line).to_owned()));
    }
}

#[test]
fn a_static_member_of_the_consumer_protocol_has_an_instance_id() {
    let settings = load(&[("KAFKA_GROUP_PROTOCOL", "consumer"), ("KAFKA_GROUP_INSTANCE_ID", "one")]).unwrap();
    let expected = GroupProtocol::Consumer { instance_id: Some("one".to_owned()) };
    assert_eq!(settings.kafka.group_protocol, expected);
}

#[test]
fn a_security_variable_without_effect_is_refused() {
    let check = |variables: &[(&str, &str)], needed: &str| {
        let variable = variables[0].0;
        let line =
            format!("{variable} is set, but KAFKA_SECURITY_PROTOCOL is not {needed}, so it would have no effect");
        assert_eq!(load(variables), Err(line));
    };
    for variable in [
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "u"),
        ("KAFKA_SASL_PASSWORD", "p"),
        ("KAFKA_SASL_PASSWORD_FILE", "/p"),
        ("KAFKA_SASL_OAUTHBEARER_TOKEN_FILE", "/t"),
        ("KAFKA_SASL_OAUTHBEARER_EXTENSIONS", "a=b"),
        ("KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", "https://a"),
        ("KAFKA_SASL_OAUTHBEARER_CLIENT_ID", "c"),
        ("KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET_FILE", "/s"),
        ("KAFKA_SASL_OAUTHBEARER_SCOPE", "s"),
        ("KAFKA_SASL_OAUTHBEARER_CA_LOCATION", "/c"),
        ("KAFKA_SASL_AWS_REGION", "eu-central-1"),
    ] {
        check(&[variable], "SASL_PLAINTEXT or SASL_SSL");
        check(&[variable, SSL], "SASL_PLAINTEXT or SASL_SSL");
    }
    for variable in ["KAFKA_SSL_CA_LOCATION", "KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION"] {
        check(&[(variable, "/x")], "SSL or SASL_SSL");
    }
}

#[test]
fn two_log_files_may_be_devices_that_keep_nothing_or_none() {
    for (log_file, unidentified) in [("/dev/null", "/dev/full"), ("", "")] {
        assert!(load(&[("LOG_FILE", log_file), ("UNIDENTIFIED_LOG_FILE", unidentified)]).is_ok());
    }
}

#[test]
fn a_log_file_must_not_be_a_file_of_the_database_or_a_file_that_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().canonicalize().unwrap().join(name).display().to_string();
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
            let refused = refusal(variable, path);
            assert_eq!(refused, Some(format!("{variable} must be another file than {expected}")), "{path}");
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
    let refused = Settings::load([], Some(Path::new(&at("env")))).unwrap_err().to_string();
    assert_eq!(refused, "LOG_FILE must be another file than the settings file");
    // A hard link.
    fs::write(at("real/events.db"), "").unwrap();
    fs::hard_link(at("real/events.db"), at("hard")).unwrap();
    check(&at("hard"), &format!("the database ('{}')", at("real/events.db")));
    assert_eq!(refusal("LOG_FILE", &at("real/events.log")), None);
    // The other log file.
    fs::write(at("a.log"), "").unwrap();
    fs::hard_link(at("a.log"), at("b.log")).unwrap();
    for (one, other) in [("a.log", "b.log"), ("real/new.log", "link/new.log"), ("x", "./x")] {
        let refused = load(&[("LOG_FILE", &at(one)), ("UNIDENTIFIED_LOG_FILE", &at(other))]);
        assert_eq!(refused, Err("UNIDENTIFIED_LOG_FILE must be another file than LOG_FILE".to_owned()));
    }
}
