//! A log file that lines are appended to, whatever happens to it meanwhile. Knows nothing of what stands in the lines.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::runtime::durable_fs;
use crate::runtime::permissions::{self, FileMode};

/// What has become of the file since the last line; to be told once.
#[derive(Debug)]
pub(super) enum News {
    /// It can no longer be written; lines are lost from now on.
    Failing {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It can be written again.
    Recovered {
        /// How many lines were lost meanwhile.
        lines_lost: u64,
    },
}

/// A file that is opened when it is needed, and again after a failure, or when it was removed, moved or replaced.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    mode: FileMode,
    file: Option<Opened>,
    /// Only the beginning of a line could be written.
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

    /// Appends a line, which ends in a line feed.
    pub(super) fn append(&mut self, line: &[u8]) -> Option<News> {
        let Err(error) = self.try_append(line) else {
            let lines_lost = std::mem::take(&mut self.lines_lost);
            return (lines_lost > 0).then_some(News::Recovered { lines_lost });
        };
        self.file = None;
        self.lines_lost += 1;
        (self.lines_lost == 1).then(|| News::Failing { path: self.path.clone(), error })
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.as_ref().is_some_and(|opened| opened.is_gone_from(&self.path)) {
            self.file = None;
            // The rest of a torn line is in the other file.
            self.is_torn = false;
        }
        let opened = match &mut self.file {
            Some(opened) => opened,
            closed => closed.insert(Opened::open(&self.path, self.mode)?),
        };
        append_line(&mut opened.file, line, &mut self.is_torn)
    }
}

/// As a rule one call per line, so that lines of several processes do not mix.
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
    /// For appending only, so that the file may be truncated from outside (logrotate's `copytruncate`).
    fn open(path: &Path, mode: FileMode) -> io::Result<Self> {
        durable_fs::create_all(durable_fs::parent(path), mode)?;
        let file = permissions::open(path, File::options().append(true), mode.file())?;
        let id = id(&file.metadata()?);
        Ok(Self { file, id })
    }

    /// Whether another file is there now, or none. If that cannot be seen, the file is still the best place for a line.
    fn is_gone_from(&self, path: &Path) -> bool {
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

    /// Has room for so many bytes.
    struct Disk {
        room: usize,
        text: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let written = bytes.len().min(self.room);
            if written == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= written;
            self.text.extend(&bytes[..written]);
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_torn_line_stays_alone() {
        let mut disk = Disk { room: 6, text: Vec::new() };
        let mut is_torn = false;
        assert!(append_line(&mut disk, b"one\n", &mut is_torn).is_ok());
        assert!(append_line(&mut disk, b"two\n", &mut is_torn).is_err());
        assert!(append_line(&mut disk, b"lost\n", &mut is_torn).is_err());
        disk.room = 100;
        assert!(append_line(&mut disk, b"three\n", &mut is_torn).is_ok());
        assert!(append_line(&mut disk, b"four\n", &mut is_torn).is_ok());
        assert_eq!(disk.text, b"one\ntw\nthree\nfour\n");
    }
}
