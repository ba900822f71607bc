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
  -h, --help            print this help
  -V, --version         print the version

Settings come from the environment; docs/configuration.md and .env.example list them all.
health gives up after 2 s, check, status and reset after 60 s, replay after 30 s of failures in a
row.

Exit codes:
  0    success
  1    failure; of check, health, status and verify also: a problem was found
  2    wrong usage or settings
  130  ended by a second signal
";

/// Printed by `--version`.
pub const VERSION: &str = concat!("enterprise-consumer ", env!("CARGO_PKG_VERSION"), "\n");
