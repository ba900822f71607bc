//! Reads enterprise events from Apache Kafka and keeps them in SQLite, each exactly once.

pub mod backoff;
pub mod check;
pub mod cli;
pub mod database;
pub mod directory;
pub mod entity;
pub mod error_chain;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod inspection;
pub mod json;
pub mod logger;
pub mod permissions;
pub mod replay;
pub mod repository;
pub mod reset;
pub mod service;
pub mod service_record;
pub mod settings;
pub mod shutdown;
pub mod signals;
pub mod start;
pub mod status;
pub mod unidentified;
pub mod verify;
pub mod views;
