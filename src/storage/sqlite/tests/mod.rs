//! The database against real files, looked at from outside with plain SQL.

mod checkpoints;
mod contract;
mod damage;
mod errors;
mod event_types;
mod failures;
mod files;
mod poison;
mod replay;
mod times;
mod triggers;
mod unfinished;
mod versions;
mod views;
