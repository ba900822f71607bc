//! The version of the tables: creates them in a new file, migrates those of an older one, refuses other versions. Must not know what the
//! tables hold.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::{Context, SqliteError};

/// The tables that this program works on.
pub(super) const SCHEMA: Schema = Schema {
    version: SCHEMA_VERSION,
    tables: include_str!("../../../schema.sql"),
    migrations: &[Migration { from: 1, sql: include_str!("migrations/2.sql"), recreated: &["unidentified_messages"] }],
};

/// `PRAGMA user_version` of the tables that this program works on, as `schema.sql` sets it.
pub(super) const SCHEMA_VERSION: i64 = 2;

/// Tables, and the migrations from older ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema {
    version: i64,
    /// SQL that creates them in an empty file and sets its application id and version.
    tables: &'static str,
    /// A migration for every older version.
    migrations: &'static [Migration],
}

/// A migration from one version to the next.
#[derive(Clone, Copy, Debug)]
struct Migration {
    from: i64,
    /// SQL that changes the tables. The version is set after it.
    sql: &'static str,
    /// Tables that the SQL drops and creates again. Triggers and indexes that an operator has added to them are created again too.
    recreated: &'static [&'static str],
}

impl Schema {
    /// Creates the tables in an empty file, or runs all migrations that an older one needs, in one transaction.
    pub(super) fn migrate(self, connection: &mut Connection, path: &Path) -> Result<(), SqliteError> {
        // A database of the present version is not locked.
        if stored_version(connection)? == self.version {
            return Ok(());
        }
        // Recreating a table must change neither rows that refer to it nor views that read it
        // (https://www.sqlite.org/lang_altertable.html#otheralter). Neither option can be set in a transaction.
        let foreign_keys = set(connection, DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
        let legacy = set(connection, DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, true)?;
        let result = self.change(connection, path);
        set(connection, DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, foreign_keys)?;
        set(connection, DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, legacy)?;
        result
    }

    fn change(self, connection: &mut Connection, path: &Path) -> Result<(), SqliteError> {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).context("create the tables")?;
        let mut version = stored_version(&transaction)?;
        if version == 0 {
            transaction.execute_batch(self.tables).context("create the tables")?;
            version = self.version;
        }
        while let Some(step) = self.migrations.iter().find(|step| step.from == version && version < self.version) {
            version += 1;
            step.run(&transaction)
                .and_then(|()| transaction.pragma_update(None, "user_version", version))
                .context("migrate the tables")?;
        }
        self.refuse_other(version, path)?;
        transaction.commit().context("create the tables")
    }

    /// Fails unless the tables are of this version.
    pub(super) fn refuse_other(self, found: i64, path: &Path) -> Result<(), SqliteError> {
        let (path, supported) = (path.to_owned(), self.version);
        match found {
            found if found == supported => Ok(()),
            0 => Err(SqliteError::Missing { path }),
            found if found > supported => Err(SqliteError::NewerSchema { path, found, supported }),
            found => Err(SqliteError::OlderSchema { path, found, supported }),
        }
    }
}

impl Migration {
    fn run(self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut added = Vec::new();
        for table in self.recreated {
            let mut statement = transaction.prepare(
                "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL",
            )?;
            added.extend(statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?);
        }
        transaction.execute_batch(self.sql)?;
        added.iter().try_for_each(|sql| transaction.execute_batch(sql))
    }
}

/// Sets an option of the connection; gives its value before.
fn set(connection: &Connection, option: DbConfig, on: bool) -> Result<bool, SqliteError> {
    let change = || {
        let before = connection.db_config(option)?;
        connection.set_db_config(option, on)?;
        Ok(before)
    };
    change().context("prepare a migration of the tables")
}

/// The version of the tables in a file; 0 if it has none. Fails if the WAL of the file cannot be used, which its header does not say.
pub(super) fn stored_version(connection: &Connection) -> Result<i64, SqliteError> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).context("read the database's header")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::fixtures::Place;

    /// The version of a file that the program creates, and those that tests invent after it.
    const NOW: i64 = SCHEMA_VERSION;
    const NEXT: i64 = NOW + 1;
    const LAST: i64 = NOW + 2;

    const ONE_STEP: Migration =
        step(NOW, "ALTER TABLE projects ADD COLUMN region TEXT; UPDATE projects SET region = 'EMEA'");
    const ANOTHER: Migration = step(NEXT, "CREATE TABLE contacts (region TEXT NOT NULL)");
    const FAILS: Migration = step(NEXT, "DELETE FROM projects; INSERT INTO contacts VALUES (1)");

    const fn step(from: i64, sql: &'static str) -> Migration {
        Migration { from, sql, recreated: &[] }
    }

    fn later(version: i64, migrations: &'static [Migration]) -> Schema {
        Schema { version, tables: "no SQL: an older file is not created again", migrations }
    }

    /// A database of the present version, with a project.
    fn place() -> Place {
        let place = Place::new();
        drop(place.open());
        place.execute(
            "INSERT INTO projects (event_id, name, status, kafka_topic, kafka_partition, kafka_offset, created_at, updated_at)
             VALUES ('proj_1', 'n', 's', 't', 0, 0, '', '')",
        );
        place
    }

    fn bring_up(schema: Schema, place: &Place) -> Result<(), SqliteError> {
        schema.migrate(&mut place.connect(), &place.settings.path)
    }

    #[test]
    fn an_older_file_is_migrated_step_by_step() {
        let place = place();
        bring_up(later(NEXT, &[ONE_STEP]), &place).unwrap();
        assert_eq!(place.number("PRAGMA user_version"), NEXT);
        assert_eq!(place.number("SELECT count(*) FROM projects WHERE region = 'EMEA'"), 1);
        for _ in 0..2 {
            bring_up(later(LAST, &[ONE_STEP, ANOTHER]), &place).unwrap();
            assert_eq!(place.number("PRAGMA user_version"), LAST);
            assert_eq!(place.number("SELECT count(*) FROM contacts"), 0);
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let place = place();
        let error = bring_up(later(LAST, &[ONE_STEP, FAILS]), &place).expect_err("there is no such table");
        assert!(!error.kind().is_retriable(), "{error:?}");
        assert_eq!(place.number("PRAGMA user_version"), NOW);
        assert_eq!(place.number("SELECT count(*) FROM pragma_table_info('projects') WHERE name = 'region'"), 0);
        assert_eq!(place.number("SELECT count(*) FROM projects"), 1);
        place.open();
    }

    #[test]
    fn a_file_from_which_no_step_leads_is_refused() {
        let place = place();
        let older = |found, error| assert!(matches!(error, SqliteError::OlderSchema { found: at, .. } if at == found));
        older(NEXT, bring_up(later(LAST, &[ONE_STEP]), &place).expect_err("no step from there"));
        assert_eq!(place.number("PRAGMA user_version"), NOW);
        older(NOW, bring_up(later(LAST, &[ANOTHER]), &place).expect_err("no step from here"));
        older(NOW, later(NEXT, &[ONE_STEP]).refuse_other(NOW, &place.settings.path).expect_err("only looked at"));
        bring_up(later(NEXT, &[ONE_STEP]), &place).unwrap();
        let error = bring_up(SCHEMA, &place).expect_err("newer");
        assert!(matches!(error, SqliteError::NewerSchema { found: NEXT, supported: NOW, .. }), "{error:?}");
    }

    #[test]
    fn there_is_a_step_from_every_older_version() {
        let steps: Vec<i64> = SCHEMA.migrations.iter().map(|step| step.from).collect();
        assert_eq!(steps, (1..SCHEMA_VERSION).collect::<Vec<_>>());
    }
}
