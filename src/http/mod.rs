//! The HTTP server: health, metrics and status, from what the service has published. It never changes state, sends
//! nothing to a broker, and executes no SQL. Must not know how anything is measured.
//!
//! One thread serves all connections without blocking on any of them, so that slow clients delay nobody. HTTP/1.1 by
//! [`httparse`] and the standard library: of the small synchronous libraries, `tiny_http` has no timeouts, and the others
//! bring a thread for each connection.
//!
//! | bound | |
//! |-|-|
//! | head of a request | 8 KiB, 32 headers, 5 s |
//! | answer | 5 s |
//! | connections | 128, or a quarter of the file descriptors; if more come, one that has its answer is closed, else the slowest that has sent no request, else the new one receives 503 |
//! | unsent answers | 8 MiB; beyond that the slowest connections are closed |
//!
//! | file | holds |
//! |-|-|
//! | `server.rs` | the thread: waits for sockets, accepts connections |
//! | `connection.rs` | one connection, from its request to its end |
//! | `request.rs` | the head of a request |
//! | `host.rs` | which `Host` headers are trusted |
//! | `routes.rs` | what is answered |
//! | `response.rs` | the answer as bytes |
//! | `page/` | the status page at `/` |
//! | `socket.rs` | TCP and Unix sockets |
//! | `client.rs` | one request, for `enterprise-consumer health` |

mod client;
mod connection;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod host;
pub(crate) mod page;
mod request;
mod response;
mod routes;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub use client::{Answer, get};
pub use error::HttpError;
pub use routes::Context;
pub use server::Server;
