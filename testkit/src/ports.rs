//! Chooses TCP ports that nobody else takes between the choice and the broker's own bind.
//!
//! They lie below the range that the kernel gives to outgoing connections, so that no client gets one by chance; each is
//! locked by a file among the processes that use this kit, and free at the time of choosing. What is left is a foreign
//! server that starts on the same port in the same second: the cluster notices and starts again on other ports.

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::cache;
use crate::error::{Error, Result};

/// Below Linux's `net.ipv4.ip_local_port_range` (32768–60999), above the ports of well-known servers.
const PORT_MIN: u16 = 20_000;
const PORT_COUNT: u16 = 4_000;

/// A port that is ours as long as this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// Takes a free one.
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

    /// Takes just this one; whether it is free shows when the broker binds it.
    pub(crate) fn fixed(number: u16) -> Self {
        Self { number, _lock: None }
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

/// Whether nobody listens there.
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
