//! The variables of OAUTHBEARER together.

use std::path::PathBuf;

use kafka::{SaslExtensions, TokenEndpoint};

use super::variable::load;
use crate::settings::{SaslSettings, TokenSource};

const MECHANISM: (&str, &str) = ("KAFKA_SASL_MECHANISM", "oauthbearer");
const FILE: (&str, &str) = ("KAFKA_SASL_OAUTHBEARER_TOKEN_FILE", "/no/token");
const EXTENSIONS: (&str, &str) = ("KAFKA_SASL_OAUTHBEARER_EXTENSIONS", "logicalCluster=lkc-1");
const URL: (&str, &str) = ("KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", "https://issuer.example/token?tenant=1");
const CLIENT_ID: (&str, &str) = ("KAFKA_SASL_OAUTHBEARER_CLIENT_ID", "reader");
const CLIENT_SECRET: (&str, &str) = ("KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET_FILE", "/no/secret");
const SCOPE: (&str, &str) = ("KAFKA_SASL_OAUTHBEARER_SCOPE", "kafka read");
const CA: (&str, &str) = ("KAFKA_SASL_OAUTHBEARER_CA_LOCATION", "/no/ca.pem");

fn with(protocol: &str, variables: &[(&str, &str)]) -> Result<(SaslSettings, String, Vec<String>), String> {
    let all = [&[("KAFKA_SECURITY_PROTOCOL", protocol), MECHANISM], variables].concat();
    load(&all).map(|settings| {
        let described = settings.kafka.security.describe();
        (settings.kafka.security.sasl.unwrap(), described, settings.warnings)
    })
}

#[test]
fn a_token_file() {
    let (sasl, described, warnings) = with("SASL_SSL", &[FILE, EXTENSIONS]).unwrap();
    let expected = SaslSettings::Token {
        source: TokenSource::File(PathBuf::from("/no/token")),
        extensions: SaslExtensions::parse("logicalCluster=lkc-1").unwrap(),
    };
    assert_eq!(sasl, expected);
    assert_eq!(described, "SASL_SSL: OAUTHBEARER with the token in '/no/token', the system's authorities");
    assert_eq!(warnings, Vec::<String>::new());
    // The file may come later.
    let file = load(&[("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"), MECHANISM, FILE]).unwrap();
    assert!(file.kafka.security.load().is_ok());
    assert_eq!(file.warnings, ["OAUTHBEARER over SASL_PLAINTEXT sends the token in clear text; use SASL_SSL"]);
}

#[test]
fn a_token_endpoint() {
    let all = [URL, CLIENT_ID, CLIENT_SECRET, SCOPE, CA];
    let (sasl, described, _) = with("SASL_SSL", &all).unwrap();
    let endpoint = TokenEndpoint {
        url: URL.1.to_owned(),
        client_id: "reader".to_owned(),
        client_secret_file: PathBuf::from("/no/secret"),
        scope: Some("kafka read".to_owned()),
    };
    let source = TokenSource::Endpoint { endpoint, authorities: Some(PathBuf::from("/no/ca.pem")) };
    assert_eq!(sasl, SaslSettings::Token { source, extensions: SaslExtensions::default() });
    let text = "OAUTHBEARER with tokens of 'https://issuer.example/token' for the client 'reader'";
    assert_eq!(described, format!("SASL_SSL: {text}, the system's authorities"));
    let loaded = load(&[&[("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT"), MECHANISM], &all[..]].concat()).unwrap();
    let error = loaded.kafka.security.load().unwrap_err();
    assert_eq!(error.to_string(), "KAFKA_SASL_OAUTHBEARER_CA_LOCATION cannot be used");
}

#[test]
fn aws() {
    let region = ("KAFKA_SASL_AWS_REGION", "eu-central-1");
    let iam = [("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"), ("KAFKA_SASL_MECHANISM", "AWS_MSK_IAM")];
    let settings = load(&[&iam[..], &[region]].concat()).unwrap().kafka.security;
    let text = "OAUTHBEARER with tokens signed with AWS credentials for the region 'eu-central-1'";
    assert_eq!(settings.describe(), format!("SASL_SSL: {text}, the system's authorities"));
    let source = TokenSource::AwsMskIam { region: Some("eu-central-1".to_owned()) };
    assert_eq!(settings.sasl, Some(SaslSettings::Token { source, extensions: SaslExtensions::default() }));
    for other in [FILE, EXTENSIONS, URL] {
        let line = format!("{} is for KAFKA_SASL_MECHANISM OAUTHBEARER only", other.0);
        assert_eq!(load(&[&iam[..], &[other]].concat()), Err(line));
    }
    assert_eq!(
        with("SASL_SSL", &[FILE, region]).map(|_| ()),
        Err("KAFKA_SASL_AWS_REGION is for KAFKA_SASL_MECHANISM AWS_MSK_IAM only".to_owned())
    );
}

#[test]
fn variables_that_do_not_belong_together_are_refused() {
    let check = |variables: &[(&str, &str)], line: &str| {
        assert_eq!(with("SASL_SSL", variables).map(|_| ()), Err(line.to_owned()));
    };
    check(
        &[],
        "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE or KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL is missing: \
         KAFKA_SASL_MECHANISM=OAUTHBEARER needs it",
    );
    check(
        &[FILE, URL],
        "KAFKA_SASL_OAUTHBEARER_TOKEN_FILE and KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL are both set; allowed: one of them",
    );
    for other in [CLIENT_ID, CLIENT_SECRET, SCOPE, CA] {
        let line = format!("{} is for KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL only", other.0);
        check(&[FILE, other], &line);
    }
    let needed = |variable| format!("{variable} is missing: KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL needs it");
    check(&[URL, CLIENT_SECRET], &needed("KAFKA_SASL_OAUTHBEARER_CLIENT_ID"));
    check(&[URL, CLIENT_ID], &needed("KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET_FILE"));
    for other in [("KAFKA_SASL_USERNAME", "u"), ("KAFKA_SASL_PASSWORD", "p"), ("KAFKA_SASL_PASSWORD_FILE", "/p")] {
        check(&[FILE, other], &format!("{} is for KAFKA_SASL_MECHANISM PLAIN and SCRAM only", other.0));
    }
    let scram = [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-256"),
        ("KAFKA_SASL_USERNAME", "u"),
        ("KAFKA_SASL_PASSWORD", "p"),
    ];
    for other in [FILE, EXTENSIONS, URL] {
        let line = format!("{} is for KAFKA_SASL_MECHANISM OAUTHBEARER only", other.0);
        assert_eq!(load(&[&scram[..], &[other]].concat()), Err(line));
    }
}
