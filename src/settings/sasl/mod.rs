//! SASL: its variables, and what the client needs of them.

mod choice;
mod read;

pub use choice::{Password, PasswordMechanism, SaslSettings, TokenSource};
pub(super) use read::read;
