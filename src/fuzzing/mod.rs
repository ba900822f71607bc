//! Every place where the service reads what others have written, to be called with any bytes. Only in tests and for libFuzzer.

mod claims;
mod events;
mod settings;

use fuzzkit::Target;

use crate::unidentified;

const TARGETS: [Target; 4] = [events::TARGET, settings::TARGET, claims::TARGET, unidentified::fuzzing::TARGET];

/// All of them.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        events::TARGET.check();
    }

    #[test]
    fn settings() {
        settings::TARGET.check();
    }

    #[test]
    fn claims() {
        claims::TARGET.check();
    }

    #[test]
    fn log_of_unidentified_messages() {
        unidentified::fuzzing::TARGET.check();
    }
}
