//! Fuzzes environments and settings files. A refusal is one short line that names the variable, quotes the value and shows no
//! password; an accepted value is within its bounds.
//!
//! An input is the file, then the variables of the environment as `NAME=value`, each after a zero byte.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use fuzzkit::{Target, within};
use kafka::text::{Escaped, is_unprintable};

use crate::runtime::error_chain::ErrorChain;
use crate::settings::{GroupProtocol, Settings, SettingsError};

/// Greatest memory for settings, per byte of input.
const MEMORY_FACTOR: usize = 64;
/// Memory for the defaults, for reading a file, and for an error.
const MEMORY_LEAST: usize = 64 * 1024;
/// Characters of a refusal, the file's name apart.
const LINE_CHARS_MAX: usize = 500;
/// Greatest length of a quoted value, in characters.
const QUOTED_CHARS_MAX: usize = 64;
/// Characters of the longest escape, which is quoted whole or not at all.
const ESCAPE_CHARS_MAX: usize = r"\u{e0001}".len();
/// Greatest wait of a setting.
const WAIT_MAX: Duration = Duration::from_hours(1);
/// The variable whose value is never shown.
const SECRET: &str = "KAFKA_SASL_PASSWORD";
/// Least length of a password that is searched for: a shorter one may be part of another word.
const SECRET_BYTES_MIN: usize = 8;

pub(crate) const TARGET: Target = Target {
    name: "settings",
    run: settings,
    words: &[
        "\0KAFKA_TOPIC=",
        "\0KAFKA_BOOTSTRAP_SERVERS=",
        "\0KAFKA_SASL_PASSWORD=hunter2-hunter2",
        "\0KAFKA_SECURITY_PROTOCOL=SASL_SSL",
        "\0KAFKA_SASL_MECHANISM=PLAIN",
        "\0KAFKA_SASL_USERNAME=alice",
        "\0KAFKA_GROUP_PROTOCOL=none",
        "\0RETRY_MAX_MS=",
        "\0WAL_MAX_BYTES=",
        "\0DATABASE_CACHE_MAX_BYTES=",
        "\0KAFKA_FETCH_MAX_BYTES=",
        "\0KAFKA_BUFFER_MAX_BYTES=",
        "\0BATCH_MAX_RECORDS=",
        "\0DATABASE_URL=sqlite:///",
        "\nLOG_FILE=",
        "\nexport ",
        "[::1]:9092",
        "'",
        "\"",
        "${",
        "\u{feff}",
    ],
    tries: 3_000,
};

fn settings(input: &[u8]) -> bool {
    let mut parts = input.split(|byte| *byte == 0);
    let text = parts.next().unwrap_or_default();
    let pair = |part: &[u8]| {
        let at = part.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (part.get(..at)?, part.get(at + 1..)?);
        Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec())))
    };
    let environment: HashMap<OsString, OsString> = parts.filter_map(pair).collect();
    let Ok(file) = tempfile::NamedTempFile::new() else { return false };
    if fs::write(file.path(), text).is_err() {
        return false;
    }
    let loaded =
        within(input.len() * MEMORY_FACTOR + MEMORY_LEAST, || Settings::load(environment.clone(), Some(file.path())));
    let secret = secret_of(&environment, text);
    let hides = |shown: &str| secret.as_ref().is_none_or(|secret| !shown.contains(secret));
    match &loaded {
        Ok(settings) => {
            assert!(hides(&format!("{settings:?}")) && hides(&settings.kafka.security.describe()));
            assert!(settings.warnings.iter().all(|line| hides(line) && !line.contains(is_unprintable)));
            check_bounds(settings);
        }
        Err(error) => {
            let line = ErrorChain(error).to_string();
            assert!(hides(&line), "{line}");
            check_refusal(error, &line, &environment, file.path());
        }
    }
    loaded.is_ok()
}

/// The password, unless another part of the input contains it.
fn secret_of(environment: &HashMap<OsString, OsString>, text: &[u8]) -> Option<String> {
    let secret = environment.get(&OsString::from(SECRET))?.to_str().filter(|it| it.len() >= SECRET_BYTES_MIN)?;
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    let elsewhere = environment
        .iter()
        .any(|(name, value)| holds(name.as_encoded_bytes()) || (name != SECRET && holds(value.as_encoded_bytes())));
    (!elsewhere && !holds(text)).then(|| secret.to_owned())
}

fn check_refusal(error: &SettingsError, line: &str, environment: &HashMap<OsString, OsString>, file: &Path) {
    let shown = line.replace(&file.display().to_string(), "FILE");
    assert!(shown.chars().count() <= LINE_CHARS_MAX && !shown.contains(is_unprintable), "{shown:?}");
    let given = |variable: &str| environment.get(&OsString::from(variable));
    match error {
        SettingsError::Invalid { variable, value, .. } => {
            assert!(line.starts_with(variable), "{line}");
            assert_eq!(value.is_none(), *variable == SECRET, "{line}");
            if let (Some(value), Some(given)) = (value, given(variable)) {
                let given = Escaped(given.to_string_lossy()).to_string();
                let begin: String = given.chars().take(QUOTED_CHARS_MAX - ESCAPE_CHARS_MAX).collect();
                assert!(value.starts_with(&begin) && line.contains(&format!("'{value}'")), "{line}");
            }
        }
        SettingsError::Contradiction { variable, .. } => assert!(line.starts_with(variable), "{line}"),
        SettingsError::EnvFile { .. } | SettingsError::EnvFileLine { .. } => {
            assert!(shown.contains("the settings file 'FILE'"), "{line}");
        }
        SettingsError::File { .. } | SettingsError::Tls { .. } => unreachable!("no such file is read yet: {line}"),
    }
}

fn check_bounds(settings: &Settings) {
    let kafka = &settings.kafka;
    let is_name = |name: &String| (1..=255).contains(&name.len()) && !name.contains(is_unprintable);
    assert!(kafka.fetch_max_bytes <= kafka.buffer_max_bytes);
    assert!(kafka.fetch_max_bytes <= kafka.receive_max_bytes && i32::try_from(kafka.receive_max_bytes.get()).is_ok());
    assert!(!kafka.bootstrap_servers.is_empty() && !kafka.topics.is_empty());
    assert!(kafka.bootstrap_servers.iter().all(|address| address.port > 0 && is_name(&address.host)));
    assert!(kafka.topics.iter().all(|topic| is_name(topic) && topic.len() <= 249));
    assert!([&kafka.group_id, &kafka.client_id].into_iter().all(is_name));
    assert!(kafka.client_rack.iter().all(is_name));
    match &kafka.group_protocol {
        GroupProtocol::None => {}
        GroupProtocol::Classic { instance_id, session_timeout } => {
            assert!(instance_id.iter().all(is_name));
            assert!((1..=i32::MAX.unsigned_abs().into()).contains(&session_timeout.as_millis()));
        }
        GroupProtocol::Consumer { instance_id } => assert!(instance_id.iter().all(is_name)),
    }
    assert!(settings.retry.initial <= settings.retry.max && settings.retry.max <= WAIT_MAX);
    assert!(!settings.retry.initial.is_zero() && !settings.shutdown_timeout.is_zero());
    assert!(settings.shutdown_timeout <= WAIT_MAX && settings.batch_records_max.get() <= 1_000_000);
    assert!((1 << 20..=i64::MAX.unsigned_abs()).contains(&settings.database.wal_bytes_max));
    assert!(!settings.database.path.as_os_str().is_empty());
    assert!(settings.log.file.is_none() || settings.log.file != settings.unidentified_log_file);
}
