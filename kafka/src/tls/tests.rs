//! TLS set up from files that are not what they should be.
