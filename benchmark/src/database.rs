//! Creates the databases of the peers, and reads from any database which events it holds.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::Result;

/// The service's tables.
pub const SCHEMA: &str = include_str!("../../schema.sql");

/// The greatest page cache of the service's writer, by default (`DATABASE_CACHE_MAX_BYTES`): SQLite alone has as much memory.
pub const CACHE_KIB: u32 = 24 << 10;

/// What a database holds. It must be equal for all peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub opportunities: u64,
    pub projects: u64,
    /// A checksum of each row's id and name. A name has the number of its event, so the checksum says which event of each id is stored.
    pub events: u64,
    /// The sum of `kafka_offset` over all rows; `None` where the tables have no such column.
    pub offsets: Option<u64>,
}

impl Stored {
    /// Whether the same events are stored, as far as both databases say.
    pub fn is_same(&self, other: &Self) -> bool {
        let has_offsets = self.offsets.is_some() && other.offsets.is_some();
        (self.opportunities, self.projects, self.events) == (other.opportunities, other.projects, other.events)
            && (!has_offsets || self.offsets == other.offsets)
    }
}

/// Creates a database with these tables, in WAL mode with `synchronous=NORMAL`.
pub fn create(path: &Path, schema: &str) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(schema)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = NORMAL;")?;
    Ok(connection)
}

/// Creates a database with the service's tables, and sets what the service sets for its writer (`src/storage/sqlite/open.rs`).
pub fn create_as_the_service(path: &Path) -> Result<Connection> {
    let connection = create(path, SCHEMA)?;
    connection.execute_batch(&format!(
        "PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 0;
         PRAGMA cache_size = -{CACHE_KIB};
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;"
    ))?;
    Ok(connection)
}

/// Opens one read-only.
pub fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// Reads both tables of events.
pub fn stored(path: &Path) -> Result<Stored> {
    let connection = open_to_read(path)?;
    let (opportunities, projects) =
        (TableSum::of(&connection, "opportunities")?, TableSum::of(&connection, "projects")?);
    Ok(Stored {
        opportunities: opportunities.rows,
        projects: projects.rows,
        events: opportunities.events.wrapping_add(projects.events),
        offsets: opportunities.offsets.zip(projects.offsets).map(|(first, second)| first + second),
    })
}

/// The part of [`Stored`] that one table has.
#[derive(Default)]
struct TableSum {
    rows: u64,
    events: u64,
    offsets: Option<u64>,
}

impl TableSum {
    fn of(connection: &Connection, table: &str) -> rusqlite::Result<Self> {
        let has_offsets = connection.column_exists(None, table, "kafka_offset")?;
        let offset = if has_offsets { "kafka_offset" } else { "NULL" };
        let mut statement = connection.prepare(&format!("SELECT event_id, name, {offset} FROM {table}"))?;
        let mut rows = statement.query([])?;
        let mut sum = Self { offsets: has_offsets.then_some(0), ..Self::default() };
        while let Some(row) = rows.next()? {
            sum.rows += 1;
            // Addition, so that the order of the rows does not count.
            sum.events = sum.events.wrapping_add(hash(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?));
            let offset: Option<u64> = row.get(2)?;
            sum.offsets = sum.offsets.zip(offset).map(|(sum, offset)| sum + offset);
        }
        Ok(sum)
    }
}

fn hash(id: &str, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, name).hash(&mut hasher);
    hasher.finish()
}

/// `None` if the database was locked, as while the last connection of the service closes.
pub fn unless_busy<T>(result: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match result {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{CACHE_KIB, Stored, TableSum};

    #[test]
    fn the_cache_is_as_large_as_the_service_has_it() {
        let settings = include_str!("../../.env.example");
        let default = settings.lines().find_map(|line| line.strip_prefix("#DATABASE_CACHE_MAX_BYTES=")).unwrap();
        assert_eq!(CACHE_KIB * 1024, default.parse::<u32>().unwrap());
    }

    #[test]
    fn the_checksum_says_which_event_of_an_id_is_stored() {
        let sum = |rows: &str| {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch("CREATE TABLE projects (event_id TEXT, name TEXT)").unwrap();
            connection.execute_batch(&format!("INSERT INTO projects VALUES {rows}")).unwrap();
            let sum = TableSum::of(&connection, "projects").unwrap();
            assert_eq!(sum.offsets, None);
            (sum.rows, sum.events)
        };
        let expected = sum("('a', 'first 1'), ('b', 'first 2')");
        assert_eq!(expected.0, 2);
        assert_eq!(sum("('b', 'first 2'), ('a', 'first 1')"), expected);
        assert_ne!(sum("('a', 'first 3'), ('b', 'first 2')"), expected);
        assert_ne!(sum("('a', 'first 2'), ('b', 'first 1')"), expected);
    }

    #[test]
    fn offsets_are_compared_where_both_have_them() {
        let stored = |events, offsets| Stored { opportunities: 1, projects: 1, events, offsets };
        assert!(stored(7, Some(3)).is_same(&stored(7, Some(3))));
        assert!(stored(7, Some(3)).is_same(&stored(7, None)));
        assert!(!stored(7, Some(3)).is_same(&stored(7, Some(4))));
        assert!(!stored(7, Some(3)).is_same(&stored(8, None)));
    }
}
