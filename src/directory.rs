//! Directories whose entries survive a power cut: the content of a file that was synced is of no use without the file's name.
//! Must not know what lies in them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a directory where there is none, and those above it; each that was made is there after a power cut too.
pub fn create_all(directory: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        directory.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(directory)?;
    missing.into_iter().try_for_each(sync_name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_where_there_are_none() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a/b/c");
        for _ in 0..2 {
            create_all(&deep).unwrap();
            assert!(deep.is_dir());
        }
        fs::write(place.path().join("file"), "").unwrap();
        assert!(create_all(&place.path().join("file/d")).is_err());
        sync_name(&deep).unwrap();
    }

    #[test]
    fn a_name_alone_stands_in_the_working_directory() {
        let check = |path: &str, expected: &str| assert_eq!(parent(Path::new(path)), Path::new(expected));
        check("a.db", ".");
        check("data/a.db", "data");
        check("/a.db", "/");
    }
}
