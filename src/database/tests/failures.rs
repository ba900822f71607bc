//! What the environment does to the database, and how it goes on afterwards.
