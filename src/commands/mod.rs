//! One file for each command. A command gets settings, prints what it finds and returns whether all is well.

pub mod check;
mod inspection;
pub mod replay;
pub mod reset;
pub mod status;
pub mod verify;
pub mod views;
