//! Consumer groups from outside: several instances, each with its database, and members that are not ours share a topic, while they
//! come and go in order or not. `TEST_SIZE=full` runs the full sizes.

mod ancient;
mod chaos;
mod cluster;
mod coverage;
mod group_fixture;
mod instance_id;
mod membership;
mod mixed;
mod moves;
mod partitions;
mod status;
mod two_commits;
