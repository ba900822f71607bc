//! Variables with a few allowed words.

use super::variable::{Variable, debug};

const BOOLEANS: &[(&str, &str)] = &[("true", "true"), ("false", "false"), ("False", "false")];

pub(super) const VARIABLES: &[Variable] = &[
    Variable {
        name: "APP_ENV",
        get: |settings| debug(settings.log.console),
        accepts: &[("development", "Text"), ("production", "Json"), ("PRODUCTION", "Json")],
        allowed: "development, production",
        refuses: &["", "nonsense", "0", "prod"],
    },
    Variable {
        name: "LOG_LEVEL",
        get: |settings| debug(settings.log.level),
        accepts: &[
            ("OFF", "Off"),
            ("ERROR", "Error"),
            ("WARN", "Warn"),
            ("INFO", "Info"),
            ("DEBUG", "Debug"),
            ("trace", "Trace"),
        ],
        allowed: "OFF, ERROR, WARN, INFO, DEBUG, TRACE",
        refuses: &["", "VERBOSE", "3"],
    },
    Variable {
        name: "KAFKA_AUTO_OFFSET_RESET",
        get: |settings| debug(settings.kafka.auto_offset_reset),
        accepts: &[("earliest", "Earliest"), ("latest", "Latest"), ("error", "Error"), ("LATEST", "Latest")],
        allowed: "earliest, latest, error",
        refuses: &["", "none", "0"],
    },
    Variable {
        name: "KAFKA_ISOLATION_LEVEL",
        get: |settings| debug(settings.kafka.isolation_level),
        accepts: &[("read_committed", "ReadCommitted"), ("read_uncommitted", "ReadUncommitted")],
        allowed: "read_committed, read_uncommitted",
        refuses: &["", "committed", "read-committed"],
    },
    Variable {
        name: "KAFKA_GROUP_PROTOCOL",
        get: |settings| debug(&settings.kafka.group_protocol),
        accepts: &[
            ("none", "None"),
            ("classic", "Classic { instance_id: None, session_timeout: 45s }"),
            ("CLASSIC", "Classic { instance_id: None, session_timeout: 45s }"),
            ("consumer", "Consumer { instance_id: None }"),
        ],
        allowed: "classic, consumer, none",
        refuses: &["", "static", "0"],
    },
    Variable {
        name: "KAFKA_SECURITY_PROTOCOL",
        get: |settings| debug(&settings.kafka.security),
        accepts: &[
            ("PLAINTEXT", "Security { tls: None, sasl: None }"),
            ("plaintext", "Security { tls: None, sasl: None }"),
            ("SSL", "Security { tls: Some(TlsFiles { authorities: None, client: None }), sasl: None }"),
        ],
        allowed: "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        refuses: &["", "TLS", "0"],
    },
    Variable {
        name: "KAFKA_SASL_MECHANISM",
        get: |settings| debug(&settings.kafka.security.sasl),
        accepts: &[("", "None")],
        allowed: "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, AWS_MSK_IAM",
        refuses: &["GSSAPI"],
    },
    Variable {
        name: "DATABASE_SYNCHRONOUS",
        get: |settings| debug(settings.database.synchronous),
        accepts: &[("NORMAL", "Normal"), ("FULL", "Full"), ("full", "Full")],
        allowed: "NORMAL, FULL",
        refuses: &["", "OFF", "1"],
    },
    Variable {
        name: "FILE_MODE",
        get: |settings| debug((settings.log.file_mode, settings.database.file_mode)),
        accepts: &[("0600", "(Owner, Owner)"), ("0640", "(Group, Group)")],
        allowed: "0600, 0640",
        refuses: &["", "600", "0644", "0660", "u=rw"],
    },
    Variable {
        name: "FAIL_ON_DATA_LOSS",
        get: |settings| debug(settings.fail_on_data_loss),
        accepts: BOOLEANS,
        allowed: "true, false",
        refuses: &["", "yes", "1"],
    },
    Variable {
        name: "HTTP_SAMPLES",
        get: |settings| debug(settings.http.samples),
        accepts: BOOLEANS,
        allowed: "true, false",
        refuses: &["", "yes", "1"],
    },
    Variable {
        name: "KAFKA_VALIDATE_LEADER_EPOCHS",
        get: |settings| debug(settings.kafka.validate_leader_epochs),
        accepts: BOOLEANS,
        allowed: "true, false",
        refuses: &["", "yes", "1"],
    },
];

#[test]
fn one_of_several_words_in_upper_or_lower_case() {
    VARIABLES.iter().for_each(Variable::check);
}
