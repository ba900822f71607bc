//! Creates directories durably and resolves paths. A synced file is lost in a power failure if its directory entry was not synced.
//! Must not know what the files contain.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::runtime::permissions::{self, FileMode};

/// How many symbolic links are followed, as in Linux
/// ([`path_resolution(7)`](https://man7.org/linux/man-pages/man7/path_resolution.7.html)).
const LINKS_MAX: u32 = 40;

/// Creates a directory and its missing parents, with the mode for directories, and syncs each new directory entry.
pub fn create_all(directory: &Path, mode: FileMode) -> io::Result<()> {
    let missing: Vec<&Path> =
        directory.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for path in missing.into_iter().rev() {
        match permissions::create_directory(path, mode.directory()) {
            // Another process has created it in the meantime.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            created => created?,
        }
        sync_name(path)?;
    }
    if directory.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Makes the directory entry of a path durable: syncs the directory that contains it
/// (<https://man7.org/linux/man-pages/man2/fsync.2.html>).
pub fn sync_name(path: &Path) -> io::Result<()> {
    File::open(parent(path)).and_then(|directory| directory.sync_all())
}

/// The directory that contains a path; of a bare file name, the working directory.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The absolute path without symbolic links, `.` and `..`, as `realpath -m` prints it: components need not exist.
pub fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut links_left = LINKS_MAX;
    // A stack: the next component is the last element.
    let mut remaining: Vec<OsString> = reversed_components(&absolute);
    let mut resolved = PathBuf::from("/");
    while let Some(name) = remaining.pop() {
        if name == ".." {
            // `resolved` has no symbolic links, so its parent is the right directory.
            resolved.pop();
            continue;
        }
        let next = resolved.join(&name);
        match fs::read_link(&next) {
            Ok(target) if links_left > 0 => {
                links_left -= 1;
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                remaining.extend(reversed_components(&target));
            }
            _ => resolved = next,
        }
    }
    resolved
}

/// The components of a path, the last one first.
fn reversed_components(path: &Path) -> Vec<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn missing_directories_are_created() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("a/b/c");
        for _ in 0..2 {
            create_all(&deep, FileMode::Group).unwrap();
            assert!(deep.is_dir());
        }
        for path in ["a", "a/b", "a/b/c"] {
            assert_eq!(fs::metadata(directory.path().join(path)).unwrap().mode() & 0o777, 0o750, "{path}");
        }
        fs::write(directory.path().join("file"), "").unwrap();
        assert!(create_all(&directory.path().join("file/d"), FileMode::Owner).is_err());
        assert!(create_all(&directory.path().join("file"), FileMode::Owner).is_err());
        sync_name(&deep).unwrap();
    }

    #[test]
    fn the_parent_of_a_bare_name_is_the_working_directory() {
        let check = |path: &str, expected: &str| assert_eq!(parent(Path::new(path)), Path::new(expected));
        check("a.db", ".");
        check("data/a.db", "data");
        check("/a.db", "/");
    }

    #[test]
    fn a_path_is_resolved_whether_or_not_it_exists() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::write(root.join("real/file"), "").unwrap();
        symlink("real", root.join("directory")).unwrap();
        symlink("directory/later", root.join("dangling")).unwrap();
        symlink(root.join("real/file"), root.join("absolute")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let check = |path: &str, expected: &str| assert_eq!(resolve(&root.join(path)), root.join(expected), "{path}");
        check("real/file", "real/file");
        check("./real/.././real//file", "real/file");
        check("directory/file", "real/file");
        check("directory/deep/../file", "real/file");
        check("directory/../real/file", "real/file");
        check("dangling", "real/later");
        check("absolute", "real/file");
        check("none/../real/file", "real/file");
        check("none/none", "none/none");
        check("directory/none/x", "real/none/x");
        check("loop", "loop");
        assert_eq!(resolve(Path::new("/../..")), Path::new("/"));
        assert_eq!(resolve(Path::new("x")), std::env::current_dir().unwrap().canonicalize().unwrap().join("x"));
    }
}
