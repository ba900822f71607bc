//! SQLite alone: the service's rows, statements, page cache and durability, without Kafka and without decoding. How fast the
//! same work could be if everything else were free. The fastest of several transaction sizes is the limit.

use std::path::PathBuf;
use std::time::Instant;

use enterprise_consumer::entity::{self, Event, MetaData};
use lexopt::prelude::*;
use nix::sys::resource::{UsageWho, getrusage};
use rusqlite::{Connection, Statement, TransactionBehavior};

use crate::checkpointer::Checkpointer;
use crate::measure::Usage;
use crate::peers::LimitSize;
use crate::sets::DataSet;
use crate::sql::{PARAMETERS, Table};
use crate::{Result, database, events, sets};

/// As a record of the topic would have it.
const TOPIC: &str = "sales_events";
const NOW: &str = "2025-01-01T00:00:00.000Z";

/// What to store where.
pub struct Limit {
    set: DataSet,
    size: LimitSize,
    database: PathBuf,
    usage: PathBuf,
}

impl Limit {
    pub fn parse(mut parser: lexopt::Parser) -> Result<Self> {
        let name = parser.value()?.string()?;
        let events = parser.value()?.parse()?;
        let set = sets::find(&name, events).ok_or_else(|| format!("no data set is called '{name}'"))?;
        let size = LimitSize { transaction_rows: parser.value()?.parse()?, statement_rows: parser.value()?.parse()? };
        Ok(Self { set, size, database: parser.value()?.into(), usage: parser.value()?.into() })
    }
}

/// Measures only the storing: the rows are made before.
pub fn run(limit: &Limit) -> Result<()> {
    let values: Vec<String> = (0..limit.set.events).map(|number| limit.set.shape.event(number).1).collect();
    let rows = values
        .iter()
        .zip(0..)
        .map(|(value, offset)| Ok(Row { event: decode(value.as_bytes())?, offset }))
        .collect::<Result<Vec<_>>>()?;
    let before = getrusage(UsageWho::RUSAGE_SELF)?;
    let begun = Instant::now();
    let mut connection = database::create_as_the_service(&limit.database)?;
    let checkpointer = Checkpointer::start(&limit.database)?;
    for batch in rows.chunks(limit.size.transaction_rows) {
        store(&mut connection, batch, limit.size.statement_rows)?;
    }
    checkpointer.stop()?;
    connection.close().map_err(|(_, error)| error)?;
    let usage = Usage::between(begun, &before, &getrusage(UsageWho::RUSAGE_SELF)?);
    Ok(std::fs::write(&limit.usage, serde_json::to_vec(&usage)?)?)
}

/// A decoded event and where it lies.
pub struct Row<'a> {
    pub event: Event<'a>,
    pub offset: i64,
}

/// Decodes what must be an event.
pub fn decode(value: &[u8]) -> Result<Event<'_>> {
    entity::decode(Some(value)).map_err(|rejection| rejection.error.into())
}

fn store(connection: &mut Connection, batch: &[Row<'_>], statement_rows: usize) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (table, rows) in by_table(batch) {
        let mut statement = transaction.prepare_cached(&table.upsert(statement_rows))?;
        let chunks = rows.chunks_exact(statement_rows);
        let rest = chunks.remainder();
        for chunk in chunks {
            execute(&mut statement, chunk)?;
        }
        let mut single = transaction.prepare_cached(&table.upsert(1))?;
        for row in rest {
            execute(&mut single, std::slice::from_ref(row))?;
        }
    }
    Ok(transaction.commit()?)
}

/// The rows of each table, in their order.
pub fn by_table<'r, 'a>(batch: &'r [Row<'a>]) -> [(Table, Vec<&'r Row<'a>>); 2] {
    let (opportunities, projects) = batch.iter().partition(|row| matches!(row.event, Event::Opportunity(_)));
    [(Table::Opportunities, opportunities), (Table::Projects, projects)]
}

fn execute(statement: &mut Statement<'_>, rows: &[&Row<'_>]) -> rusqlite::Result<()> {
    bind(statement, rows)?;
    statement.raw_execute().map(drop)
}

/// Binds every parameter of a statement for so many rows.
pub fn bind(statement: &mut Statement<'_>, rows: &[&Row<'_>]) -> rusqlite::Result<()> {
    for (at, row) in rows.iter().enumerate() {
        bind_row(statement, at * PARAMETERS, row)?;
    }
    Ok(())
}

fn bind_row(statement: &mut Statement<'_>, before: usize, row: &Row<'_>) -> rusqlite::Result<()> {
    let mut at = before;
    macro_rules! bind {
        ($($value:expr),* $(,)?) => {
            $(at += 1; statement.raw_bind_parameter(at, $value)?;)*
        };
    }
    let (account_id, owner_id, meta_data, extra) = match &row.event {
        Event::Opportunity(event) => {
            bind!(
                &event.event_id,
                &event.name,
                &event.stage,
                event.amount.as_ref().map(|amount| amount.value),
                event.probability,
                &event.expected_close_date
            );
            (&event.account_id, &event.owner_id, &event.meta_data, &event.extra)
        }
        Event::Project(event) => {
            let budget = event.budget.as_ref().map(|budget| budget.value);
            bind!(&event.event_id, &event.name, &event.status, &event.start_date, &event.end_date, budget);
            (&event.account_id, &event.owner_id, &event.meta_data, &event.extra)
        }
    };
    let (json, last_modified) = meta_data.as_ref().map_or((None, None), columns);
    bind!(account_id, owner_id, json, last_modified, extra, TOPIC, 0, row.offset);
    bind!(events::timestamp_ms(row.offset.cast_unsigned()), NOW);
    Ok(())
}

fn columns<'m>(meta_data: &'m MetaData<'_>) -> (Option<&'m str>, Option<&'m str>) {
    (Some(meta_data.json), meta_data.last_modified.as_ref().map(|time| time.effective().as_str()))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{Row, decode, store};
    use crate::database::SCHEMA;
    use crate::events::{Ids, Shape, Size};

    #[test]
    fn many_rows_a_statement_store_what_one_does() {
        let stored = |statement_rows| {
            let shape = Shape { ids: Ids::RandomUpdates, size: Size::Ordinary };
            let values: Vec<String> = (0..230).map(|number| shape.event(number).1).collect();
            let rows: Vec<Row<'_>> = values
                .iter()
                .zip(0..)
                .map(|(value, offset)| Row { event: decode(value.as_bytes()).unwrap(), offset })
                .collect();
            let mut connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(SCHEMA).unwrap();
            store(&mut connection, &rows, statement_rows).unwrap();
            let all = "SELECT event_id, name, kafka_offset FROM opportunities
                       UNION ALL SELECT event_id, name, kafka_offset FROM projects ORDER BY 1";
            let mut statement = connection.prepare(all).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
            rows.collect::<rusqlite::Result<Vec<(String, String, i64)>>>().unwrap()
        };
        let single = stored(1);
        assert_eq!(single.len(), 115);
        assert_eq!(stored(50), single);
    }
}
