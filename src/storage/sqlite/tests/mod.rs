//! The database against real files, looked at from outside with plain SQL.

mod attempts;
mod changed_files;
mod checkpoints;
mod contract;
mod damage;
mod errors;
mod event_types;
mod failures;
mod files;
mod poison;
mod records;
mod replay;
mod times;
mod triggers;
mod versions;
mod views;
