//! The upsert of each table of events, for any number of rows: the service's statement and its rule which event wins
//! (`src/storage/sqlite`), so that all peers and SQLite's limit do the same work.

/// What a row has to be given: `created_at` and `updated_at` are the same parameter.
pub const PARAMETERS: usize = 16;

/// One of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Opportunities,
    Projects,
}

/// The columns that only this table has, in their order between `event_id` and `account_id`.
const OPPORTUNITY_COLUMNS: [&str; 5] = ["name", "stage", "amount", "probability", "expected_close_date"];
const PROJECT_COLUMNS: [&str; 5] = ["name", "status", "start_date", "end_date", "budget"];
const COMMON_COLUMNS: [&str; 9] = [
    "account_id",
    "owner_id",
    "meta_data",
    "last_modified",
    "extra",
    "kafka_topic",
    "kafka_partition",
    "kafka_offset",
    "kafka_timestamp",
];

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Self::Opportunities => "opportunities",
            Self::Projects => "projects",
        }
    }

    /// Stores so many rows, each unless a greater event of its id is stored.
    pub fn upsert(self, rows: usize) -> String {
        let own = match self {
            Self::Opportunities => OPPORTUNITY_COLUMNS,
            Self::Projects => PROJECT_COLUMNS,
        };
        let columns = [&own[..], &COMMON_COLUMNS[..]].concat();
        let values: Vec<String> = (0..rows).map(row_of_parameters).collect();
        let changes: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        let table = self.name();
        let (new, stored) = (time_of("excluded.kafka_timestamp"), time_of(&format!("{table}.kafka_timestamp")));
        format!(
            "INSERT INTO {table} (event_id, {}, created_at, updated_at) VALUES {} \
             ON CONFLICT (event_id) DO UPDATE SET {}, updated_at = excluded.updated_at \
             WHERE (coalesce(excluded.last_modified, {new}, ''), excluded.kafka_partition, excluded.kafka_offset, \
             excluded.kafka_topic) >= (coalesce({table}.last_modified, {stored}, ''), {table}.kafka_partition, \
             {table}.kafka_offset, {table}.kafka_topic)",
            columns.join(", "),
            values.join(", "),
            changes.join(", ")
        )
    }
}

fn row_of_parameters(row: usize) -> String {
    let first = row * PARAMETERS + 1;
    let mut numbers: Vec<String> = (first..first + PARAMETERS).map(|number| format!("?{number}")).collect();
    numbers.extend(numbers.last().cloned());
    format!("({})", numbers.join(", "))
}

/// Milliseconds since 1970 as `last_modified` spells a time.
fn time_of(milliseconds: &str) -> String {
    format!(
        "strftime('%Y-%m-%dT%H:%M:%f000000Z', max(-62167219200000, min(253402300799999, {milliseconds})) / 1000.0, \
         'unixepoch')"
    )
}
