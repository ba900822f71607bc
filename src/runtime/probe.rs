//! Tests whether a file can be created in a directory, by creating one. Mode bits alone do not tell what is permitted. Must not know
//! which files the service creates.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Size of the file that is written to test for free space, in bytes: more than a batch of ordinary events appends to a log or a WAL.
const PROBE_BYTES: usize = 1 << 20;

/// Writes a file into the directory of a path and removes it. If the directory does not exist, its nearest existing parent counts: the
/// service creates the others.
pub fn write_in_directory_of(path: &Path) -> Result<(), ProbeError> {
    let mut directories = path.ancestors().skip(1).map(or_working_directory);
    let directory = directories.find(|directory| directory.exists()).unwrap_or(Path::new("."));
    let probe = directory.join(format!(".enterprise-consumer-check-{}", std::process::id()));
    let created = File::create_new(&probe)
        .map_err(|source| ProbeError::NotCreated { directory: directory.to_owned(), source })?;
    let written = write_all(created);
    fs::remove_file(&probe).map_err(|source| ProbeError::NotRemoved { probe, source })?;
    written.map_err(|source| ProbeError::NotWritten { directory: directory.to_owned(), source })
}

fn write_all(mut file: File) -> io::Result<()> {
    file.write_all(&vec![0; PROBE_BYTES])?;
    file.sync_all()
}

/// The parent of a bare file name is the empty path, which stands for the working directory.
fn or_working_directory(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

/// Why no file can be written in a directory.
#[derive(Debug)]
pub enum ProbeError {
    /// No file can be created.
    NotCreated {
        /// The directory.
        directory: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file cannot be written: the disk is full, for example.
    NotWritten {
        /// The directory.
        directory: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file cannot be removed.
    NotRemoved {
        /// The file.
        probe: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCreated { directory, .. } => {
                write!(f, "'{}' is not a directory that can be written to", directory.display())
            }
            Self::NotWritten { directory, .. } => {
                write!(f, "{PROBE_BYTES} bytes cannot be written to '{}'", directory.display())
            }
            Self::NotRemoved { probe, .. } => write!(f, "'{}' cannot be removed", probe.display()),
        }
    }
}

impl Error for ProbeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotCreated { source, .. } | Self::NotWritten { source, .. } | Self::NotRemoved { source, .. } => {
                Some(source)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::error_chain::ErrorChain;

    #[test]
    fn the_nearest_existing_directory_is_tested_and_not_changed() {
        let directory = tempfile::tempdir().unwrap();
        write_in_directory_of(&directory.path().join("none/none/file")).unwrap();
        write_in_directory_of(Path::new("file")).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_in_directory_of(&file.join("below")).unwrap_err();
        let expected = format!("'{}' is not a directory that can be written to: Not a directory", file.display());
        assert!(ErrorChain(&error).to_string().starts_with(&expected), "{error:?}");
    }
}
