//! Any of the targets, for libFuzzer: the one that `FUZZ_TARGET` names. See `run`, which builds and starts it.

#![no_main]

use std::env;
use std::sync::LazyLock;

use fuzzkit::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    let mut targets = kafka::fuzzing::targets().chain(enterprise_consumer::fuzzing::targets());
    targets.find(|target| target.name == name).unwrap_or_else(|| panic!("'{name}' is no target"))
});

fuzz_target!(|bytes: &[u8]| {
    (TARGET.run)(bytes);
});
