//! Permissions of the files and directories that the service creates, and which existing files others can read or write.
//! Must not know what is in them.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::runtime::durable_fs;
use crate::settings::Settings;

/// Who else may read what the service writes: `FILE_MODE`. The modes are exact: the umask does not change them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileMode {
    /// Nobody: files 0600, directories 0700.
    #[default]
    Owner,
    /// The group may read: files 0640, directories 0750.
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

/// How often [`open`] tries again when the file is removed or created between its two attempts.
const OPEN_ATTEMPTS_MAX: u32 = 8;

/// Opens a file, and creates it with exactly `mode` if there is none. An existing file keeps its mode.
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
                    // A link to a file that does not exist yet: only without O_EXCL does `open` follow it.
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

/// What others than `mode` allows can do with an existing file, and how to change that; `None` if nothing, or if there is no file.
pub fn excess(path: &Path, mode: FileMode) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let (allowed, whose) = match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => (mode.file(), "file"),
        (_, true) => (mode.directory(), "directory"),
        // A terminal, a pipe or `/dev/null` belongs to somebody else.
        (false, false) => return None,
    };
    let found = metadata.mode() & 0o777;
    let excess = found & !allowed;
    let others = 0o007;
    // Of a directory only writing matters: whoever may write there can replace the files in it.
    let (read, write) = if metadata.is_dir() { (0, 0o022) } else { (0o044, 0o022) };
    let is_sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    let can = match (excess & read != 0, excess & write != 0 && !is_sticky) {
        (true, true) => "read and write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => return None,
    };
    let who = if excess & (read | write) & others > 0 { "other users" } else { "its group" };
    let path = path.display();
    Some(format!(
        "{whose} '{path}' has mode {found:04o}: {who} can {can} it; 'chmod {allowed:04o} {path}' prevents that"
    ))
}

/// What [`excess`] finds of the database and the log files, and another name of the database.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let mode = settings.database.file_mode;
    let database = durable_fs::resolve(&settings.database.path);
    let beside = |suffix: &str| {
        let mut name = OsString::from(&database);
        name.push(suffix);
        PathBuf::from(name)
    };
    let logs =
        [&settings.log.file, &settings.unidentified_log_file].map(|path| path.as_deref().map(durable_fs::resolve));
    let mut files: Vec<(PathBuf, FileMode)> =
        ["", "-wal", "-shm", "-journal"].map(|suffix| (beside(suffix), mode)).into();
    files.push((beside(".lock"), FileMode::Owner));
    files.extend(logs.into_iter().flatten().map(|path| (path, mode)));
    let mut directories: Vec<PathBuf> = files.iter().map(|(path, _)| durable_fs::parent(path).to_owned()).collect();
    directories.sort();
    directories.dedup();
    let mut warnings: Vec<String> = files.iter().filter_map(|(path, mode)| excess(path, *mode)).collect();
    warnings.extend(directories.iter().filter_map(|path| excess(path, mode)));
    if let Some(names @ 2..) = fs::metadata(&database).ok().map(|metadata| metadata.nlink()) {
        warnings.push(format!(
            "file '{}' has {names} names (hard links): SQLite finds what is in its write-ahead log under this one only",
            database.display()
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_file_has_the_mode_and_an_existing_one_keeps_its_own() {
        let place = tempfile::tempdir().unwrap();
        let options = OpenOptions::new().append(true).clone();
        // The umask of the test is not known; 0666 survives none that is in use.
        for mode in [0o600, 0o640, 0o666] {
            let path = place.path().join(format!("{mode:o}"));
            open(&path, &options, mode).unwrap();
            assert_eq!(mode_of(&path), mode);
            open(&path, &options, 0o400).unwrap();
            assert_eq!(mode_of(&path), mode, "kept");
        }
    }

    #[test]
    fn a_link_to_a_file_that_does_not_exist_yet_is_followed() {
        let place = tempfile::tempdir().unwrap();
        let (link, target) = (place.path().join("link"), place.path().join("target"));
        std::os::unix::fs::symlink("target", &link).unwrap();
        open(&link, OpenOptions::new().append(true), 0o600).unwrap();
        assert_eq!(mode_of(&target), 0o600);
        let missing = place.path().join("no/directory");
        assert_eq!(open(&missing, OpenOptions::new().append(true), 0o600).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_others_can_do_is_named() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, "").unwrap();
        let check = |mode: u32, allowed: FileMode, expected: Option<&str>| {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let found = excess(&path, allowed);
            match expected {
                None => assert_eq!(found, None, "{mode:o}"),
                Some(part) => assert!(found.as_ref().is_some_and(|text| text.contains(part)), "{mode:o}: {found:?}"),
            }
        };
        check(0o600, FileMode::Owner, None);
        check(0o640, FileMode::Group, None);
        check(0o644, FileMode::Group, Some("has mode 0644: other users can read it; 'chmod 0640 "));
        check(0o640, FileMode::Owner, Some("its group can read it; 'chmod 0600 "));
        check(0o666, FileMode::Owner, Some("other users can read and write it"));
        check(0o620, FileMode::Group, Some("its group can write it"));
        check(0o711, FileMode::Owner, None);
        assert_eq!(excess(&place.path().join("none"), FileMode::Owner), None);
        let directory = place.path().join("directory");
        for (mode, is_open) in [(0o755, false), (0o777, true), (0o1777, false)] {
            let _ = fs::create_dir(&directory);
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            assert_eq!(excess(&directory, FileMode::Owner).is_some(), is_open, "{mode:o}");
        }
        assert_eq!(excess(Path::new("/dev/null"), FileMode::Owner), None);
    }
}
