//! Variables with whole numbers: sizes, counts and times.

use super::variable::{Variable, debug};

/// Texts that are not whole numbers, and a number that no integer type holds.
const NOT_WHOLE_NUMBERS: [&str; 10] =
    ["-1", "+1", "1.0", "1.5", "1e3", "0x10", "5k", "one", "45s", "99999999999999999999999"];

const WAIT_ALLOWED: &str = "a whole number from 1 to 3600000 milliseconds";

pub(super) const VARIABLES: &[Variable] = &[
    Variable {
        name: "KAFKA_FETCH_MAX_BYTES",
        get: |settings| debug((settings.kafka.fetch_max_bytes, settings.kafka.buffer_max_bytes)),
        accepts: &[
            ("1", "(1, 33554432)"),
            ("8388608", "(8388608, 33554432)"),
            ("16777216", "(16777216, 67108864)"),
            ("104857600", "(104857600, 419430400)"),
        ],
        allowed: "a whole number from 1 to 2147483647 bytes",
        refuses: &["", "0", "2147483648"],
    },
    Variable {
        name: "KAFKA_BUFFER_MAX_BYTES",
        get: |settings| debug(settings.kafka.buffer_max_bytes),
        accepts: &[("4194304", "4194304"), ("2147483647", "2147483647")],
        allowed: "a whole number from 1048576 to 2147483647 bytes",
        refuses: &["", "0", "1048575", "2147483648"],
    },
    Variable {
        name: "KAFKA_RECEIVE_MAX_BYTES",
        get: |settings| debug(settings.kafka.receive_max_bytes),
        accepts: &[("16777216", "16777216"), ("2147483647", "2147483647")],
        allowed: "a whole number from 1 to 2147483647 bytes",
        refuses: &["", "0", "2147483648"],
    },
    Variable {
        name: "WAL_MAX_BYTES",
        get: |settings| debug(settings.database.wal_bytes_max),
        accepts: &[("1048576", "1048576"), ("9223372036854775807", "9223372036854775807")],
        allowed: "a whole number from 1048576 to 9223372036854775807 bytes",
        refuses: &["", "0", "1048575", "9223372036854775808"],
    },
    Variable {
        name: "DATABASE_CACHE_MAX_BYTES",
        get: |settings| debug(settings.database.cache_bytes_max),
        accepts: &[("1048576", "1048576"), ("1099511627776", "1099511627776")],
        allowed: "a whole number from 1048576 to 1099511627776 bytes",
        refuses: &["", "0", "1048575", "1099511627777"],
    },
    Variable {
        name: "BATCH_MAX_RECORDS",
        get: |settings| debug(settings.batch_records_max),
        accepts: &[("1", "1"), ("0010", "10"), ("1000000", "1000000")],
        allowed: "a whole number from 1 to 1000000",
        refuses: &["", "0", "1000001"],
    },
    Variable {
        name: "RETRY_MAX_ATTEMPTS",
        get: |settings| debug(settings.retry.attempts_max),
        accepts: &[("0", "None"), ("1", "Some(1)"), ("4294967295", "Some(4294967295)")],
        allowed: "a whole number from 0 to 4294967295 (0: no limit)",
        refuses: &["", "4294967296"],
    },
    Variable {
        name: "LAST_MODIFIED_MAX_AHEAD_MS",
        get: |settings| debug(settings.last_modified_max_ahead),
        accepts: &[("0", "None"), ("1", "Some(1ms)"), ("3153600000000", "Some(3153600000s)")],
        allowed: "a whole number from 0 to 3153600000000 milliseconds (0: no limit)",
        refuses: &["", "1d", "3153600000001"],
    },
    Variable {
        name: "UNIDENTIFIED_KEEP_DAYS",
        get: |settings| debug(settings.unidentified_keep),
        accepts: &[("0", "None"), ("1", "Some(86400s)"), ("36500", "Some(3153600000s)")],
        allowed: "a whole number from 0 to 36500 days (0: forever)",
        refuses: &["", "1d", "36501"],
    },
    Variable {
        name: "RETRY_INITIAL_MS",
        get: |settings| debug(settings.retry.initial),
        accepts: &[("1", "1ms"), ("30000", "30s")],
        allowed: WAIT_ALLOWED,
        refuses: &["", "0", "3600001"],
    },
    Variable {
        name: "RETRY_MAX_MS",
        get: |settings| debug(settings.retry.max),
        accepts: &[("200", "200ms"), ("3600000", "3600s")],
        allowed: WAIT_ALLOWED,
        refuses: &["", "0", "3600001"],
    },
    Variable {
        name: "SHUTDOWN_TIMEOUT_MS",
        get: |settings| debug(settings.shutdown_timeout),
        accepts: &[("1", "1ms"), ("3600000", "3600s")],
        allowed: WAIT_ALLOWED,
        refuses: &["", "0", "3600001"],
    },
    Variable {
        name: "KAFKA_SESSION_TIMEOUT_MS",
        get: |settings| debug(&settings.kafka.group_protocol),
        accepts: &[
            ("", "Classic { instance_id: None, session_timeout: 45s }"),
            ("6000", "Classic { instance_id: None, session_timeout: 6s }"),
        ],
        allowed: "a whole number from 1 to 2147483647 milliseconds",
        refuses: &["0", "2147483648"],
    },
];

#[test]
fn whole_numbers_within_their_range() {
    for variable in VARIABLES {
        variable.check();
        variable.check_refused(&NOT_WHOLE_NUMBERS);
    }
}
