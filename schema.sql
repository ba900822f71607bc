-- The tables of enterprise-consumer, version 2. A new database is created from this file in one transaction.
--
-- Plain tables: STRICT ones cannot be read by the sqlite3 of RHEL 8 and 9 (before 3.37). The service is the only writer and binds
-- every value with its type; the checks below are a second line of defence after the rules for messages.
-- Tables of events have a rowid, although their key is text: so new rows are appended, whatever their ids, and a transaction changes
-- few pages. (Measured with random ids, 300,000 rows: 16 times less CPU in the kernel than WITHOUT ROWID.)
-- Times that the service writes are RFC 3339 text, UTC, with milliseconds; times in Kafka are integers, milliseconds since 1970.

PRAGMA application_id = 1162756942; -- 'ENCN': marks a file of this program
PRAGMA user_version = 2;            -- the version of these tables

-- One row per sales opportunity: the greatest event of its id, in the order of
-- (last_modified, else kafka_timestamp), kafka_partition, kafka_offset, kafka_topic. `enterprise-consumer views` prints views with
-- that order over several databases.
CREATE TABLE opportunities (
    event_id            TEXT    NOT NULL PRIMARY KEY CHECK (event_id <> ''),
    name                TEXT    NOT NULL CHECK (name <> ''),
    stage               TEXT    NOT NULL CHECK (stage <> ''),
    amount              REAL,
    probability         INTEGER CHECK (probability BETWEEN 0 AND 100), -- percent
    expected_close_date TEXT,             -- YYYY-MM-DD
    account_id          TEXT,
    owner_id            TEXT,
    meta_data           TEXT,             -- JSON object, as sent
    last_modified       TEXT,             -- of meta_data, in UTC: YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ, so that it sorts as time;
                                          -- the record's time where last_modified_sent is set
    extra               TEXT,             -- JSON object of the fields that have no column, as sent; NULL if there are none
    kafka_topic         TEXT    NOT NULL, -- topic, partition and offset of the event's record
    kafka_partition     INTEGER NOT NULL,
    kafka_offset        INTEGER NOT NULL,
    kafka_timestamp     INTEGER,          -- the record's own, milliseconds since 1970
    created_at          TEXT    NOT NULL, -- when the first event of this id was stored
    updated_at          TEXT    NOT NULL, -- when this one was
    amount_text         TEXT,             -- amount as sent, where amount does not say it: a double holds some 16 digits. NULL
                                          -- where the shortest decimal that reads as amount is the number that was sent, and in
                                          -- rows that version 1 stored
    last_modified_sent  TEXT              -- the last_modified that was sent, where it is too far after the record's own time
                                          -- (LAST_MODIFIED_MAX_AHEAD_MS) and does not count; else NULL
);

-- Rows whose producer's clock is ahead: few, and counting them reads no others.
CREATE INDEX opportunities_ahead ON opportunities (last_modified_sent) WHERE last_modified_sent IS NOT NULL;

-- One row per project, likewise.
CREATE TABLE projects (
    event_id            TEXT    NOT NULL PRIMARY KEY CHECK (event_id <> ''),
    name                TEXT    NOT NULL CHECK (name <> ''),
    status              TEXT    NOT NULL CHECK (status <> ''),
    start_date          TEXT,
    end_date            TEXT,
    budget              REAL,
    account_id          TEXT,
    owner_id            TEXT,
    meta_data           TEXT,
    last_modified       TEXT,
    extra               TEXT,
    kafka_topic         TEXT    NOT NULL,
    kafka_partition     INTEGER NOT NULL,
    kafka_offset        INTEGER NOT NULL,
    kafka_timestamp     INTEGER,
    created_at          TEXT    NOT NULL,
    updated_at          TEXT    NOT NULL,
    budget_text         TEXT,
    last_modified_sent  TEXT
);

CREATE INDEX projects_ahead ON projects (last_modified_sent) WHERE last_modified_sent IS NOT NULL;

-- Records that are not an event, byte for byte. AUTOINCREMENT: an id is never used twice, also after rows were deleted, because
-- the cursor of the log file (below) relies on it. A record that is read again is kept once. Several rows have the same offset where
-- different records were read at it: the log was truncated and other records were written.
CREATE TABLE unidentified_messages (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    kafka_topic         TEXT    NOT NULL,
    topic_id            TEXT    NOT NULL, -- '' where the broker has none
    kafka_partition     INTEGER NOT NULL,
    kafka_offset        INTEGER NOT NULL,
    kafka_timestamp     INTEGER,
    reading             INTEGER NOT NULL DEFAULT 0, -- the greatest reading (of consumer_offsets) that found this record at its offset
    key                 BLOB,             -- NULL is not the same as empty
    value               BLOB,             -- NULL is a tombstone
    headers             TEXT    NOT NULL, -- JSON list of [name, base64 or null], in the order sent;
                                          -- a name that is not UTF-8 is {"base64": "..."} instead of a string
    reason              TEXT    NOT NULL, -- empty, not_json, unknown_type, invalid_field, rejected
    error               TEXT    NOT NULL, -- what exactly is wrong, for people
    received_at         TEXT    NOT NULL,
    replayed_at         TEXT              -- when a later version of the program decoded it
);
CREATE INDEX unidentified_messages_by_offset
    ON unidentified_messages (kafka_topic, topic_id, kafka_partition, kafka_offset);
-- For retention: finds the oldest ones without reading any message.
CREATE INDEX unidentified_messages_by_time ON unidentified_messages (received_at);

-- How far unidentified_messages has been written out to its log file. One row.
CREATE TABLE unidentified_log_cursor (
    last_id             INTEGER NOT NULL  -- of the last message in the file
);

-- The next offset of each partition. Written in the transaction that writes the rows of the offsets before.
CREATE TABLE consumer_offsets (
    group_id            TEXT    NOT NULL,
    topic               TEXT    NOT NULL,
    partition           INTEGER NOT NULL,
    next_offset         INTEGER NOT NULL, -- the first one that has not taken effect
    first_offset        INTEGER NOT NULL, -- where the counters below began
    high_offset         INTEGER NOT NULL, -- the greatest next_offset ever; never lowered
    topic_id            TEXT    NOT NULL, -- '' where the broker has none
    leader_epoch        INTEGER,          -- of the leader that wrote the record before next_offset, where known
    applied             INTEGER NOT NULL DEFAULT 0, -- events that were stored
    stale               INTEGER NOT NULL DEFAULT 0, -- events older than the stored one of their id
    unidentified        INTEGER NOT NULL DEFAULT 0, -- records kept in unidentified_messages
    absent              INTEGER NOT NULL DEFAULT 0, -- offsets without a record: compacted, control records, aborted
    updated_at          TEXT    NOT NULL,
    reading             INTEGER NOT NULL DEFAULT 0, -- which reading the counters are of: each change of position begins a new
                                                    -- one, with a greater number than all others in this table
    pruned              INTEGER NOT NULL DEFAULT 0 CHECK (pruned BETWEEN 0 AND unidentified), -- how many of unidentified were
                                                    -- deleted since, by `prune` or UNIDENTIFIED_KEEP_DAYS
    PRIMARY KEY (group_id, topic, partition),
    CHECK (next_offset - first_offset = applied + stale + unidentified + absent),
    CHECK (high_offset >= next_offset),
    CHECK (min(first_offset, applied, stale, unidentified, absent) >= 0)
);

-- Every change of position other than by reading.
CREATE TABLE position_changes (
    at                  TEXT    NOT NULL,
    group_id            TEXT    NOT NULL,
    topic               TEXT    NOT NULL,
    partition           INTEGER NOT NULL,
    from_offset         INTEGER,          -- NULL: there was no position
    to_offset           INTEGER NOT NULL,
    topic_id            TEXT    NOT NULL,
    reason              TEXT    NOT NULL,
    detail              TEXT    NOT NULL
);

-- Which database this is. One row; the id goes into the metadata of every offset committed to Kafka. A copied file needs a
-- new one: UPDATE database_identity SET id = lower(hex(randomblob(16)));
CREATE TABLE database_identity (
    id                  TEXT    NOT NULL
);

INSERT INTO unidentified_log_cursor (last_id) VALUES (0);
INSERT INTO database_identity (id) VALUES (lower(hex(randomblob(16))));
