//! Creates files and directories with exact permissions, whatever the umask is. Must not know what they contain.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Who may read the files that the service creates. The umask does not change these modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileMode {
    /// Their owner only: files 0600, directories 0700.
    #[default]
    Owner,
    /// Their group too: files 0640, directories 0750.
    Group,
}

impl FileMode {
    /// Mode of a new file.
    pub const fn file(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group => 0o640,
        }
    }

    /// Mode of a new directory.
    pub const fn directory(self) -> u32 {
        match self {
            Self::Owner => 0o700,
            Self::Group => 0o750,
        }
    }
}

/// Greatest number of attempts of [`open`], each after another process has created or removed the file.
const OPEN_ATTEMPTS_MAX: u32 = 8;

/// Opens a file; creates it with exactly `mode` if it is missing. An existing file keeps its mode.
pub fn open(path: &Path, options: &OpenOptions, mode: u32) -> io::Result<File> {
    let mut attempt = 1;
    loop {
        match options.clone().create_new(true).mode(mode).open(path) {
            Ok(file) => {
                // `open` subtracts the umask, `fchmod` does not.
                file.set_permissions(Permissions::from_mode(mode))?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
                    // A symbolic link to a missing file: `open` follows it without O_EXCL only.
                    return options.clone().create(true).mode(mode).open(path);
                }
                if attempt == OPEN_ATTEMPTS_MAX {
                    return Err(error);
                }
                attempt += 1;
            }
            opened => return opened,
        }
    }
}

/// Creates one directory with exactly this mode.
pub fn create_directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_file_has_the_mode_and_an_existing_one_keeps_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let options = OpenOptions::new().append(true).clone();
        // Every usual umask would change 0666.
        for mode in [0o600, 0o640, 0o666] {
            let path = directory.path().join(format!("{mode:o}"));
            open(&path, &options, mode).unwrap();
            assert_eq!(mode_of(&path), mode);
            open(&path, &options, 0o400).unwrap();
            assert_eq!(mode_of(&path), mode, "kept");
        }
    }

    #[test]
    fn a_symbolic_link_to_a_missing_file_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (link, target) = (directory.path().join("link"), directory.path().join("target"));
        std::os::unix::fs::symlink("target", &link).unwrap();
        open(&link, OpenOptions::new().append(true), 0o600).unwrap();
        assert_eq!(mode_of(&target), 0o600);
        let missing = directory.path().join("no/directory");
        assert_eq!(open(&missing, OpenOptions::new().append(true), 0o600).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
