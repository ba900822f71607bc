//! The reader: polls Kafka and decodes records on a thread of its own, ahead of the loop, which stores what was read
//! before. Must not decide anything.
//!
//! | file | holds |
//! |-|-|
//! | `consumer.rs` | what the reader needs of the Kafka consumer, and the consumer of the settings |
//! | `core.rs` | the reader without a thread: a state machine that executes commands and polls |
//! | `thread.rs` | the thread that runs the core |
//! | `handle.rs` | the loop's end of the two queues: events in order, commands |

mod consumer;
mod core;
mod handle;
mod message;
#[cfg(test)]
mod tests;
mod thread;

#[cfg(test)]
pub(super) use consumer::PollConsumer;
pub(super) use consumer::create_consumer;
#[cfg(test)]
pub(super) use core::ReaderCore;
pub(super) use handle::{Reader, ReaderRunner};
pub(super) use message::ReaderEvent;
#[cfg(test)]
pub(super) use message::{Command, Message};
pub(super) use thread::start_reader;
