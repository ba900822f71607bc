//! The part of `check` that warns about file permissions: which files and directories other users can read or write. Changes nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::runtime::durable_fs;
use crate::runtime::permissions::FileMode;
use crate::settings::Settings;
use crate::storage;

/// Warnings about the database, the log files and their directories.
pub(super) fn warnings(settings: &Settings) -> Vec<String> {
    let mode = settings.database.file_mode;
    let logs =
        [&settings.log.file, &settings.unidentified_log_file].map(|path| path.as_deref().map(durable_fs::resolve));
    let mut files = storage::files(&settings.database);
    files.extend(logs.into_iter().flatten().map(|path| (path, mode)));
    let mut directories: Vec<PathBuf> = files.iter().map(|(path, _)| durable_fs::parent(path).to_owned()).collect();
    directories.sort();
    directories.dedup();
    let mut warnings: Vec<String> = files.iter().filter_map(|(path, mode)| excess_access(path, *mode)).collect();
    warnings.extend(directories.iter().filter_map(|path| excess_access(path, mode)));
    warnings
}

/// Access to an existing file beyond `mode`, and the `chmod` that removes it; `None` if there is none, or no file.
fn excess_access(path: &Path, mode: FileMode) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    let (allowed, whose) = match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => (mode.file(), "file"),
        (_, true) => (mode.directory(), "directory"),
        // Terminals, pipes and `/dev/null` are not the service's.
        (false, false) => return None,
    };
    let found = metadata.mode() & 0o777;
    let beyond = found & !allowed;
    let others = 0o007;
    // Of a directory only write access counts: it allows to replace the files.
    let (read, write) = if metadata.is_dir() { (0, 0o022) } else { (0o044, 0o022) };
    let is_sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    let can = match (beyond & read != 0, beyond & write != 0 && !is_sticky) {
        (true, true) => "read and write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => return None,
    };
    let who = if beyond & (read | write) & others > 0 { "other users" } else { "its group" };
    let path = path.display();
    Some(format!(
        "{whose} '{path}' has mode {found:04o}: {who} can {can} it; 'chmod {allowed:04o} {path}' prevents that"
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn access_of_others_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        fs::write(&path, "").unwrap();
        let check = |mode: u32, allowed: FileMode, expected: Option<&str>| {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let found = excess_access(&path, allowed);
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
        assert_eq!(excess_access(&parent.path().join("none"), FileMode::Owner), None);
        let directory = parent.path().join("directory");
        for (mode, is_open) in [(0o755, false), (0o777, true), (0o1777, false)] {
            let _ = fs::create_dir(&directory);
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            assert_eq!(excess_access(&directory, FileMode::Owner).is_some(), is_open, "{mode:o}");
        }
        assert_eq!(excess_access(Path::new("/dev/null"), FileMode::Owner), None);
    }
}
