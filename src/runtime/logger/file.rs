//! A log file that is reopened when it is removed, moved or replaced, and retried after a failure. Must not know what the lines
//! contain.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::runtime::durable_fs;
use crate::runtime::permissions::{self, FileMode};

/// A change of the file's state since the last line; to be reported once.
#[derive(Debug)]
pub(super) enum FileStatus {
    /// The file can no longer be written; lines are lost from now on.
    Failing {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The file can be written again.
    Recovered {
        /// How many lines were lost in the meantime.
        lines_lost: u64,
    },
}

/// A file that is opened for the first line, and again after a failure or when its path no longer leads to it.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    mode: FileMode,
    file: Option<Opened>,
    /// The last line was written in part.
    is_torn: bool,
    lines_lost: u64,
}

#[derive(Debug)]
struct Opened {
    file: File,
    /// Device and inode.
    id: (u64, u64),
}

impl LogFile {
    pub(super) fn new(path: PathBuf, mode: FileMode) -> Self {
        Self { path, mode, file: None, is_torn: false, lines_lost: 0 }
    }

    /// Closes the file; the next line opens the one at the path.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Appends a line, which ends in a line feed.
    pub(super) fn append(&mut self, line: &[u8]) -> Option<FileStatus> {
        let Err(error) = self.try_append(line) else {
            let lines_lost = std::mem::take(&mut self.lines_lost);
            return (lines_lost > 0).then_some(FileStatus::Recovered { lines_lost });
        };
        self.file = None;
        self.lines_lost += 1;
        (self.lines_lost == 1).then(|| FileStatus::Failing { path: self.path.clone(), error })
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|opened| opened.is_replaced_at(&self.path)) {
            self.file = None;
            // The torn line is in the other file.
            self.is_torn = false;
        }
        let opened = match &mut self.file {
            Some(opened) => opened,
            closed => closed.insert(Opened::open(&self.path, self.mode)?),
        };
        append_line(&mut opened.file, line, &mut self.is_torn)
    }
}

/// Writes a line, with one call unless the write is partial, so that lines of several processes do not mix.
fn append_line(file: &mut impl Write, line: &[u8], is_torn: &mut bool) -> io::Result<()> {
    if *is_torn {
        file.write_all(b"\n")?;
        *is_torn = false;
    }
    let mut rest = line;
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                rest = rest.get(written..).unwrap_or_default();
                *is_torn = !rest.is_empty();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Opened {
    /// Opens the file with `O_APPEND`, so that another process may truncate it (logrotate's `copytruncate`).
    fn open(path: &Path, mode: FileMode) -> io::Result<Self> {
        durable_fs::create_all(durable_fs::parent(path), mode)?;
        let file = permissions::open(path, File::options().append(true), mode.file())?;
        let id = id(&file.metadata()?);
        Ok(Self { file, id })
    }

    /// Whether the path leads to another file, or to none. On any other error the open file stays in use.
    fn is_replaced_at(&self, path: &Path) -> bool {
        match fs::metadata(path) {
            Ok(metadata) => id(&metadata) != self.id,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with so many free bytes.
    struct Disk {
        free: usize,
        text: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let written = bytes.len().min(self.free);
            if written == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.free -= written;
            self.text.extend(&bytes[..written]);
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_after_a_torn_one_begins_on_its_own_line() {
        let mut disk = Disk { free: 6, text: Vec::new() };
        let mut is_torn = false;
        assert!(append_line(&mut disk, b"one\n", &mut is_torn).is_ok());
        assert!(append_line(&mut disk, b"two\n", &mut is_torn).is_err());
        assert!(append_line(&mut disk, b"lost\n", &mut is_torn).is_err());
        disk.free = 100;
        assert!(append_line(&mut disk, b"three\n", &mut is_torn).is_ok());
        assert!(append_line(&mut disk, b"four\n", &mut is_torn).is_ok());
        assert_eq!(disk.text, b"one\ntw\nthree\nfour\n");
    }
}
