//! Reads enterprise events from Apache Kafka and keeps them in SQLite, each exactly once.

pub mod entity;
