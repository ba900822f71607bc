//! Consumer groups: several instances, each with a database, and foreign members share a topic, and stop, are killed and start again. `TEST_SIZE=full` runs the full sizes.

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
