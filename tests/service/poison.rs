//! Records that SQLite rejects because of triggers or constraints of an operator: the service keeps them as unidentified messages and
//! stores all others, even if it is killed.

use rusqlite::Connection;
use testkit::{ProduceOptions, Record};

use crate::support::topic_fixture::TopicFixture;

/// One rejects a row and rolls the transaction back, the other one fails at the commit.
const REFUSE: &str = "
    CREATE TRIGGER no_fraud AFTER INSERT ON opportunities WHEN new.name = 'fraud'
    BEGIN SELECT RAISE(ROLLBACK, 'we do not want these'); END;
    CREATE TABLE nobody (name PRIMARY KEY);
    CREATE TABLE suspects (name REFERENCES nobody DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER no_suspects AFTER INSERT ON opportunities WHEN new.name = 'suspect'
    BEGIN INSERT INTO suspects VALUES (new.name); END";

#[test]
fn records_that_sqlite_rejects_are_kept_and_the_service_continues() {
    let fixture = TopicFixture::new("poison", 2);
    fixture.run_to_end();
    Connection::open(fixture.installation.database_path()).unwrap().execute_batch(REFUSE).unwrap();
    let event = |number: i32| {
        let name = match number % 500 {
            7 | 8 => "fraud",
            400 => "suspect",
            _ => "fine",
        };
        let value = format!(r#"{{"event_id":"opp_{number}","name":"{name}","stage":"won"}}"#);
        Record::value(value).partition(number % 2)
    };
    fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), (0..6000).map(event)).unwrap();
    // Killed after each progress.
    let mut stored = 0;
    while stored < 3000 {
        let mut service = fixture.installation.start(&["run"]);
        fixture.installation.wait_for("some records", |installation| installation.stored() > stored);
        service.kill();
        fixture.installation.assert_clean();
        stored = fixture.installation.stored();
    }
    fixture.run_to_end();
    let answer = fixture.installation.ask(&["verify"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(fixture.installation.number("SELECT count(*) FROM opportunities WHERE name = 'fine'"), Some(6000 - 36));
    assert_eq!(fixture.installation.number("SELECT count(*) FROM opportunities"), Some(6000 - 36));
    let kept =
        "SELECT error, count(*) FROM unidentified_messages WHERE reason = 'rejected' GROUP BY error ORDER BY error";
    let kept = fixture.rows(kept, |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
    assert_eq!(kept, [("FOREIGN KEY constraint failed".to_owned(), 12), ("we do not want these".to_owned(), 24)]);
    let stderr = fixture.installation.stderr();
    assert!(!stderr.contains("storing a batch failed"), "{stderr}");
}
