-- From version 1 to version 2, which has not been released: all of its changes go into this one step. The tables must become what
-- schema.sql makes in a new file, column by column in the same order, which a test compares. The program sets user_version.

-- Different records at one offset are all kept, so the coordinates are no longer unique, which only a new table can do without.
-- Ids, and those that were used before, stay: the cursor of the log file counts on them.
ALTER TABLE consumer_offsets ADD COLUMN reading INTEGER NOT NULL DEFAULT 0;

CREATE TABLE unidentified_messages_2 (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    kafka_topic         TEXT    NOT NULL,
    topic_id            TEXT    NOT NULL,
    kafka_partition     INTEGER NOT NULL,
    kafka_offset        INTEGER NOT NULL,
    kafka_timestamp     INTEGER,
    reading             INTEGER NOT NULL DEFAULT 0,
    key                 BLOB,
    value               BLOB,
    headers             TEXT    NOT NULL,
    reason              TEXT    NOT NULL,
    error               TEXT    NOT NULL,
    received_at         TEXT    NOT NULL,
    replayed_at         TEXT
);
INSERT INTO unidentified_messages_2
    SELECT id, kafka_topic, topic_id, kafka_partition, kafka_offset, kafka_timestamp, 0, key, value, headers, reason, error,
        received_at, replayed_at
    FROM unidentified_messages ORDER BY id;
DELETE FROM sqlite_sequence WHERE name = 'unidentified_messages_2';
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'unidentified_messages_2', seq FROM sqlite_sequence WHERE name = 'unidentified_messages';
DROP TABLE unidentified_messages;
ALTER TABLE unidentified_messages_2 RENAME TO unidentified_messages;
CREATE INDEX unidentified_messages_by_offset
    ON unidentified_messages (kafka_topic, topic_id, kafka_partition, kafka_offset);
CREATE INDEX unidentified_messages_by_time ON unidentified_messages (received_at);

-- Deleted messages are counted.
ALTER TABLE consumer_offsets ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0 CHECK (pruned BETWEEN 0 AND unidentified);

-- What a double cannot hold of a number, and times of producers whose clock is ahead.
ALTER TABLE opportunities ADD COLUMN amount_text TEXT;
ALTER TABLE opportunities ADD COLUMN last_modified_sent TEXT;
CREATE INDEX opportunities_ahead ON opportunities (last_modified_sent) WHERE last_modified_sent IS NOT NULL;
ALTER TABLE projects ADD COLUMN budget_text TEXT;
ALTER TABLE projects ADD COLUMN last_modified_sent TEXT;
CREATE INDEX projects_ahead ON projects (last_modified_sent) WHERE last_modified_sent IS NOT NULL;
