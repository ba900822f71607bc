//! Reads enterprise events from Apache Kafka and keeps them in SQL, each exactly once per database.

pub mod cli;
pub mod commands;
pub mod entity;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod http;
pub mod observability;
pub mod runtime;
pub mod service;
pub mod settings;
pub mod storage;
pub mod unidentified;
