//! Reads enterprise events from Apache Kafka and keeps them in SQLite, each exactly once.

pub mod backoff;
pub mod entity;
pub mod error_chain;
pub mod shutdown;
pub mod database;
pub mod entity;
pub mod repository;
pub mod unidentified;
