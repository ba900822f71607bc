//! A token endpoint over TLS, with the certificate of the testkit's brokers. Answers each request as the test says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use testkit::Certificates;

/// A running server; it ends with the process.
pub struct TokenServer {
    pub url: String,
    /// The head and the body of each request.
    pub requests: Receiver<(String, String)>,
}

impl TokenServer {
    /// `answer` gets the number of the request, from 0, and returns status, further headers and body; `None` never
    /// answers.
    pub fn start(answer: impl Fn(usize) -> Option<(u16, String, String)> + Send + 'static) -> Self {
        let server = Self::start_at("127.0.0.1", answer);
        Self { url: server.url.replace("127.0.0.1", "localhost"), ..server }
    }

    /// The same at another address of this machine.
    pub fn start_at(ip: &str, answer: impl Fn(usize) -> Option<(u16, String, String)> + Send + 'static) -> Self {
        let (certificate, key) = Certificates::get().unwrap().server();
        let chain = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let url = format!("https://{}/oauth/token", listener.local_addr().unwrap());
        let (received, requests) = channel();
        thread::spawn(move || {
            let mut number = 0;
            let mut unanswered = Vec::new();
            for socket in listener.incoming() {
                let session = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(session, socket.unwrap());
                // A client that does not trust the certificate sends no request.
                let Some(request) = read_request(&mut stream) else { continue };
                let _ = received.send(request);
                match answer(number) {
                    Some((status, headers, body)) => {
                        let length = body.len();
                        let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n");
                        // The client may not read a body that is too large.
                        let _ = stream.write_all(format!("{head}{body}").as_bytes());
                    }
                    None => unanswered.push(stream),
                }
                number += 1;
            }
        });
        Self { url, requests }
    }
}

fn read_request(stream: &mut StreamOwned<ServerConnection, TcpStream>) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let mut more = [0; 4096];
        let read = stream.read(&mut more).ok().filter(|read| *read > 0)?;
        bytes.extend(&more[..read]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
    }
}
