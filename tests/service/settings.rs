//! Settings as an operator meets them: every variable of the environment table with bad and with borderline values, told by the
//! program itself. Needs no broker.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// What a variable takes and what it refuses.
struct Rule {
    variable: &'static str,
    /// Each alone makes the program refuse to start.
    bad: &'static [&'static str],
    /// Each of them stands in the refusal.
    allowed: &'static [&'static str],
    /// Each alone is taken.
    good: &'static [&'static str],
}

const NUMBER_NOISE: [&str; 9] = ["-1", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "one", "99999999999999999999"];

/// Variables that stand alone. Those of SASL and TLS depend on each other: see `contradictions`.
const RULES: &[Rule] = &[
    Rule {
        variable: "APP_ENV",
        bad: &["", "prod", "production "],
        allowed: &["development", "production"],
        good: &["production", "development"],
    },
    Rule {
        variable: "KAFKA_BOOTSTRAP_SERVERS",
        bad: &[
            "",
            "localhost",
            "localhost:",
            ":9092",
            "localhost:0",
            "localhost:65536",
            "localhost:9092,",
            "kafka://localhost:9092",
            "a b:9092",
            "::1:9092",
        ],
        allowed: &["host:port", "comma"],
        good: &["localhost:1", "localhost:1, 127.0.0.1:1", "[::1]:1"],
    },
    Rule { variable: "KAFKA_GROUP_ID", bad: &["", " a", "a\tb"], allowed: &["255 bytes"], good: &["a", "größe 1"] },
    Rule {
        variable: "KAFKA_TOPIC",
        bad: &["", ",", "a,,b", "a b", "a/b", "..", "ä"],
        allowed: &["topic name", "letters, digits"],
        good: &["a.b-c_D9", "a, b", "a,a"],
    },
    Rule { variable: "KAFKA_CLIENT_ID", bad: &["", " a"], allowed: &["255 bytes"], good: &["a"] },
    Rule {
        variable: "KAFKA_AUTO_OFFSET_RESET",
        bad: &["", "none", "0"],
        allowed: &["earliest", "latest", "error"],
        good: &["earliest", "latest", "error", "LATEST"],
    },
    Rule {
        variable: "KAFKA_ISOLATION_LEVEL",
        bad: &["", "committed", "read-committed"],
        allowed: &["read_committed", "read_uncommitted"],
        good: &["read_committed", "read_uncommitted"],
    },
    Rule {
        variable: "KAFKA_GROUP_PROTOCOL",
        bad: &["", "static"],
        allowed: &["classic", "consumer", "none"],
        good: &["none", "classic", "consumer", "CLASSIC"],
    },
    Rule { variable: "KAFKA_GROUP_INSTANCE_ID", bad: &[" a"], allowed: &["255 bytes"], good: &["", "a"] },
    Rule { variable: "KAFKA_SESSION_TIMEOUT_MS", bad: &["0", "45s"], allowed: &["milliseconds"], good: &["", "6000"] },
    Rule { variable: "KAFKA_CLIENT_RACK", bad: &[" a"], allowed: &["255 bytes"], good: &["", "eu-1a"] },
    Rule {
        variable: "KAFKA_SECURITY_PROTOCOL",
        bad: &["", "TLS"],
        allowed: &["PLAINTEXT", "SASL_SSL"],
        good: &["PLAINTEXT", "plaintext"],
    },
    Rule {
        variable: "KAFKA_SASL_MECHANISM",
        bad: &["GSSAPI"],
        allowed: &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        good: &[""],
    },
    Rule { variable: "KAFKA_SASL_USERNAME", bad: &[" a"], allowed: &["255 bytes"], good: &[""] },
    Rule { variable: "KAFKA_SASL_PASSWORD", bad: &[], allowed: &[], good: &[""] },
    Rule { variable: "KAFKA_SASL_PASSWORD_FILE", bad: &[], allowed: &[], good: &[""] },
    Rule { variable: "KAFKA_SSL_CA_LOCATION", bad: &[], allowed: &[], good: &[""] },
    Rule { variable: "KAFKA_SSL_CERTIFICATE_LOCATION", bad: &[], allowed: &[], good: &[""] },
    Rule { variable: "KAFKA_SSL_KEY_LOCATION", bad: &[], allowed: &[], good: &[""] },
    Rule {
        variable: "KAFKA_FETCH_MAX_BYTES",
        bad: &["", "0", "16MB", "2147483648"],
        allowed: &["whole number", "bytes"],
        good: &["1", "104857600"],
    },
    Rule {
        variable: "KAFKA_BUFFER_MAX_BYTES",
        bad: &["", "0", "1048575", "32MB", "2147483648"],
        allowed: &["whole number", "1048576", "2147483647 bytes"],
        good: &["4194304", "2147483647"],
    },
    Rule {
        variable: "KAFKA_RECEIVE_MAX_BYTES",
        bad: &["", "0", "16MB", "2147483648"],
        allowed: &["whole number", "2147483647 bytes"],
        good: &["16777216", "2147483647"],
    },
    Rule {
        variable: "DATABASE_URL",
        bad: &[
            "",
            "data/x.db",
            "sqlite:data/x.db",
            "sqlite://data/x.db",
            "sqlite:///",
            "sqlite:///data/",
            "sqlite::memory:",
            "sqlite:///:memory:",
            "sqlite:///x.db?mode=ro",
            "postgres:///x",
        ],
        allowed: &["sqlite:///", "sqlite:////"],
        good: &["sqlite:///x.db", "sqlite:////nonexistent/x y.db"],
    },
    Rule {
        variable: "DATABASE_SYNCHRONOUS",
        bad: &["", "OFF", "1"],
        allowed: &["NORMAL", "FULL"],
        good: &["NORMAL", "full"],
    },
    Rule {
        variable: "WAL_MAX_BYTES",
        bad: &["", "0", "1048575"],
        allowed: &["whole number from 1048576", "bytes"],
        good: &["1048576"],
    },
    Rule {
        variable: "FILE_MODE",
        bad: &["", "600", "0644", "0660", "u=rw"],
        allowed: &["0600", "0640"],
        good: &["0600", "0640"],
    },
    Rule {
        variable: "BATCH_MAX_RECORDS",
        bad: &["", "0", "1000001"],
        allowed: &["whole number from 1 to 1000000"],
        good: &["1", "1000000"],
    },
    Rule {
        variable: "LAST_MODIFIED_MAX_AHEAD_MS",
        bad: &["", "1d", "3153600000001"],
        allowed: &["whole number from 0 to 3153600000000 milliseconds", "no limit"],
        good: &["0", "86400000"],
    },
    Rule {
        variable: "FAIL_ON_DATA_LOSS",
        bad: &["", "yes", "1"],
        allowed: &["true", "false"],
        good: &["true", "false", "False"],
    },
    Rule {
        variable: "KAFKA_VALIDATE_LEADER_EPOCHS",
        bad: &["", "yes", "1"],
        allowed: &["true", "false"],
        good: &["true", "false", "False"],
    },
    Rule {
        variable: "RETRY_INITIAL_MS",
        bad: &["", "0", "3600001"],
        allowed: &["whole number from 1 to 3600000 milliseconds"],
        good: &["1", "30000"],
    },
    Rule {
        variable: "RETRY_MAX_MS",
        bad: &["", "0", "3600001"],
        allowed: &["whole number from 1 to 3600000 milliseconds"],
        good: &["200", "3600000"],
    },
    Rule {
        variable: "RETRY_MAX_ATTEMPTS",
        bad: &["", "4294967296"],
        allowed: &["whole number from 0", "no limit"],
        good: &["0", "4294967295"],
    },
    Rule {
        variable: "SHUTDOWN_TIMEOUT_MS",
        bad: &["", "0", "3600001"],
        allowed: &["whole number from 1 to 3600000 milliseconds"],
        good: &["1", "3600000"],
    },
    Rule {
        variable: "LOG_LEVEL",
        bad: &["", "VERBOSE", "3"],
        allowed: &["OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"],
        good: &["OFF", "trace"],
    },
    Rule { variable: "LOG_FILE", bad: &[], allowed: &[], good: &["", "x.log"] },
    Rule { variable: "UNIDENTIFIED_LOG_FILE", bad: &[], allowed: &[], good: &["", "x.log"] },
];

/// Runs the program in a directory, with these variables and no others.
fn run(directory: &Path, arguments: &[&str], variables: &[(&str, &OsStr)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_enterprise-consumer"));
    command.current_dir(directory).args(arguments).env_clear();
    command.envs(variables.iter().copied()).output().unwrap()
}

/// The one line of a refusal: exit code 2, nothing else printed, nothing done.
fn refusal(directory: &Path, arguments: &[&str], variables: &[(&str, &OsStr)]) -> String {
    let files = || fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>();
    let before = files();
    let output = run(directory, arguments, variables);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{variables:?} {arguments:?}: {line}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{variables:?} {arguments:?}");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "not one line: {line:?}");
    assert_eq!(files(), before, "a refused start leaves files behind: {variables:?}");
    line
}

/// Refused with a line that holds every one of these parts.
fn check_refused(variables: &[(&str, &str)], parts: &[&str]) {
    let directory = TempDir::new().unwrap();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, OsStr::new(value))).collect();
    let line = refusal(directory.path(), &[], &variables);
    for part in parts {
        assert!(line.contains(part), "{variables:?}: {part:?} is missing in: {line}");
    }
}

/// As in the line: control characters would break it.
fn quoted(value: &str) -> String {
    format!("'{}'", kafka::text::Escaped(value))
}

#[test]
fn a_bad_value_is_refused_by_name_with_the_value_and_what_is_allowed() {
    for rule in RULES {
        let numeric = rule.allowed.iter().any(|allowed| allowed.starts_with("whole number"));
        for value in rule.bad.iter().chain(NUMBER_NOISE.iter().filter(|_| numeric)) {
            check_refused(&[(rule.variable, value)], &[rule.variable, &quoted(value), "allowed"]);
            check_refused(&[(rule.variable, value)], rule.allowed);
        }
    }
}

#[test]
fn a_borderline_value_is_taken() {
    let directory = TempDir::new().unwrap();
    for rule in RULES {
        for value in rule.good {
            // `status` needs neither database nor broker to get past the settings.
            let output = run(
                directory.path(),
                &["status"],
                &[("KAFKA_BOOTSTRAP_SERVERS", OsStr::new("127.0.0.1:1")), (rule.variable, OsStr::new(value))],
            );
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                matches!(output.status.code(), Some(0 | 1)),
                "{} = '{value}': {:?} {said}",
                rule.variable,
                output.status
            );
        }
    }
}

#[test]
fn the_rules_here_are_of_all_variables() {
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")).unwrap();
    let listed: BTreeSet<&str> =
        example.lines().filter_map(|line| line.strip_prefix('#')?.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(listed, RULES.iter().map(|rule| rule.variable).collect());
}

#[test]
fn every_command_refuses_a_bad_setting_but_help_is_given() {
    let directory = TempDir::new().unwrap();
    let bad = [("LOG_LEVEL", OsStr::new("LOUD"))];
    for arguments in [&["run"][..], &["run", "--exit-at-end"], &["check"], &["status"], &["status", "--json"]] {
        assert!(refusal(directory.path(), arguments, &bad).contains("LOG_LEVEL is 'LOUD'"));
    }
    for arguments in [&["--help"][..], &["--version"], &["status", "-h"]] {
        let output = run(directory.path(), arguments, &bad);
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn a_value_is_never_more_than_one_short_line() {
    check_refused(&[("LOG_LEVEL", "LOUD\nLOUDER\u{1b}[31m")], &[r"LOG_LEVEL is 'LOUD\nLOUDER\u{1b}[31m'"]);
    let directory = TempDir::new().unwrap();
    let long = "x".repeat(100_000);
    for variable in
        ["LOG_LEVEL", "KAFKA_TOPIC", "KAFKA_GROUP_ID", "DATABASE_URL", "BATCH_MAX_RECORDS", "KAFKA_BOOTSTRAP_SERVERS"]
    {
        let line = refusal(directory.path(), &[], &[(variable, OsStr::new(&long))]);
        assert!(line.len() < 400 && line.contains(variable), "{} bytes", line.len());
    }
    let not_utf8 = OsString::from_vec(b"caf\xe9".to_vec());
    for variable in ["LOG_LEVEL", "KAFKA_TOPIC", "DATABASE_URL", "SHUTDOWN_TIMEOUT_MS"] {
        let line = refusal(directory.path(), &[], &[(variable, &not_utf8)]);
        assert!(line.contains(variable) && line.contains("'caf\u{fffd}'") && line.contains("UTF-8"), "{line}");
    }
}

#[test]
fn contradictions() {
    check_refused(
        &[("KAFKA_FETCH_MAX_BYTES", "2000"), ("KAFKA_RECEIVE_MAX_BYTES", "1000")],
        &["KAFKA_FETCH_MAX_BYTES", "2000", "KAFKA_RECEIVE_MAX_BYTES", "1000"],
    );
    check_refused(
        &[("KAFKA_RECEIVE_MAX_BYTES", "1000")],
        &["KAFKA_FETCH_MAX_BYTES", "4194304", "KAFKA_RECEIVE_MAX_BYTES", "1000"],
    );
    check_refused(
        &[("KAFKA_BUFFER_MAX_BYTES", "2000000")],
        &["KAFKA_FETCH_MAX_BYTES", "4194304", "KAFKA_BUFFER_MAX_BYTES", "2000000"],
    );
    check_refused(
        &[("RETRY_INITIAL_MS", "2000"), ("RETRY_MAX_MS", "1000")],
        &["RETRY_INITIAL_MS", "2000", "RETRY_MAX_MS", "1000"],
    );
    check_refused(&[("LOG_FILE", "a.log"), ("UNIDENTIFIED_LOG_FILE", "a.log")], &["UNIDENTIFIED_LOG_FILE", "LOG_FILE"]);
    let none = ("KAFKA_GROUP_PROTOCOL", "none");
    check_refused(&[none, ("KAFKA_GROUP_INSTANCE_ID", "a")], &["KAFKA_GROUP_INSTANCE_ID", "KAFKA_GROUP_PROTOCOL"]);
    check_refused(&[none, ("KAFKA_SESSION_TIMEOUT_MS", "45000")], &["KAFKA_SESSION_TIMEOUT_MS", "classic"]);
    for variable in ["KAFKA_SSL_CA_LOCATION", "KAFKA_SSL_CERTIFICATE_LOCATION", "KAFKA_SSL_KEY_LOCATION"] {
        check_refused(&[(variable, "a.pem")], &[variable, "KAFKA_SECURITY_PROTOCOL", "SASL_SSL"]);
    }
    for (variable, value) in [
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "me"),
        ("KAFKA_SASL_PASSWORD", "hush"),
        ("KAFKA_SASL_PASSWORD_FILE", "p"),
    ] {
        check_refused(&[(variable, value)], &[variable, "KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"]);
    }
    let tls = ("KAFKA_SECURITY_PROTOCOL", "SSL");
    check_refused(&[tls, ("KAFKA_SSL_CERTIFICATE_LOCATION", "a.pem")], &["KAFKA_SSL_KEY_LOCATION", "missing"]);
    check_refused(&[tls, ("KAFKA_SSL_KEY_LOCATION", "a.pem")], &["KAFKA_SSL_CERTIFICATE_LOCATION", "missing"]);
    let sasl = [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "me"),
        ("KAFKA_SASL_PASSWORD", "hush"),
    ];
    for missing in 1..sasl.len() {
        let mut rest = sasl.to_vec();
        let (variable, _) = rest.remove(missing);
        check_refused(&rest, &[variable, "missing"]);
    }
    check_refused(
        &[&sasl[..], &[("KAFKA_SASL_PASSWORD_FILE", "p")]].concat(),
        &["KAFKA_SASL_PASSWORD", "KAFKA_SASL_PASSWORD_FILE", "one of them"],
    );
}

#[test]
fn secrets_are_never_shown() {
    let directory = TempDir::new().unwrap();
    let sasl = |password: (&'static str, &OsStr)| {
        let variables =
            [("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"), ("KAFKA_SASL_MECHANISM", "PLAIN"), ("KAFKA_SASL_USERNAME", "me")];
        let mut variables = variables.map(|(name, value)| (name, OsStr::new(value))).to_vec();
        variables.push(password);
        refusal(directory.path(), &[], &variables)
    };
    let not_utf8 = OsString::from_vec(b"hush\xff".to_vec());
    let line = sasl(("KAFKA_SASL_PASSWORD", &not_utf8));
    assert!(line.contains("KAFKA_SASL_PASSWORD") && line.contains("UTF-8") && !line.contains("hush"), "{line}");
    let line = sasl(("KAFKA_SASL_PASSWORD", OsStr::new("hu\nsh")));
    assert!(
        line.contains("KAFKA_SASL_PASSWORD") && line.contains("without control") && !line.contains("sh;"),
        "{line}"
    );
    fs::write(directory.path().join("password"), "hush\nhush\n").unwrap();
    let line = sasl(("KAFKA_SASL_PASSWORD_FILE", OsStr::new("password")));
    assert!(line.contains("KAFKA_SASL_PASSWORD_FILE") && !line.contains("hush"), "{line}");
    fs::write(directory.path().join("empty"), "\n").unwrap();
    let line = sasl(("KAFKA_SASL_PASSWORD_FILE", OsStr::new("empty")));
    assert!(line.contains("KAFKA_SASL_PASSWORD_FILE is 'empty'") && line.contains("not empty"), "{line}");
    let line = sasl(("KAFKA_SASL_PASSWORD_FILE", OsStr::new("nowhere")));
    assert!(
        line.contains("KAFKA_SASL_PASSWORD_FILE") && line.contains("'nowhere'") && line.contains("No such file"),
        "{line}"
    );
}

#[test]
fn wrong_usage_is_told_in_one_line() {
    let directory = TempDir::new().unwrap();
    let check = |arguments: &[&str], part: &str| {
        let line = refusal(directory.path(), arguments, &[]);
        assert!(line.contains(part), "{arguments:?}: {line}");
    };
    check(&["start"], "'start'");
    check(&["run", "fast"], "fast");
    check(&["--fast"], "--fast");
    check(&["run", "--json"], "--json");
    check(&["verify", "--dry-run"], "--dry-run");
    check(&["check", "--exit-at-end"], "--exit-at-end");
    check(&["--env-file"], "--env-file");
    check(&["run", "check"], "check");
    check(&["a\nb"], r"'a\nb'");
}

#[test]
fn settings_files() {
    let directory = TempDir::new().unwrap();
    let path = directory.path();
    let check = |content: &[u8], arguments: &[&str], parts: &[&str], hidden: &str| {
        fs::write(path.join("env"), content).unwrap();
        let line = refusal(path, arguments, &[]);
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} is not all in: {line}");
        assert!(hidden.is_empty() || !line.contains(hidden), "{line}");
    };
    let file = &["--env-file", "env"][..];
    check(b"", &["--env-file", "nowhere"], &["'nowhere'", "No such file"], "");
    check(b"", &["--env-file", "."], &["'.'", "directory"], "");
    check(b"LOG_LEVEL=\xff", file, &["'env'", "UTF-8"], "");
    check(b"# fine\n\nAPP_ENV=production\nKAFKA_SASL_PASSWORD 'hush'\n", file, &["'env'", "line 4", "NAME=value"], "");
    check(b"KAFKA_SASL_PASSWORD='hush\nLOG_LEVEL=INFO\n", file, &["'env'", "line 1", "KAFKA_SASL_PASSWORD="], "hush");
    check(b"LOG_LEVEL=INFO\nLOG_LEVEL=WARN\n", file, &["'env'", "LOG_LEVEL", "more than once"], "");
    check(b"LOG_LEVEL=LOUD # not quiet\r\n", file, &["LOG_LEVEL is 'LOUD'"], "");
    check(b"\xef\xbb\xbfexport LOG_LEVEL='LOUD # not quiet'\n", file, &["LOG_LEVEL is 'LOUD # not quiet'"], "");
    check(&b"A=b\n".repeat(100_000), file, &["'env'", "more than 65536 bytes"], "");
    // One that is named replaces the one that is found.
    fs::write(path.join(".env"), "APP_ENV=found").unwrap();
    check(b"APP_ENV=named", file, &["APP_ENV is 'named'"], "");
    check(b"", &[], &["APP_ENV is 'found'"], "");
}

#[test]
fn the_environment_wins_over_the_file() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join(".env"), "APP_ENV=file\nLOG_LEVEL=file\n").unwrap();
    let check = |variables: &[(&str, &str)], part: &str| {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, OsStr::new(value))).collect();
        let line = refusal(directory.path(), &[], &variables);
        assert!(line.contains(part), "{variables:?}: {line}");
    };
    check(&[("APP_ENV", "environment")], "APP_ENV is 'environment'");
    check(&[("APP_ENV", "production")], "LOG_LEVEL is 'file'");
    check(&[("APP_ENV", "production"), ("LOG_LEVEL", "")], "LOG_LEVEL is ''");
    check(&[("LOG_LEVEL", "INFO")], "APP_ENV is 'file'");
}
