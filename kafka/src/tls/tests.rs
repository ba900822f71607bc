//! Invalid PEM files, and the faults behind TLS errors. The tests with brokers use real certificates.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, OtherError};

use super::*;

/// What is wrong with the CA certificates, or with a key, in a file with this text.
fn problem(name: &str, text: &str, load: impl FnOnce(PathBuf) -> TlsError) -> String {
    let path = std::env::temp_dir().join(format!("kafka-tls-{}-{name}.pem", std::process::id()));
    fs::write(&path, text).unwrap();
    let error = load(path.clone());
    fs::remove_file(&path).unwrap();
    error.to_string().replace(&path.display().to_string(), "FILE")
}

fn authorities(path: PathBuf) -> TlsError {
    Tls::load(&TlsFiles { authorities: Some(path), client: None }).unwrap_err()
}

#[test]
fn files_without_ca_certificates() {
    let check = |name, text: &str, expected| assert_eq!(problem(name, text, authorities), expected, "{name}");
    let none = "'FILE' has no certificate in PEM form (-----BEGIN CERTIFICATE-----)";
    check("empty", "", none);
    check("der", "\u{1}\u{2}\u{3}", none);
    check("other", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", none);
    let malformed = "'FILE' is not a well-formed PEM file";
    check("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n", malformed);
    check("letters", "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n", malformed);
    check(
        "damaged",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "'FILE' has a certificate that is damaged or cannot be a CA certificate",
    );
    check("large", &"x".repeat((4 << 20) + 1), "'FILE' is too large for a PEM file of certificates");
    let missing = authorities(PathBuf::from("/nowhere"));
    assert!(matches!(missing, TlsError::Unreadable { file: TlsFile::Authorities, .. }), "{missing}");
}

#[test]
fn files_without_a_usable_key() {
    let check = |name, text: &str, expected: &str| {
        let key = |path: PathBuf| files::key(&path).unwrap_err();
        let found = problem(name, text, key);
        assert!(found.contains(expected) && !found.contains("SECRET"), "{name}: {found}");
    };
    check("no-key", "SECRET", "has no private key in PEM form");
    check("cut-key", "-----BEGIN PRIVATE KEY-----\nSECRET\n", "not a well-formed PEM file");
    check(
        "letters-key",
        "-----BEGIN PRIVATE KEY-----\n%SECRET\n-----END PRIVATE KEY-----\n",
        "not a well-formed PEM file",
    );
    check("one-line-key", "-----BEGIN PRIVATE KEY SECRET -----END PRIVATE KEY-----\n", "not a well-formed PEM file");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nSECRET\n-----END ENCRYPTED PRIVATE KEY-----\n";
    check("encrypted-key", encrypted, "protected by a password");
    let encrypted =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nSECRET\n-----END RSA PRIVATE KEY-----\n";
    check("old-encrypted-key", encrypted, "protected by a password");
}

#[test]
fn faults_behind_tls_errors() {
    let fault = |error: rustls::Error, shows| TlsFault::of(&io::Error::new(io::ErrorKind::InvalidData, error), shows);
    let certificate = |error| fault(rustls::Error::InvalidCertificate(error), false).unwrap().to_string();
    let at = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * 24 * 3600));
    let expired = |now, end| certificate(CertificateError::ExpiredContext { time: at(now), not_after: at(end) });
    assert_eq!(expired(100, 97), "its certificate expired 3 days ago");
    assert_eq!(expired(100, 99), "its certificate expired 24 hours ago");
    assert_eq!(expired(100, 100), "its certificate expired less than an hour ago");
    let named = |presented: &[&str]| {
        certificate(CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("broker").unwrap(),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        })
    };
    let for_another = "its certificate is for another host: it names ";
    assert_eq!(named(&["DnsName(\"a.example\")", "IpAddress(10.0.0.1)"]), format!("{for_another}a.example, 10.0.0.1"));
    assert_eq!(named(&[]), "its certificate has no subject alternative name");
    assert_eq!(named(&["a"; 1000]), format!("{for_another}{}", ["a"; 10].join(", ")));
    let (signature_algorithm_id, public_key_algorithm_id) = (vec![1; 1000], vec![2; 1000]);
    let with_sha1 = CertificateError::UnsupportedSignatureAlgorithmContext {
        signature_algorithm_id: signature_algorithm_id.clone(),
        supported_algorithms: vec![rustls::pki_types::alg_id::RSA_PKCS1_SHA256],
    };
    assert!(certificate(with_sha1).contains("its certificate is not supported (SHA-1"));
    let kinds = CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext {
        signature_algorithm_id,
        public_key_algorithm_id,
    };
    for error in [kinds, CertificateError::BadSignature] {
        assert!(
            certificate(error).contains("not signed with the key of the trusted certificate authority of that name")
        );
    }
    assert_eq!(certificate(CertificateError::Revoked), "its certificate is invalid: Revoked");
    let much = OtherError(Arc::new(io::Error::other("x\n".repeat(1000))));
    let shown = certificate(CertificateError::Other(much));
    assert!(shown.chars().count() < 300 && !shown.contains('\n'), "{shown}");

    let alert = |alert, shows| fault(rustls::Error::AlertReceived(alert), shows);
    assert_eq!(alert(AlertDescription::CertificateRequired, false), Some(TlsFault::CertificateRequired));
    assert_eq!(alert(AlertDescription::BadCertificate, false), Some(TlsFault::CertificateRequired));
    assert!(matches!(alert(AlertDescription::UnknownCA, true), Some(TlsFault::CertificateRejected(_))));
    assert!(matches!(alert(AlertDescription::ProtocolVersion, true), Some(TlsFault::NothingInCommon(_))));
    for (shows, hinted) in [(false, true), (true, false)] {
        let words = alert(AlertDescription::HandshakeFailure, shows).unwrap().to_string();
        assert_eq!(words.contains("it may also require a client certificate"), hinted, "{words}");
    }
    assert_eq!(alert(AlertDescription::UnrecognisedName, true), Some(TlsFault::UnrecognizedName));
    // These may pass: a broker that shuts down, damaged bytes.
    assert_eq!(alert(AlertDescription::InternalError, true), None);
    assert_eq!(fault(rustls::Error::DecryptError, true), None);
    assert_eq!(TlsFault::of(&io::ErrorKind::UnexpectedEof.into(), true), None);
}
