//! Sources of tokens for OAUTHBEARER.

pub(crate) mod file;
