//! What the suite needs of an engine besides the seam: a new database, and SQL in a session of another program.

use crate::settings::DatabaseSettings;
use crate::storage::attempt::Attempt;
use crate::storage::findings::{Invariant, Violation};
use crate::storage::fixtures::{GROUP, jump};
use crate::storage::inspector::{Inspector, Summary};
use crate::storage::replayer::Replayer;
use crate::storage::writer::Writer;
use crate::storage::{self};

/// A new database of an engine. It is removed when this is dropped.
pub(in crate::storage) trait Engine {
    fn create() -> Self;

    fn settings(&self) -> &DatabaseSettings;

    /// Executes statements, in a session of another program.
    fn execute(&self, sql: &str);

    /// The same without the checks of the tables.
    fn execute_unchecked(&self, sql: &str);

    /// The rows of a query.
    fn query(&self, sql: &str) -> Vec<Vec<Value>>;

    /// Bytes as a literal.
    fn bytes_literal(text: &str) -> String;

    /// Every way in which the database can reject an opportunity whose name is `fraud`, as statements that an operator may execute, with the
    /// error of the rejection. Each keeps the ids of all opportunities in a table `seen` before it rejects, which must be undone.
    fn rejections() -> Vec<(String, &'static str)>;

    fn number(&self, sql: &str) -> i64 {
        match self.query(sql).as_slice() {
            [row] => match row.as_slice() {
                [Value::Integer(number)] => *number,
                other => panic!("{sql}: {other:?}"),
            },
            other => panic!("{sql}: {other:?}"),
        }
    }

    fn open(&self) -> Box<dyn Writer> {
        self.open_group(GROUP)
    }

    fn open_group(&self, group_id: &str) -> Box<dyn Writer> {
        storage::open(self.settings(), group_id).unwrap()
    }

    /// Opened, with a position at 0 in each of a number of partitions.
    fn open_at_0(&self, partitions: i32) -> Box<dyn Writer> {
        let mut database = self.open();
        let jumps: Vec<_> = (0..partitions).map(|partition| jump(partition, None, 0)).collect();
        database.store_jumps(&jumps, &mut Attempt::default()).unwrap();
        database
    }

    fn inspector(&self) -> Box<dyn Inspector> {
        storage::inspect(self.settings()).unwrap()
    }

    fn summary(&self) -> Summary {
        self.inspector().summary(GROUP).unwrap()
    }

    fn violations(&self) -> Vec<(Invariant, Violation)> {
        let mut found = Vec::new();
        let mut report = |invariant, violations: &[Violation]| {
            found.extend(violations.iter().map(|violation| (invariant, violation.clone())));
        };
        self.inspector().verify(&mut report).unwrap();
        found
    }

    fn replayer(&self) -> Box<dyn Replayer> {
        storage::open_replayer(self.settings(), GROUP).unwrap()
    }

    fn dry_run(&self) -> Box<dyn Replayer> {
        storage::open_dry_run(self.settings()).unwrap()
    }

    /// The counters of each position add up to its offsets.
    fn assert_counted(&self) {
        let wrong = self.query(
            "SELECT * FROM consumer_offsets
             WHERE next_offset - first_offset <> applied + stale + unidentified + absent OR high_offset < next_offset",
        );
        assert_eq!(wrong, Vec::<Vec<Value>>::new());
    }
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::storage) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}
