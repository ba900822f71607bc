//! All fuzz targets: every decoder of bytes from a peer or a file. Only for tests and libFuzzer.

use fuzzkit::Target;

use crate::{connection, consumer, protocol, record_batch, sasl, tls};

const TARGETS: &[&[Target]] = &[
    protocol::fuzzing::TARGETS,
    record_batch::fuzzing::TARGETS,
    connection::fuzzing::TARGETS,
    consumer::fuzzing::TARGETS,
    sasl::scram::fuzzing::TARGETS,
    sasl::oauth_bearer::fuzzing::TARGETS,
    #[cfg(feature = "token-http")]
    sasl::providers::client_credentials::fuzzing::TARGETS,
    tls::fuzzing::TARGETS,
];

/// All targets.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(targets: &[Target]) {
        targets.iter().for_each(Target::check);
    }

    #[test]
    fn responses() {
        check(protocol::fuzzing::TARGETS);
    }

    #[test]
    fn record_batches() {
        check(record_batch::fuzzing::TARGETS);
    }

    #[test]
    fn connections() {
        check(connection::fuzzing::TARGETS);
    }

    #[test]
    fn consumer_protocol() {
        check(consumer::fuzzing::TARGETS);
    }

    #[test]
    fn security() {
        check(sasl::scram::fuzzing::TARGETS);
        check(sasl::oauth_bearer::fuzzing::TARGETS);
        #[cfg(feature = "token-http")]
        check(sasl::providers::client_credentials::fuzzing::TARGETS);
        check(tls::fuzzing::TARGETS);
    }
}
