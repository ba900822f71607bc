//! AWS credentials from the metadata service of a container (ECS, EKS Pod Identity) or of an EC2 instance (`IMDSv2`). Must
//! not know what they are for.

use std::path::Path;
use std::time::{Duration, Instant};

use ureq::http::Request;

use super::credentials::{AwsCredentials, AwsEnvironment};
use crate::sasl::providers::http::{Http, Response};
use crate::sasl::providers::secret_file;

/// The longest wait for one response: outside of EC2 nothing listens at its address.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The address of ECS.
const ECS: &str = "http://169.254.170.2";
/// The hosts that a full URI may have, without TLS: this machine, ECS and EKS Pod Identity
/// ([container provider](https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html)).
const CONTAINER_HOSTS: [&str; 6] =
    ["localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
/// The address of an EC2 instance.
const EC2: &str = "http://169.254.169.254";
/// How long a session of `IMDSv2` lasts, in seconds: as short as the requests that need it.
const EC2_SESSION_S: &str = "60";
const EC2_ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// The credentials of the container; `None` if the environment does not name its service.
pub(crate) fn of_container(
    http: &Http,
    environment: &AwsEnvironment,
    timeout: Duration,
) -> Option<Result<AwsCredentials, String>> {
    let relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|uri| format!("{ECS}{uri}"));
    let url = relative.or_else(|| environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(str::to_owned))?;
    Some(container(http, environment, &url, timeout).map_err(|why| format!("container metadata service {why}")))
}

fn container(
    http: &Http,
    environment: &AwsEnvironment,
    url: &str,
    timeout: Duration,
) -> Result<AwsCredentials, String> {
    let request = Request::get(url);
    let host = request.uri_ref().and_then(|uri| uri.host().filter(|_| uri.scheme_str() == Some("http")));
    if !host.is_some_and(|host| CONTAINER_HOSTS.contains(&host)) {
        return Err("has a URL that is not http to this machine".to_owned());
    }
    let file = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(|path| secret_file::read(Path::new(path)));
    let token = match file {
        Some(token) => Some(token.map_err(|why| format!("needs its authorization token {why}"))?.expose().to_owned()),
        None => environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(str::to_owned),
    };
    let request = match token {
        Some(token) => request.header("Authorization", token),
        None => request,
    };
    let response = send(http, request.body(()), timeout.min(RESPONSE_TIMEOUT))?;
    AwsCredentials::of_response(&response.body)
}

/// The credentials of the instance's role; `None` if the environment disables them.
pub(crate) fn of_instance(
    http: &Http,
    environment: &AwsEnvironment,
    timeout: Duration,
) -> Option<Result<AwsCredentials, String>> {
    let is_disabled =
        environment.get("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let endpoint = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(EC2).trim_end_matches('/');
    (!is_disabled).then(|| instance(http, endpoint, timeout).map_err(|why| format!("instance metadata service {why}")))
}

fn instance(http: &Http, endpoint: &str, timeout: Duration) -> Result<AwsCredentials, String> {
    let start = Instant::now();
    let left = || timeout.saturating_sub(start.elapsed()).min(RESPONSE_TIMEOUT);
    let session = Request::put(format!("{endpoint}/latest/api/token"))
        .header("X-aws-ec2-metadata-token-ttl-seconds", EC2_SESSION_S)
        .body(());
    let session = text(send(http, session, left())?)?;
    let get = |path: &str| {
        Request::get(format!("{endpoint}{EC2_ROLES}{path}")).header("X-aws-ec2-metadata-token", &session).body(())
    };
    let roles = text(send(http, get(""), left())?)?;
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty()).ok_or("knows no role")?;
    AwsCredentials::of_response(&send(http, get(role), left())?.body)
}

fn send(http: &Http, request: Result<Request<()>, ureq::http::Error>, timeout: Duration) -> Result<Response, String> {
    let request = request.map_err(|_| "has an invalid URL or authorization token".to_owned())?;
    let response = http.send(request, timeout).map_err(|error| format!("did not respond: {error}"))?;
    match response.status {
        200 => Ok(response),
        status => Err(format!("responded with the status {status}")),
    }
}

fn text(response: Response) -> Result<String, String> {
    String::from_utf8(response.body).map_err(|_| "sent a response that is not UTF-8".to_owned())
}
