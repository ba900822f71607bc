//! The texts of `--help` and `--version`.

/// Printed by `--help`.
pub const HELP: &str = "\
Reads enterprise events from Apache Kafka and stores them in SQLite, each exactly once.

Usage: enterprise-consumer [--env-file PATH] [COMMAND]

Commands:
  run [--exit-at-end]   read and store until stopped (the default); with --exit-at-end until each
                        partition has been stored up to the end that it had at the start
  check [--verbose]     check settings, database, log files, brokers, topics and group; print what
                        run would fail on or warn about; with --verbose also what is fine
  health [--ready]      request the health of the running service at HTTP_LISTEN: whether each of
                        its threads makes progress; with --ready whether it can store what comes
  status [--json] [--max-lag-seconds N]
                        print the number of rows and of unidentified messages, the position and the
                        lag of each partition, and what the next start would do; fails if a value is
                        not available, or if a lag is greater than N seconds or not known
  decode [--whole] [--json] [FILE]...
                        print what would become of messages, one a line; needs no broker and no
                        database
  unidentified [list | show TOPIC PARTITION OFFSET | export]
                        list unidentified messages, show one with its fault and its bytes, export
                        them as JSON lines or as lines to produce again
  prune                 delete unidentified messages: --replayed, --before 90d, --reason R, --all
  tail [--json]         print events and unidentified messages as they are stored, from now on until
                        Ctrl-C; of tables with more than 100,000 rows only events that add a row
  replay [--dry-run]    decode the unidentified messages again, for example after an upgrade; with
                        --dry-run only print the result
  reset TO [--topic T[:P[,P]]]... [--dry-run]
                        set the group's offsets, from which the next start reads; the group must
                        have no members; TO is one of --to-earliest, --to-latest, --to-offset N and
                        --to-datetime T (such as 2026-01-15T09:30:00Z); without --topic all
                        partitions; with --dry-run only print the offsets
  verify                check the invariants of the database; print each violation
  views DATABASE...     print SQL that attaches the database files of several instances and creates
                        views over all of them: all_opportunities, all_projects

Options:
  --env-file PATH       read settings from this file instead of ./.env; the environment wins
  -h, --help            print this help; after decode, unidentified and prune that of the command
  -V, --version         print the version

Settings come from the environment; docs/configuration.md and .env.example list them all.
health gives up after 2 s, check, status and reset after 60 s, replay and prune after 30 s of
failures in a row.

Exit codes:
  0    success
  1    failure; of check, health, status and verify also: a problem was found; of decode: a
       message is not an event; of unidentified export: a message was left out
  2    wrong usage or settings
  130  ended by a second signal
";

/// Printed by `decode --help`.
pub const DECODE_HELP: &str = "\
Prints what would become of messages: the table and the id of an event, or why a message is not an
event and where the fault is. Uses neither brokers nor a database nor settings.

Usage: enterprise-consumer decode [--whole] [--json] [FILE]...

Each line of each FILE is one message; without a FILE, or with -, each line of standard input. The
end of a line (\\n or \\r\\n) is not a part of the message, and the last line may lack it. An empty
line is a message of zero bytes, which is not an event. A message has at most 104857600 bytes.

Options:
  --whole     each FILE is one message, with all of its bytes
  --json      JSON lines, which is the default unless standard output is a terminal
  -h, --help  print this help

JSON line of an event:      line, verdict 'event', table, event_id, last_modified (the time that
                            orders the events of an id), extra (fields that have no column)
JSON line of another one:   line, verdict 'unidentified', reason, error, field, position (byte of
                            the message from 0; line and column of the JSON text, in bytes from 1)
With FILE both also have its name as file.

The record's key, headers and timestamp are not known here: a last_modified that would be too far
ahead of the record's timestamp counts as sent. What your own constraints and triggers reject is not
known either.

Exit codes:
  0    every message is an event
  1    a message is not an event
  2    wrong usage, the input cannot be read, or there is no message in it
";

/// Printed by `unidentified --help`.
pub const UNIDENTIFIED_HELP: &str = "\
Shows why records are not events. Reads the database only, also while the service runs.

Usage: enterprise-consumer unidentified [list] [FILTER]... [--limit N] [--json]
       enterprise-consumer unidentified show TOPIC PARTITION OFFSET [--json | --raw]
       enterprise-consumer unidentified export [FILTER]... [--limit N] [--produce [--without-keys]
                                               [--without-headers]]

list    prints the newest messages first, without their bytes: 50, or --limit N (0: all)
show    prints every message at an offset with key, headers, fault and payload; --raw writes the
        bytes of the payload alone, of the newest one
export  prints all messages, or the first N, in the order of storing, as JSON lines; bytes that are
        not UTF-8 are base64 as key_base64 and payload_base64

FILTER, each narrows the others:
  --topic TOPIC  --partition N
  --reason R     empty, not_json, unknown_type, invalid_field or rejected
  --since TIME   stored at TIME or later: 2026-01-15T09:30:00Z, 2026-01-15 (UTC), or how long ago,
                 such as 90m, 12h or 30d
  --before TIME  stored before TIME
  --replayed     replay has stored an event of it;  --unreplayed: it has not

--produce prints KEY<TAB>VALUE, which these send to a topic again:
  kcat -P -b HOST:PORT -t TOPIC -K '\\t'
  kafka-console-producer.sh --bootstrap-server HOST:PORT --topic TOPIC --property parse.key=true
A message that such a line cannot hold is left out and named on standard error, with exit code 1:
without key or value, with a tab in its key, a line end, bytes that are not UTF-8, or headers.
  --without-keys     print values alone; then leave out -K and parse.key
  --without-headers  print messages without their headers

Options:
  --json, --env-file PATH, -h, --help
";

/// Printed by `prune --help`.
pub const PRUNE_HELP: &str = "\
Deletes unidentified messages, in transactions of at most 1,000, also while the service runs.
Positions count what was pruned, so that verify knows that nothing else is missing.

Usage: enterprise-consumer prune [FILTER]... [--all] [--dry-run]

FILTER, each narrows the others; at least one, or --all:
  --replayed     only messages that replay has stored as events;  --unreplayed: only others
  --before TIME  stored before TIME: 2026-01-15T09:30:00Z, 2026-01-15 (UTC), or how long ago: 90d
  --since TIME   stored at TIME or later
  --reason R     empty, not_json, unknown_type, invalid_field or rejected
  --topic TOPIC  --partition N

  --all          every message
  --dry-run      print the same, and delete nothing; needs no permission to write
  --env-file PATH, -h, --help

With UNIDENTIFIED_LOG_FILE, a message that the service has not written to that file yet stays. A
prune that was stopped or killed has deleted what it could; another one continues. A record that is
read again after a reset is kept again. The file of the database does not shrink: SQLite uses the
pages again.
UNIDENTIFIED_KEEP_DAYS makes the service prune by age.
";

/// Printed by `--version`.
pub const VERSION: &str = concat!("enterprise-consumer ", env!("CARGO_PKG_VERSION"), "\n");
