//! What no fault of processes, power or disks changes: the service is killed at each of its calls, loses what a power cut takes,
//! and is refused what it asks of the disk. A shim in C, preloaded, stands between it and libc, so only a program that is linked
//! dynamically can be tested so, as the one that `cargo test` builds is; the static one runs the same code.
//!
//! `TEST_SIZE=full` takes every call and every moment instead of a sample.

// A test that fails says at which call that was: the test program shows it only then.
#![allow(clippy::print_stderr)]

mod commits;
mod crash_fixture;
mod disk;
mod killed;
mod power;
mod refused;
mod shim;
