//! The stages of the service, each a thread that must make progress, and whether all of them do. A stage declares each
//! piece of work and each wait with its latest end, so a broker that is away, a full disk or a locked database make no
//! stage late: only a thread that hangs does. Must not know what a stage does.

use std::time::{Duration, Instant};

use kafka::Stage;

/// The longest piece of work of a stage, which is a call of the database: a checkpoint of the 64 MiB that the WAL
/// usually has takes 164 s on a disk that writes 100 pages per second.
pub const WORK_TIME_MAX: Duration = Duration::from_mins(5);

/// The stages of one service. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    /// Polls Kafka and decodes records.
    pub reader: Stage,
    /// The main thread, which stores records and decides everything.
    pub writer: Stage,
    /// The membership in the consumer group.
    pub group: Stage,
    /// Checkpoints and syncs the WAL. A disk may take any time for that, so it counts as live: a writer that waits for
    /// it is late itself.
    pub checkpoint: Stage,
}

impl Stages {
    /// Whether no stage is past its deadline.
    pub fn is_live(&self, now: Instant) -> bool {
        self.late(now).next().is_none()
    }

    /// The names of the stages that are past their deadline.
    pub fn late(&self, now: Instant) -> impl Iterator<Item = &'static str> {
        let watched = [("reader", &self.reader), ("writer", &self.writer), ("group", &self.group)];
        watched.into_iter().filter(move |(_, stage)| stage.is_late(now)).map(|(name, _)| name)
    }

    /// All stages with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Stage)> {
        let Self { reader, writer, group, checkpoint } = self;
        [("reader", reader), ("writer", writer), ("group", group), ("checkpoint", checkpoint)].into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_live_while_each_stage_but_the_checkpoint_is_in_time() {
        let hour = Duration::from_hours(1);
        let late = |declare: fn(&Stages)| {
            let stages = Stages::default();
            declare(&stages);
            let then = Instant::now() + hour;
            assert_eq!(stages.is_live(then), stages.late(then).next().is_none());
            assert!(stages.is_live(Instant::now()));
            stages.late(then).collect::<Vec<_>>()
        };
        assert_eq!(late(|_| {}), [""; 0]);
        assert_eq!(late(|stages| stages.reader.wait(WORK_TIME_MAX)), ["reader"]);
        assert_eq!(late(|stages| stages.writer.work(WORK_TIME_MAX)), ["writer"]);
        assert_eq!(late(|stages| stages.group.work(WORK_TIME_MAX)), ["group"]);
        assert_eq!(late(|stages| stages.checkpoint.work(WORK_TIME_MAX)), [""; 0]);
        assert_eq!(late(|stages| stages.writer.wait(Duration::from_hours(2))), [""; 0], "a declared wait");
    }
}
