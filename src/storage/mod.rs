//! Where events are kept.

pub mod sqlite;
