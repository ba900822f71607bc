//! Credentials from each source, with metadata services that the tests run.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// Never reached.
const LONG: Duration = Duration::from_mins(1);
/// 2099.
const CREDENTIALS: &str = r#"{"Code":"Success","AccessKeyId":"ROLE","SecretAccessKey":"hush","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#;

fn provider(variables: &[(&str, &str)]) -> AwsMskIam {
    let variables: HashMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    AwsMskIam::new("eu-central-1", AwsEnvironment::new(move |name| variables.get(name).cloned()))
}

/// The presigned URL of the provider's token.
fn url(provider: &AwsMskIam) -> String {
    let token = provider.token(LONG).unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(token.expose()).unwrap()).unwrap()
}

fn failure(provider: &AwsMskIam) -> String {
    let error = provider.token(LONG).unwrap_err();
    assert!(matches!(error, TokenError::Unavailable(_)), "{error:?}");
    error.to_string()
}

/// A service that sends these responses one after the other; returns its address, and the requests at its end.
fn service(responses: &'static [(u16, &'static str)]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let mut requests = Vec::new();
        for (status, body) in responses {
            let mut stream = listener.accept().unwrap().0;
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                bytes.extend(byte);
            }
            requests.push(String::from_utf8(bytes).unwrap().to_ascii_lowercase());
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
        requests
    });
    (address, thread)
}

#[test]
fn a_token_is_signed_with_the_environments_credentials() {
    let variables = [("AWS_ACCESS_KEY_ID", "STATIC"), ("AWS_SECRET_ACCESS_KEY", "hush")];
    let provider = provider(&variables);
    let url = url(&provider);
    let start = "https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect&";
    assert!(url.starts_with(start) && url.contains("X-Amz-Credential=STATIC%2F"), "{url}");
    assert!(!format!("{provider:?}").contains("hush"));
}

#[test]
fn credentials_of_a_container() {
    let path = std::env::temp_dir().join(format!("kafka-pod-{}", std::process::id()));
    fs::write(&path, "pod-token\n").unwrap();
    let (address, thread) = service(&[(200, CREDENTIALS), (500, "hush")]);
    let full = format!("{address}/v1/credentials");
    let with_token = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*full),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path.to_str().unwrap()),
    ];
    let of_pod = provider(&with_token);
    let signed = url(&of_pod);
    assert!(signed.contains("X-Amz-Credential=ROLE%2F") && signed.contains("X-Amz-Security-Token=t&"), "{signed}");
    // The token is kept.
    assert_eq!(url(&of_pod), signed);
    let text = "AWS credentials: container metadata service responded with the status 500";
    assert_eq!(failure(&provider(&with_token)), text);
    let requests = thread.join().unwrap();
    assert!(requests[0].starts_with("get /v1/credentials http/1.1\r\n"), "{requests:?}");
    assert!(requests[0].contains("authorization: pod-token\r\n"), "{requests:?}");
    fs::remove_file(&path).unwrap();
    assert!(failure(&provider(&with_token)).contains("needs its authorization token '"));
    for elsewhere in ["http://metadata.example/x", "https://127.0.0.1/x", "nonsense"] {
        let text = failure(&provider(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", elsewhere)]));
        assert!(text.ends_with("has a URL that is not http to this machine"), "{text}");
    }
}

#[test]
fn credentials_of_an_instance() {
    let (address, thread) = service(&[(200, "session-1"), (200, "the-role\n"), (200, CREDENTIALS)]);
    let signed = url(&provider(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address)]));
    assert!(signed.contains("X-Amz-Credential=ROLE%2F"), "{signed}");
    let requests = thread.join().unwrap();
    assert!(requests[0].starts_with("put /latest/api/token http/1.1\r\n"), "{requests:?}");
    assert!(requests[0].contains("x-aws-ec2-metadata-token-ttl-seconds: 60\r\n"), "{requests:?}");
    let roles = "/latest/meta-data/iam/security-credentials/";
    for (request, path) in requests[1..].iter().zip([roles.to_owned(), format!("{roles}the-role")]) {
        assert!(request.starts_with(&format!("get {path} http/1.1\r\n")), "{request}");
        assert!(request.contains("x-aws-ec2-metadata-token: session-1\r\n"), "{request}");
    }
}

#[test]
fn without_credentials_the_error_says_where_they_were_looked_for() {
    let disabled = ("AWS_EC2_METADATA_DISABLED", "true");
    assert_eq!(failure(&provider(&[disabled])), "AWS credentials: none were found");
    let web = failure(&provider(&[disabled, ("AWS_WEB_IDENTITY_TOKEN_FILE", "/x")]));
    assert!(web.ends_with("AWS_WEB_IDENTITY_TOKEN_FILE is not supported: use EKS Pod Identity"), "{web}");
    let (address, thread) = service(&[(200, "session"), (200, "role"), (200, r#"{"Code":"Failed","Secret":"hush"}"#)]);
    let text = failure(&provider(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address)]));
    assert_eq!(text, "AWS credentials: instance metadata service sent a response without credentials");
    thread.join().unwrap();
    let closed = failure(&provider(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address)]));
    assert!(closed.starts_with("AWS credentials: instance metadata service did not respond: "), "{closed}");
}
