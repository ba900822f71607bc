//! What the service sends to a service manager, by a socket of the test in its place. (The delivery checks have a real
//! systemd.)

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rusqlite::Connection;

use crate::support::process::{Installation, WAIT_MAX};

/// No broker listens there.
const NO_BROKER: &str = "127.0.0.1:1";

struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    /// Becomes the manager of an installation.
    fn of(installation: &mut Installation) -> Self {
        let path = installation.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(WAIT_MAX)).unwrap();
        installation.set("NOTIFY_SOCKET", path.to_str().unwrap());
        Self { socket }
    }

    /// The next message, except for statuses.
    fn receive(&self) -> String {
        loop {
            let mut bytes = [0; 4096];
            let length = self.socket.recv(&mut bytes).unwrap();
            let message = String::from_utf8(bytes[..length].to_vec()).unwrap();
            if !message.starts_with("STATUS=") {
                return message;
            }
        }
    }

    /// The next message except for statuses and keep-alives, and how many keep-alives came before it.
    fn receive_change(&self) -> (String, u32) {
        let mut keep_alives = 0;
        loop {
            match self.receive() {
                message if message == "WATCHDOG=1" => keep_alives += 1,
                message => return (message, keep_alives),
            }
        }
    }
}

#[test]
fn the_service_is_ready_without_a_broker_reloads_and_stops() {
    let mut installation = Installation::new(NO_BROKER, "nowhere");
    let manager = Manager::of(&mut installation);
    installation.set("WATCHDOG_USEC", "100000");
    let mut service = installation.start(&["run"]);
    assert_eq!(manager.receive(), "READY=1");
    for _ in 0..5 {
        assert_eq!(manager.receive(), "WATCHDOG=1");
    }
    service.signal("HUP");
    let reloading = manager.receive_change().0;
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.receive_change().0, "READY=1");
    service.signal("TERM");
    assert_eq!(manager.receive_change().0, "STOPPING=1");
    service.ends_with(0);
}

#[test]
fn a_start_that_takes_long_is_not_ready_and_extends_its_timeout() {
    let mut installation = Installation::new(NO_BROKER, "nowhere");
    // Creates the database.
    let mut service = installation.start(&["run"]);
    installation
        .wait_for("the database", |installation| installation.stored() == 0 && installation.wal_path().exists());
    service.signal("TERM");
    service.ends_with(0);
    drop(service);
    let manager = Manager::of(&mut installation);
    let other = Connection::open(installation.database_path()).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT").unwrap();
    let mut service = installation.start(&["run"]);
    assert_eq!(manager.receive(), "EXTEND_TIMEOUT_USEC=60000000");
    drop(other);
    assert_eq!(manager.receive_change(), ("READY=1".to_owned(), 0));
    service.signal("TERM");
    assert_eq!(manager.receive_change(), ("STOPPING=1".to_owned(), 0), "no watchdog was requested");
    assert_eq!(service.wait(Duration::from_secs(10)).code(), Some(0));
}

/// A stopped process sends no keep-alive, which the manager's watchdog notices.
#[test]
fn a_frozen_service_sends_no_keep_alive() {
    let mut installation = Installation::new(NO_BROKER, "nowhere");
    let manager = Manager::of(&mut installation);
    installation.set("WATCHDOG_USEC", "100000");
    let service = installation.start(&["run"]);
    assert_eq!(manager.receive(), "READY=1");
    assert_eq!(manager.receive(), "WATCHDOG=1");
    service.signal("STOP");
    manager.socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    // What was sent before the signal.
    let mut bytes = [0; 4096];
    let ended = (0..100).any(|_| manager.socket.recv(&mut bytes).is_err());
    assert!(ended, "keep-alives of a stopped process");
}
