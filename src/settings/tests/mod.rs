//! Every variable in tables, the rules between variables, and settings files.

mod choices;
mod contradictions;
mod damage;
mod files;
mod http;
mod numbers;
mod security;
mod texts;
mod tokens;
mod variable;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use kafka::{Address, IsolationLevel, RetryPolicy};
use log::LevelFilter;

use crate::runtime::logger::{ConsoleFormat, LogSettings};
use crate::runtime::permissions::FileMode;
use crate::settings::variables::Variables;
use crate::settings::{
    DatabaseSettings, GroupProtocol, HttpSettings, KafkaSettings, OffsetReset, Security, ServiceManager, Settings,
    Synchronous,
};
use variable::{load, no_file};

#[test]
fn defaults() {
    let expected = Settings {
        kafka: KafkaSettings {
            bootstrap_servers: vec![Address { host: "localhost".to_owned(), port: 9092 }],
            group_id: "enterprise-consumer-group".to_owned(),
            topics: vec!["sales_events".to_owned()],
            client_id: "enterprise-consumer".to_owned(),
            auto_offset_reset: OffsetReset::Earliest,
            isolation_level: IsolationLevel::ReadCommitted,
            group_protocol: GroupProtocol::Classic { instance_id: None, session_timeout: Duration::from_secs(45) },
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
            cache_bytes_max: 25_165_824,
            file_mode: FileMode::Owner,
        },
        retry: RetryPolicy { initial: Duration::from_millis(200), max: Duration::from_secs(30), attempts_max: None },
        log: LogSettings {
            console: ConsoleFormat::Text,
            level: LevelFilter::Info,
            file: Some(PathBuf::from("logs/consumer.log")),
            file_mode: FileMode::Owner,
        },
        batch_records_max: NonZeroUsize::new(20_000).unwrap(),
        last_modified_max_ahead: Some(Duration::from_hours(24)),
        fail_on_data_loss: true,
        shutdown_timeout: Duration::from_secs(10),
        unidentified_log_file: Some(PathBuf::from("logs/unidentified_messages.log")),
        unidentified_keep: None,
        http: HttpSettings { listen: None, token_file: None, samples: false, file_mode: FileMode::Owner },
        service_manager: ServiceManager::default(),
        can_redraw: false,
        warnings: Vec::new(),
    };
    assert_eq!(load(&[]), Ok(expected));
}

/// The names of all variables, in the order in which they are read.
fn known_variables() -> Vec<&'static str> {
    let mut variables = Variables::read([], Some(no_file().path())).unwrap();
    Settings::from_variables(&mut variables).unwrap();
    variables.known().to_vec()
}

#[test]
fn the_tables_have_every_variable_once() {
    let tables = [choices::VARIABLES, numbers::VARIABLES, texts::VARIABLES];
    let mut in_tables: Vec<&str> = tables.into_iter().flatten().map(|variable| variable.name).collect();
    let mut known = known_variables();
    in_tables.sort_unstable();
    known.sort_unstable();
    assert_eq!(in_tables, known);
}

#[test]
fn misspelt_names_cause_a_warning() {
    for (name, nearest) in [
        ("KAFKA_TOPICS", Some("KAFKA_TOPIC")),
        ("KAFKA_BOOTSTRAP_SERVER", Some("KAFKA_BOOTSTRAP_SERVERS")),
        ("LOGLEVEL", Some("LOG_LEVEL")),
        ("LOG_LEVLE", Some("LOG_LEVEL")),
        ("log_level", Some("LOG_LEVEL")),
        ("LOG_LEVEL ", Some("LOG_LEVEL")),
        ("BATCH_RECORDS", None),
        ("KAFKA_HEAP_OPTS", None),
        ("KAFKA_HOME", None),
        ("HOME", None),
        ("", None),
    ] {
        let warning = |nearest| format!("{name} is not a setting; did you mean {nearest}?");
        let expected: Vec<String> = nearest.into_iter().map(warning).collect();
        assert_eq!(load(&[(name, "x")]).unwrap().warnings, expected, "{name}");
    }
}
