//! The program: parses its arguments, runs one command, prints one error chain.

fn main() {}
