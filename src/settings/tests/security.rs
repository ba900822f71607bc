//! The variables of TLS and SASL together, and the files that they name.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use kafka::{ClientCertificate, Sasl, Secret, TlsFiles};

use super::variable::{load, no_file};
use crate::runtime::error_chain::ErrorChain;
use crate::settings::{Password, PasswordMechanism, SaslSettings, Security, Settings};

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
    let expected = SaslSettings::Password {
        mechanism: PasswordMechanism::ScramSha512,
        username: "user".to_owned(),
        password: Password::Given(Secret::new(" pass word ")),
    };
    assert_eq!(sasl, expected);
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

    // A secret that is not UTF-8 is not shown.
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
    for damaged in ["se\ncret\n", "secret\n\n", "se\0cret", "\tsecret"] {
        let line = "KAFKA_SASL_PASSWORD_FILE has a wrong value (not shown); allowed: a password of one line, without control \
                    and invisible characters";
        assert_eq!(password(damaged), Err(line.to_owned()));
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

/// The password in a file, or the line that refuses it. The file is read when a connection needs it.
fn password_of(path: &str) -> Result<String, String> {
    let security = load(&with_password_file(path)).unwrap().kafka.security.load();
    let sasl = security.map(|security| security.sasl.unwrap()).map_err(|error| ErrorChain(&error).to_string())?;
    let Sasl::ScramSha256(credentials) = sasl else { panic!("{sasl:?}") };
    Ok(credentials.password.expose().to_owned())
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
    // The files are read when a connection needs them.
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
fn insecure_settings_cause_a_warning() {
    let plain = [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
        ("KAFKA_SASL_MECHANISM", "PLAIN"),
        ("KAFKA_SASL_USERNAME", "alice"),
        ("KAFKA_SASL_PASSWORD", "hush"),
    ];
    let [warning] = &load(&plain).unwrap().warnings[..] else { panic!() };
    assert!(warning.contains("KAFKA_SASL_MECHANISM=PLAIN") && warning.contains("clear text"), "{warning}");

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
