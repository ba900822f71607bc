//! A local server of Kafka's frames, for fake brokers: each request and each response is preceded by its length in four
//! bytes. Must not know what a frame contains.

use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A server on a port of 127.0.0.1. It accepts no more connections once it is dropped.
#[derive(Debug)]
pub struct FrameServer {
    port: u16,
    is_dropped: Arc<AtomicBool>,
}

impl FrameServer {
    /// Serves each connection on its own thread, until `serve` returns. `serve` gets the connection and its number,
    /// from 0; its error closes the connection.
    pub fn start(
        listener: TcpListener,
        serve: impl Fn(usize, TcpStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let port = listener.local_addr()?.port();
        let is_dropped = Arc::new(AtomicBool::new(false));
        let (is_over, serve) = (Arc::clone(&is_dropped), Arc::new(serve));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(stream), serve) = (stream, Arc::clone(&serve)) else { continue };
                // A client may close its connection at any time.
                thread::spawn(move || stream.set_nodelay(true).and_then(|()| serve(number, stream)));
            }
        });
        Ok(Self { port, is_dropped })
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for FrameServer {
    fn drop(&mut self) {
        self.is_dropped.store(true, Ordering::SeqCst);
        // A connection wakes the accepting thread. Without that thread there is nothing to end.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// A listener on a free port of 127.0.0.1.
pub fn listen() -> io::Result<TcpListener> {
    TcpListener::bind("127.0.0.1:0")
}

/// Reads the next frame, without its length.
pub fn read_frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let mut frame = vec![0; length];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

/// Bytes after their length.
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}
