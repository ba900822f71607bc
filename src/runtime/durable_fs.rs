//! Directories whose entries survive a power cut: the content of a file that was synced is of no use without the file's name.
//! Must not know what lies in them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::runtime::permissions::{self, FileMode};

/// How many symbolic links are followed, as by Linux itself
/// ([`path_resolution(7)`](https://man7.org/linux/man-pages/man7/path_resolution.7.html)).
const LINKS_MAX: u32 = 40;

/// Creates a directory where there is none, and those above it, with the mode for directories. Each new name is durable.
pub fn create_all(directory: &Path, mode: FileMode) -> io::Result<()> {
    let missing: Vec<&Path> =
        directory.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for path in missing.into_iter().rev() {
        match permissions::create_directory(path, mode.directory()) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            created => created?,
        }
        sync_name(path)?;
    }
    if directory.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Makes the name of a file or directory durable, by a sync of the directory that it stands in
/// (<https://man7.org/linux/man-pages/man2/fsync.2.html>).
pub fn sync_name(path: &Path) -> io::Result<()> {
    File::open(parent(path)).and_then(|directory| directory.sync_all())
}

/// The directory that a path without one means is the working directory.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The absolute path without links, `.` and `..`, as `realpath -m` gives it: parts of it need not exist.
pub fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut links_left = LINKS_MAX;
    // The next component is the last one here.
    let mut ahead: Vec<OsString> = components(&absolute);
    let mut resolved = PathBuf::from("/");
    while let Some(name) = ahead.pop() {
        if name == ".." {
            // `resolved` has no links, so its parent is what is meant.
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
                ahead.extend(components(&target));
            }
            _ => resolved = next,
        }
    }
    resolved
}

/// The names of a path, the last one first.
fn components(path: &Path) -> Vec<OsString> {
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
    fn directories_are_made_where_there_are_none() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a/b/c");
        for _ in 0..2 {
            create_all(&deep, FileMode::Group).unwrap();
            assert!(deep.is_dir());
        }
        for path in ["a", "a/b", "a/b/c"] {
            assert_eq!(fs::metadata(place.path().join(path)).unwrap().mode() & 0o777, 0o750, "{path}");
        }
        fs::write(place.path().join("file"), "").unwrap();
        assert!(create_all(&place.path().join("file/d"), FileMode::Owner).is_err());
        assert!(create_all(&place.path().join("file"), FileMode::Owner).is_err());
        sync_name(&deep).unwrap();
    }

    #[test]
    fn a_name_alone_stands_in_the_working_directory() {
        let check = |path: &str, expected: &str| assert_eq!(parent(Path::new(path)), Path::new(expected));
        check("a.db", ".");
        check("data/a.db", "data");
        check("/a.db", "/");
    }

    #[test]
    fn a_path_is_resolved_whether_it_exists_or_not() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
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
