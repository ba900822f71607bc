//! The part of `check` that checks the database and the log files. Changes nothing; must not know the files of an engine.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::commands::check::findings::Findings;
use crate::commands::inspection::view::LocalState;
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::probe;
use crate::service::record::ServiceState;
use crate::settings::Settings;
use crate::storage::{self, ErrorKind, StorageError};

/// Checks the database. Returns its state; `None` if it cannot be read.
pub(super) fn check(settings: &Settings, findings: &mut Findings) -> Option<LocalState> {
    let shown = settings.database.path.display();
    for warning in storage::warnings(&settings.database) {
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
            match storage::check_access(&settings.database) {
                Ok(()) => findings.ok("database", format!("'{shown}' does not exist yet; the first run creates it")),
                Err(problem) => findings.fail("database", ErrorChain(&problem).to_string()),
            }
            return Some(LocalState::default());
        }
        Err(error) if error.kind() == ErrorKind::Outdated => {
            findings.warn("database", ErrorChain(&error).to_string());
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
    storage::check_access(&settings.database).map_err(|error| ErrorChain(&error).to_string())?;
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            probe::write_in_directory_of(path).map_err(|error| ErrorChain(&error).to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}
