//! Variables with names, addresses and paths.

use super::variable::{Variable, debug, load};

const NAME_ALLOWED: &str = "1 to 255 bytes, without blanks around and control characters";

pub(super) const VARIABLES: &[Variable] = &[
    Variable {
        name: "KAFKA_BOOTSTRAP_SERVERS",
        get: |settings| {
            let servers = settings.kafka.bootstrap_servers.iter();
            debug(servers.map(|address| (address.host.as_str(), address.port)).collect::<Vec<_>>())
        },
        accepts: &[
            ("kafka:9092", r#"[("kafka", 9092)]"#),
            ("10.0.0.1:1, b-2.example.com:65535", r#"[("10.0.0.1", 1), ("b-2.example.com", 65535)]"#),
            ("[::1]:9092,[fe80::1]:9093", r#"[("::1", 9092), ("fe80::1", 9093)]"#),
            ("my_broker:9092", r#"[("my_broker", 9092)]"#),
        ],
        allowed: "one or several comma-separated host:port, like localhost:9092 or [::1]:9092",
        refuses: &[
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
            "a b:9092",
            "a:1;b:2",
            "::1:9092",
            "[::1]",
            "[::1:9092",
            "[localhost]:9092",
            "kafka://localhost:9092",
            "user@localhost:9092",
        ],
    },
    Variable {
        name: "KAFKA_TOPIC",
        get: |settings| settings.kafka.topics.join("+"),
        accepts: &[("a", "a"), ("b, a ,b", "b+a"), ("a,a", "a"), ("A.b_C-9", "A.b_C-9"), ("...", "...")],
        allowed: "one or several comma-separated topic names of 1 to 249 letters, digits, '.', '_' and '-'",
        refuses: &["", ",", "a,", "a,,b", ".", "..", "a,..", "a b", "a/b", "ä"],
    },
    Variable {
        name: "KAFKA_GROUP_ID",
        get: |settings| settings.kafka.group_id.clone(),
        accepts: &[("a", "a"), ("Größe 1", "Größe 1")],
        allowed: NAME_ALLOWED,
        refuses: &[""],
    },
    Variable {
        name: "KAFKA_CLIENT_ID",
        get: |settings| settings.kafka.client_id.clone(),
        accepts: &[("a", "a"), ("Größe 1", "Größe 1")],
        allowed: NAME_ALLOWED,
        refuses: &[""],
    },
    Variable {
        name: "KAFKA_CLIENT_RACK",
        get: |settings| debug(&settings.kafka.client_rack),
        accepts: &[("", "None"), ("use1-az1", r#"Some("use1-az1")"#), ("Größe 1", r#"Some("Größe 1")"#)],
        allowed: NAME_ALLOWED,
        refuses: &[],
    },
    Variable {
        name: "KAFKA_GROUP_INSTANCE_ID",
        get: |settings| debug(&settings.kafka.group_protocol),
        accepts: &[
            ("", "Classic { instance_id: None, session_timeout: 45s }"),
            ("one", r#"Classic { instance_id: Some("one"), session_timeout: 45s }"#),
        ],
        allowed: NAME_ALLOWED,
        refuses: &[],
    },
    Variable {
        name: "DATABASE_URL",
        get: |settings| settings.database.path.display().to_string(),
        accepts: &[
            ("sqlite:///events.db", "events.db"),
            ("sqlite:///data/a b%20c.db", "data/a b%20c.db"),
            ("sqlite:////var/lib/events.db", "/var/lib/events.db"),
            ("sqlite:///../events.db", "../events.db"),
        ],
        allowed: "sqlite:///relative/path or sqlite:////absolute/path",
        refuses: &[
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
    },
    Variable {
        name: "LOG_FILE",
        get: |settings| debug(&settings.log.file),
        accepts: &[("", "None"), ("/var/log/x.log", r#"Some("/var/log/x.log")"#), ("x y", r#"Some("x y")"#)],
        allowed: "",
        refuses: &[],
    },
    Variable {
        name: "UNIDENTIFIED_LOG_FILE",
        get: |settings| debug(&settings.unidentified_log_file),
        accepts: &[("", "None"), ("/var/log/x.log", r#"Some("/var/log/x.log")"#), ("x y", r#"Some("x y")"#)],
        allowed: "",
        refuses: &[],
    },
    Variable {
        name: "HTTP_LISTEN",
        get: |settings| debug(&settings.http.listen),
        accepts: &[
            ("", "None"),
            ("127.0.0.1:9464", "Some(Tcp(127.0.0.1:9464))"),
            ("[::1]:0", "Some(Tcp([::1]:0))"),
            ("unix:/run/x y.sock", r#"Some(Unix("/run/x y.sock"))"#),
        ],
        allowed: "an IP address and a port, like 127.0.0.1:9464 or [::1]:9464, or unix:/absolute/path of at most 107 bytes",
        refuses: &[
            "9464",
            ":9464",
            "localhost:9464",
            "127.0.0.1",
            "::1:9464",
            "http://127.0.0.1:9464",
            "unix:x",
            "unix:/x/",
        ],
    },
    Variable {
        name: "HTTP_TOKEN_FILE",
        get: |settings| debug(&settings.http.token_file),
        accepts: &[("", "None")],
        allowed: "",
        refuses: &[],
    },
    optional_text("KAFKA_SASL_USERNAME"),
    optional_text("KAFKA_SASL_PASSWORD"),
    optional_text("KAFKA_SASL_PASSWORD_FILE"),
    optional_text("KAFKA_SASL_OAUTHBEARER_TOKEN_FILE"),
    Variable {
        name: "KAFKA_SASL_OAUTHBEARER_EXTENSIONS",
        get: |settings| debug(&settings.kafka.security),
        accepts: &[("", "Security { tls: None, sasl: None }")],
        allowed: "comma-separated key=value, each key once, of letters, and not 'auth'; values of visible ASCII characters and \
                  blanks",
        refuses: &["a", "a=", "a1=b", "auth=x", "a=b,a=c", "a=ä"],
    },
    Variable {
        name: "KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL",
        get: |settings| debug(&settings.kafka.security),
        accepts: &[("", "Security { tls: None, sasl: None }")],
        allowed: "https://host/path, or http://localhost/path, without user and '#'",
        refuses: &["a.example", "http://a.example/token", "https://u:p@a.example", "https://a.example/#x"],
    },
    optional_text("KAFKA_SASL_OAUTHBEARER_CLIENT_ID"),
    optional_text("KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET_FILE"),
    Variable {
        name: "KAFKA_SASL_OAUTHBEARER_SCOPE",
        get: |settings| debug(&settings.kafka.security),
        accepts: &[("", "Security { tls: None, sasl: None }")],
        allowed: "scopes of visible ASCII characters other than '\"' and '\\', separated by blanks",
        refuses: &["ä", "a\"b", "a\\b"],
    },
    optional_text("KAFKA_SASL_OAUTHBEARER_CA_LOCATION"),
    Variable {
        name: "KAFKA_SASL_AWS_REGION",
        get: |settings| debug(&settings.kafka.security),
        accepts: &[("", "Security { tls: None, sasl: None }")],
        allowed: "the name of a region, such as eu-central-1",
        refuses: &["EU", "eu.central", "a/b"],
    },
    optional_text("KAFKA_SSL_CA_LOCATION"),
    optional_text("KAFKA_SSL_CERTIFICATE_LOCATION"),
    optional_text("KAFKA_SSL_KEY_LOCATION"),
];

/// A variable of SASL or TLS: alone it may only be empty. `security.rs` tests them together.
const fn optional_text(name: &'static str) -> Variable {
    Variable {
        name,
        get: |settings| debug(&settings.kafka.security),
        accepts: &[("", "Security { tls: None, sasl: None }")],
        allowed: "",
        refuses: &[],
    }
}

#[test]
fn names_addresses_and_paths() {
    VARIABLES.iter().for_each(Variable::check);
}

#[test]
fn a_database_url_has_no_parameters_and_is_not_in_memory() {
    for (url, hint) in [
        ("sqlite::memory:", "an in-memory database would be lost"),
        ("sqlite:///:memory:", "an in-memory database would be lost"),
        (":memory:", "an in-memory database would be lost"),
        ("sqlite:///events.db?mode=ro", "without parameters after '?'"),
    ] {
        let allowed = format!("sqlite:///relative/path or sqlite:////absolute/path ({hint})");
        assert_eq!(load(&[("DATABASE_URL", url)]), Err(format!("DATABASE_URL is '{url}'; allowed: {allowed}")));
    }
}

#[test]
fn names_have_a_greatest_length() {
    for (variable, bytes_max) in [
        ("KAFKA_GROUP_ID", 255),
        ("KAFKA_CLIENT_ID", 255),
        ("KAFKA_CLIENT_RACK", 255),
        ("KAFKA_GROUP_INSTANCE_ID", 255),
        ("KAFKA_TOPIC", 249),
    ] {
        assert!(load(&[(variable, &"x".repeat(bytes_max))]).is_ok(), "{variable}");
        let line = load(&[(variable, &"x".repeat(bytes_max + 1))]).unwrap_err();
        assert!(line.starts_with(&format!("{variable} is '{}…'; allowed: ", "x".repeat(64))), "{line}");
    }
    let host = |bytes| load(&[("KAFKA_BOOTSTRAP_SERVERS", &format!("{}:1", "a".repeat(bytes)))]);
    assert!(host(255).is_ok() && host(256).is_err());
}
