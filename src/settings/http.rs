//! The variables of the HTTP server. The token is read from its file when it is needed, not with the settings.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use kafka::Secret;

use super::error::SettingsError;
use super::secret_file::read_secret;
use super::security::is_readable_by_all;
use super::variables::Variables;
use super::{damage, rules};
use crate::runtime::permissions::FileMode;

const LISTEN: &str = "HTTP_LISTEN";
const TOKEN_FILE: &str = "HTTP_TOKEN_FILE";

/// Longest path of a Unix socket, in bytes ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The settings of the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where it listens; `None`: there is no server.
    pub listen: Option<HttpListen>,
    /// The file with the token that requests must have.
    pub token_file: Option<PathBuf>,
    /// Whether payloads and texts of errors are shown.
    pub samples: bool,
    /// Permissions of a Unix socket.
    pub file_mode: FileMode,
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpListen {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl HttpListen {
    /// Whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Where this machine connects to: the loopback address if the server listens at every address.
    #[must_use]
    pub fn to_connect(&self) -> Self {
        match self {
            Self::Tcp(address) if address.ip().is_unspecified() => {
                let loopback: IpAddr =
                    if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
                Self::Tcp(SocketAddr::new(loopback, address.port()))
            }
            other => other.clone(),
        }
    }
}

impl fmt::Display for HttpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl HttpSettings {
    /// Reads the token.
    pub fn load_token(&self) -> Result<Option<Secret>, SettingsError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let token = read_secret(TOKEN_FILE, path)?;
        if token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Some(token));
        }
        let allowed = "a file with printable ASCII characters without blanks".to_owned();
        Err(SettingsError::Invalid { variable: TOKEN_FILE, value: None, allowed })
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// If there is none.
    pub fn require_listen(&self) -> Result<&HttpListen, SettingsError> {
        self.listen.as_ref().ok_or_else(|| SettingsError::contradiction(LISTEN, "is not set, so there is no server"))
    }

    /// Warnings about settings that are less secure than they look.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(listen) = self.listen.as_ref().filter(|listen| !listen.is_local())
            && self.token_file.is_none()
        {
            warnings.push(format!(
                "{LISTEN}={listen} lets other machines read metrics and status without a token; set {TOKEN_FILE}"
            ));
        }
        if let Some(path) = self.token_file.as_ref().filter(|path| is_readable_by_all(path)) {
            warnings.push(format!(
                "{TOKEN_FILE}: every user of this machine may read '{}'; let only the service's user read it",
                path.display()
            ));
        }
        warnings
    }

    /// The file that is read, with the name of its variable.
    pub(super) fn files(&self) -> Option<(&'static str, &Path)> {
        self.token_file.as_deref().map(|path| (TOKEN_FILE, path))
    }
}

pub(super) fn read(variables: &mut Variables, file_mode: FileMode) -> Result<HttpSettings, SettingsError> {
    let listen = variables.optional(LISTEN, parse_listen)?;
    let token_file = variables.path(TOKEN_FILE)?;
    let samples = variables.or("HTTP_SAMPLES", false, rules::choice(&[("true", true), ("false", false)]))?;
    if token_file.is_some() && listen.is_none() {
        return Err(SettingsError::contradiction(
            TOKEN_FILE,
            format!("is set, but {LISTEN} is not, so it would have no effect"),
        ));
    }
    Ok(HttpSettings { listen, token_file, samples, file_mode })
}

fn parse_listen(text: &str) -> Result<HttpListen, String> {
    let socket = text.strip_prefix("unix:").filter(|path| {
        path.starts_with('/')
            && !path.ends_with('/')
            && path.len() <= SOCKET_PATH_BYTES_MAX
            && damage::of_path(path).is_none()
    });
    match socket {
        Some(path) => Ok(HttpListen::Unix(PathBuf::from(path))),
        None => text.parse().map(HttpListen::Tcp).map_err(|_| {
            format!(
                "an IP address and a port, like 127.0.0.1:9464 or [::1]:9464, or unix:/absolute/path of at most \
                 {SOCKET_PATH_BYTES_MAX} bytes"
            )
        }),
    }
}
