//! The part of `check` that looks at files: the database, its directory, and the log files. Leaves no change behind.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::commands::check::findings::Findings;
use crate::commands::inspection::view::LocalState;
use crate::runtime::error_chain::ErrorChain;
use crate::service::record::ServiceState;
use crate::settings::Settings;
use crate::storage::{self, ErrorKind, StorageError};

/// Size of the file that is written to test for free space, in bytes: more than a batch of ordinary events appends to the WAL.
const PROBE_BYTES: usize = 1 << 20;

/// Network file systems, as named in `/proc/self/mountinfo`, on which SQLite's locks and shared memory do not work reliably
/// (<https://www.sqlite.org/useovernet.html>).
const NETWORK_FILE_SYSTEMS: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "lustre",
];

/// Checks the database. Returns its state; `None` if it cannot be read.
pub(super) fn check(settings: &Settings, findings: &mut Findings) -> Option<LocalState> {
    let path = &settings.database.path;
    let shown = path.display();
    if let Some(warning) = network_file_system(path) {
        findings.warn("database", warning);
    }
    let read = || {
        let mut reader = storage::inspect(&settings.database)?;
        let positions = reader.positions(&settings.kafka.group_id)?;
        Ok::<_, StorageError>(LocalState { database_id: Some(reader.id()?), positions })
    };
    let local = match read() {
        Ok(local) => local,
        Err(error) if error.kind() == ErrorKind::Missing => {
            match try_to_write_in_directory_of(path) {
                Ok(()) => findings.ok("database", format!("'{shown}' does not exist yet; the first run creates it")),
                Err(problem) => findings.fail("database", problem),
            }
            return Some(LocalState::default());
        }
        Err(error) if error.kind() == ErrorKind::Outdated => {
            findings.warn("database", format!("{}: run migrates it", ErrorChain(&error)));
            return None;
        }
        Err(error) => {
            findings.fail("database", ErrorChain(&error).to_string());
            return None;
        }
    };
    if let Err(problem) = check_writing(settings) {
        findings.fail("database", problem);
        return Some(local);
    }
    let id = local.database_id.as_deref().unwrap_or_default();
    findings.ok(
        "database",
        format!(
            "'{shown}', id {id}; a copy of it that is in use needs its own id: \
             UPDATE database_identity SET id = lower(hex(randomblob(16)))"
        ),
    );
    Some(local)
}

/// Checks whether the service can write to the database.
fn check_writing(settings: &Settings) -> Result<(), String> {
    let path = &settings.database.path;
    // Opening with O_APPEND changes nothing.
    File::options()
        .append(true)
        .open(path)
        .map_err(|error| format!("'{}' cannot be written to: {error}", path.display()))?;
    // SQLite creates the WAL in the same directory.
    try_to_write_in_directory_of(path)?;
    match storage::try_to_store(&settings.database, &settings.kafka.group_id) {
        Ok(()) => Ok(()),
        // The running service is storing rows.
        Err(error) if error.kind() == ErrorKind::Locked && is_running(settings) => Ok(()),
        Err(error) => Err(format!("no row can be stored: {}", ErrorChain(&error))),
    }
}

fn is_running(settings: &Settings) -> bool {
    storage::lock_path(&settings.database).is_ok_and(|lock| ServiceState::read(&lock).running)
}

/// Checks the log files. The service creates them and their directories if they are missing.
pub(super) fn check_logs(settings: &Settings, findings: &mut Findings) {
    let files = [("LOG_FILE", &settings.log.file), ("UNIDENTIFIED_LOG_FILE", &settings.unidentified_log_file)];
    for (name, path) in files {
        let Some(path) = path else { continue };
        match check_log(path) {
            Ok(()) => findings.ok("logs", format!("{name} '{}'", path.display())),
            // A warning: the console has the log too, and the database has the messages.
            Err(problem) => {
                findings.warn("logs", format!("{name} '{}' cannot be written: {problem}", path.display()));
            }
        }
    }
}

fn check_log(path: &Path) -> Result<(), String> {
    match File::options().append(true).open(path) {
        Ok(file) if file.metadata().is_ok_and(|found| found.is_dir()) => Err("it is a directory".to_owned()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => try_to_write_in_directory_of(path),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes a file and removes it, in the nearest existing parent directory; the service creates the others. Mode bits alone do not
/// tell what is permitted.
fn try_to_write_in_directory_of(path: &Path) -> Result<(), String> {
    let mut directories = path.ancestors().skip(1).map(or_working_directory);
    let directory = directories.find(|directory| directory.exists()).unwrap_or(Path::new("."));
    let probe = directory.join(format!(".enterprise-consumer-check-{}", std::process::id()));
    let created = File::create_new(&probe)
        .map_err(|error| format!("'{}' is not a directory that can be written to: {error}", directory.display()))?;
    let written = write_probe(created);
    fs::remove_file(&probe).map_err(|error| format!("'{}' cannot be removed: {error}", probe.display()))?;
    written.map_err(|error| format!("{PROBE_BYTES} bytes cannot be written to '{}': {error}", directory.display()))
}

fn write_probe(mut file: File) -> io::Result<()> {
    file.write_all(&vec![0; PROBE_BYTES])?;
    file.sync_all()
}

/// The parent of a bare file name is the empty path, which stands for the working directory.
fn or_working_directory(directory: &Path) -> &Path {
    if directory.as_os_str().is_empty() { Path::new(".") } else { directory }
}

/// A warning if the database is on a file system on which SQLite is not reliable.
fn network_file_system(path: &Path) -> Option<String> {
    let absolute = std::path::absolute(path).ok()?;
    let existing = absolute.ancestors().find(|ancestor| ancestor.exists())?.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = file_system_of(&existing, &mounts)?;
    NETWORK_FILE_SYSTEMS.contains(&kind).then(|| {
        format!(
            "'{}' lies on a network file system ({kind}), where SQLite's locks and shared memory do not work reliably: use a \
             local disk",
            path.display()
        )
    })
}

/// The type of the file system of a path: that of the longest mount point above it
/// (<https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>).
fn file_system_of<'a>(path: &Path, mountinfo: &'a str) -> Option<&'a str> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        path.starts_with(point).then_some((point.len(), rest.split(' ').next()?))
    });
    // Of several mounts on one mount point, the last one is visible.
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_last_mount_point_counts() {
        let mounts = "\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /srv rw - nfs4 server:/export rw
31 30 0:27 / /srv/local rw - xfs /dev/vdb rw
32 31 0:28 / /srv/local rw - tmpfs tmpfs rw
";
        let check = |path: &str, kind| assert_eq!(file_system_of(Path::new(path), mounts), kind, "{path}");
        check("/var/lib", Some("ext4"));
        check("/srv/data", Some("nfs4"));
        check("/srv/localhost", Some("nfs4"));
        check("/srv/local/data", Some("tmpfs"));
        assert_eq!(file_system_of(Path::new("/x"), "nonsense"), None);
    }
}
