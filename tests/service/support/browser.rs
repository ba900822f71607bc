//! A headless Chromium, by the [WebDriver](https://www.w3.org/TR/webdriver2/) protocol of its chromedriver. Neither outlives the
//! test. Knows no page.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::WAIT_MAX;

/// Starts chromedriver, and a shell that kills its process group once the test's end of the pipe is closed.
const GUARDED: &str = r"exec 3<&0
(trap '' HUP INT TERM; while read -r _; do :; done; kill -s KILL 0) <&3 3<&- >/dev/null 2>&1 &
exec chromedriver --port=0 </dev/null 3<&-";

const MISSING: &str = "cannot start a browser; the tests need it: apt install chromium chromium-driver";

/// A window.
pub struct Browser {
    driver: Child,
    /// Kept open, since the driver writes to it.
    _output: BufReader<ChildStdout>,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub fn start() -> Self {
        let mut driver = Command::new("sh")
            .args(["-c", GUARDED])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(driver.stdout.take().unwrap());
        let port = read_port(&mut output);
        let profile = TempDir::new().unwrap();
        let arguments = [
            "--headless=new",
            // The tests run as root in CI.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            // Ends with the driver.
            "--remote-debugging-pipe",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let answer = request(port, "POST", "/session", &capabilities);
        let session = answer["sessionId"].as_str().unwrap_or_else(|| panic!("{MISSING}\n{answer}")).to_owned();
        Self { driver, _output: output, port, session, _profile: profile }
    }

    /// Loads a page.
    pub fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    /// The result of a function body in the page.
    pub fn evaluate(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Executes a command of the `DevTools` protocol.
    pub fn command(&self, command: &str, parameters: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What the browser has written to the console since the last call, its own errors and warnings too.
    pub fn console(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({ "type": "browser" }));
        entries.as_array().unwrap().iter().map(Value::to_string).collect()
    }

    fn post(&self, command: &str, parameters: &Value) -> Value {
        let value = request(self.port, "POST", &format!("/session/{}/{command}", self.session), parameters);
        assert!(value.get("error").is_none(), "{command}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            request(self.port, "DELETE", &format!("/session/{}", self.session), &json!({}));
        }
        // It may have ended.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn read_port(output: &mut BufReader<ChildStdout>) -> u16 {
    let mut line = String::new();
    while !line.contains("started successfully on port ") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "{MISSING}");
    }
    let (_, port) = line.trim().trim_end_matches('.').rsplit_once(' ').unwrap();
    port.parse().unwrap()
}

/// The `value` of an answer.
fn request(port: u16, method: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = BufReader::new(stream);
    let mut bytes = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(length) = line.to_lowercase().strip_prefix("content-length:") {
            bytes = length.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; bytes];
    answer.read_exact(&mut body).unwrap();
    serde_json::from_slice::<Value>(&body).unwrap()["value"].take()
}
