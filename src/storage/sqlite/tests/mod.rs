//! The database against real files, looked at from outside with plain SQL.

mod apply;
mod checkpoints;
mod errors;
mod event_types;
mod failures;
mod files;
mod order;
mod poison;
mod positions;
mod replay;
mod rewritten;
mod triggers;
mod unfinished;
mod verify;
mod versions;
mod views;
