//! The SQLite engine on real files. Plain SQL of a second connection shows what it stored.

mod attempts;
mod changed_files;
mod checkpoints;
mod contract;
mod damage;
mod errors;
mod event_types;
mod failures;
mod files;
mod growth;
mod poison;
mod records;
mod replay;
mod times;
mod triggers;
mod versions;
mod views;
