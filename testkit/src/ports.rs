//! Reserves TCP ports until a broker binds them.
//!
//! The ports are below the kernel's range for outgoing connections, so that no client gets one by chance. A lock file reserves each
//! port among the processes that use this kit. If a foreign server binds a port in the meantime, the cluster detects it and starts
//! again on other ports.

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::cache;
use crate::error::{Error, Result};

/// Below Linux's `net.ipv4.ip_local_port_range` (32768–60999), above the ports of well-known servers.
const PORT_MIN: u16 = 20_000;
const PORT_COUNT: u16 = 4_000;

/// A reserved port, until the value is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// Reserves a free port.
    pub(crate) fn choose() -> Result<Self> {
        let directory = cache::root().join("ports");
        fs::create_dir_all(&directory).map_err(Error::io(format!("create {}", directory.display())))?;
        let start = random() % u64::from(PORT_COUNT);
        for step in 0..u64::from(PORT_COUNT) {
            let number = PORT_MIN + u16::try_from((start + step) % u64::from(PORT_COUNT)).unwrap_or(0);
            let path = directory.join(number.to_string());
            let lock = File::options().create(true).append(true).open(&path);
            let lock = lock.map_err(Error::io(format!("open {}", path.display())))?;
            match lock.try_lock() {
                Ok(()) if is_free(number) => return Ok(Self { number, _lock: Some(lock) }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(source)) => return Err(Error::io(format!("lock {}", path.display()))(source)),
            }
        }
        Err(Error::Usage(format!("no free TCP port from {PORT_MIN} on")))
    }

    /// Takes this port without a check: the broker's bind fails if it is in use.
    pub(crate) fn fixed(number: u16) -> Self {
        Self { number, _lock: None }
    }

    /// The port number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

/// Whether no server listens on the port.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A number that differs from call to call and from process to process.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::{Port, is_free};
    use std::collections::HashSet;
    use std::net::{Ipv4Addr, TcpListener};

    #[test]
    fn ports_are_chosen_once_each() {
        let ports: Vec<Port> = (0..50).map(|_| Port::choose().unwrap()).collect();
        let numbers: HashSet<u16> = ports.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), ports.len());
    }

    #[test]
    fn a_bound_port_is_not_free() {
        let port = Port::choose().unwrap();
        assert!(is_free(port.number()));
        let _server = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).unwrap();
        assert!(!is_free(port.number()));
    }
}
