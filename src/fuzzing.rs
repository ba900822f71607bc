//! The fuzz targets of the service: its parsers of external data. Only in tests and for libFuzzer.

use fuzzkit::Target;

use crate::service::start_rules;
use crate::{commands, entity, http, settings, unidentified};

const TARGETS: [Target; 7] = [
    commands::decode::fuzzing::TARGET,
    entity::fuzzing::TARGET,
    http::fuzzing::TARGET,
    http::page::fuzzing::TARGET,
    settings::fuzzing::TARGET,
    start_rules::fuzzing::TARGET,
    unidentified::fuzzing::TARGET,
];

/// All fuzz targets of the service.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_of_decode() {
        commands::decode::fuzzing::TARGET.check();
    }

    #[test]
    fn events() {
        entity::fuzzing::TARGET.check();
    }

    #[test]
    fn http_requests() {
        http::fuzzing::TARGET.check();
    }

    #[test]
    fn texts_on_the_status_page() {
        http::page::fuzzing::TARGET.check();
    }

    #[test]
    fn settings() {
        settings::fuzzing::TARGET.check();
    }

    #[test]
    fn claims() {
        start_rules::fuzzing::TARGET.check();
    }

    #[test]
    fn log_of_unidentified_messages() {
        unidentified::fuzzing::TARGET.check();
    }
}
