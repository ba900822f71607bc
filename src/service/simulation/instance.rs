//! One instance of the service: starts, is killed, is stopped, and starts again on what its disk holds. Must not know
//! what is right: the models and `truth.rs` check that.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::cluster::Cluster;
use super::consumer::ConsumerModel;
use super::disk::{self, Disk};
use super::runner::{SteppedReader, stepped_reader};
use super::writer::ObservedWriter;
use crate::entity::Reason;
use crate::observability::{Description, Metrics};
use crate::runtime::backoff::RetryError;
use crate::runtime::notify::Notifier;
use crate::runtime::progress_line::ProgressLine;
use crate::runtime::shutdown::Stop;
use crate::service::committer::CommitTimings;
use crate::service::display::ServiceDisplay;
use crate::service::reader::PollConsumer;
use crate::service::start_rules::StartError;
use crate::service::{Service, ServiceError};
use crate::settings::Settings;
use crate::storage::{self, ErrorKind, MessageFilter, PruneCursor, PruneRequest, UnloggedMessages};

pub(super) const NEVER: Duration = Duration::from_hours(1);

/// One instance: its settings and disk, and the service if it runs.
pub(super) struct Instance<'a> {
    me: usize,
    pub(super) settings: &'a Settings,
    timings: CommitTimings,
    stop: &'a Stop,
    pub(super) disk: Rc<RefCell<Disk>>,
    cluster: Rc<RefCell<Cluster>>,
    running: Option<Service<'a, SteppedReader>>,
}

impl<'a> Instance<'a> {
    pub(super) fn new(
        me: usize,
        settings: &'a Settings,
        timings: CommitTimings,
        stop: &'a Stop,
        disk: Disk,
        cluster: &Rc<RefCell<Cluster>>,
    ) -> Self {
        let (disk, cluster) = (Rc::new(RefCell::new(disk)), Rc::clone(cluster));
        Self { me, settings, timings, stop, disk, cluster, running: None }
    }

    /// One round of the loop; a new process if none runs.
    pub(super) fn step(&mut self) {
        if self.running.is_none() {
            self.start();
        }
        let Some(service) = &mut self.running else { return };
        let result = service.step();
        if self.disk.borrow().is_dead() {
            service.reader.runner.core.consumer.kill();
            // What the process does while it is dropped has no effect: the disk is restored.
            self.running = None;
        } else if let Err(error) = result {
            self.failed(&error);
        }
    }

    fn start(&mut self) {
        self.disk.borrow_mut().restore(&mut self.cluster.borrow_mut().random);
        let mut database = storage::open(&self.settings.database, &self.settings.kafka.group_id).unwrap();
        self.disk.borrow().check_positions(&mut *database);
        let consumer = ConsumerModel::new(self.me, self.settings, &self.cluster, &self.disk);
        let reader = stepped_reader(consumer, self.settings.batch_records_max.get(), &self.cluster);
        let writer = Box::new(ObservedWriter::new(database, &self.disk, &self.cluster));
        let metrics = Arc::new(Metrics::new(Description::of(self.settings)));
        let display = ServiceDisplay::new(Notifier::default(), ProgressLine::new(false));
        self.running = Some(Service::new(self.settings, self.timings, (self.stop, metrics), reader, writer, display));
    }

    /// A fatal error must have a cause in the model. The operator then does what its text says.
    fn failed(&mut self, error: &ServiceError) {
        let has_repeated_records =
            self.running.as_ref().is_some_and(|service| service.reader.runner.core.consumer.has_repeated_records);
        match error {
            ServiceError::Start(StartError::DataLoss { partition, .. }) if self.settings.fail_on_data_loss => {
                self.stop();
                let mut cluster = self.cluster.borrow_mut();
                // The offsets of a group with members cannot be set: the operator stops the other instances, which
                // changes nothing here.
                let start = cluster.log(partition.partition).start;
                cluster.reset(partition.partition, start);
            }
            ServiceError::Database(RetryError::Fatal(error))
                if has_repeated_records && error.kind() == ErrorKind::Conflict =>
            {
                self.stop();
            }
            error => panic!("failed without a cause: {error}: {error:?}"),
        }
    }

    /// The service is stopped and finishes.
    pub(super) fn stop(&mut self) {
        if let Some(mut service) = self.running.take() {
            let finished = service.finish();
            if self.disk.borrow().is_dead() {
                service.reader.runner.core.consumer.kill();
            } else {
                // A stop meets no error that an operator has to fix, unless the model has caused one.
                assert!(finished.is_ok(), "{finished:?}");
            }
        }
    }

    /// The service will be killed soon.
    pub(super) fn kill_soon(&mut self) {
        let calls = self.cluster.borrow_mut().random.within(1..20);
        self.disk.borrow_mut().fuse = self.running.is_some().then_some(calls);
    }

    /// The checkpoint thread writes a part of the WAL into the database, on its own connection.
    pub(super) fn checkpoint(&self) {
        if self.running.is_some() {
            let connection = Connection::open(&self.settings.database.path).unwrap();
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        }
    }

    /// Another process prunes the messages of one reason, or all of them.
    pub(super) fn prune(&self) {
        if self.running.is_none() || self.disk.borrow().is_dead() {
            return;
        }
        let reasons = [None, Some(Reason::NotJson), Some(Reason::Empty), Some(Reason::Rejected)];
        let reason = *self.cluster.borrow_mut().random.pick(&reasons).unwrap();
        let connection = Connection::open(&self.settings.database.path).unwrap();
        let logged: i64 =
            connection.query_row("SELECT last_id FROM unidentified_log_cursor", [], |row| row.get(0)).unwrap();
        let id_max = if self.unidentified_log().is_some() { logged } else { i64::MAX };
        let (pruned, left): (BTreeMap<_, _>, BTreeMap<_, _>) = disk::messages(&connection)
            .into_iter()
            .partition(|(message, id)| *id <= id_max && reason.is_none_or(|reason| reason.as_str() == message.4));
        let unlogged = UnloggedMessages::of(self.unidentified_log().map(PathBuf::as_path));
        let request = PruneRequest { filter: MessageFilter { reason, ..MessageFilter::default() }, unlogged };
        let mut process = storage::open_pruner(&self.settings.database, "the group of another process").unwrap();
        let step = process.prune(&request, &PruneCursor::default()).unwrap();
        assert_eq!((step.next, step.pruned.total().messages), (None, u64::try_from(pruned.len()).unwrap()));
        assert_eq!(disk::messages(&connection), left, "what a prune leaves");
        let mut disk = self.disk.borrow_mut();
        disk.seen.pruned.extend(pruned.into_keys());
        disk.note_transaction();
    }

    /// The member's session times out.
    pub(super) fn time_out(&mut self) {
        self.cluster.borrow_mut().remove(self.me);
    }

    /// Whether everything that is assigned to it is stored.
    pub(super) fn is_at_end(&self) -> bool {
        let (disk, cluster) = (self.disk.borrow(), self.cluster.borrow());
        let is_stored =
            |number: &i32| disk.seen.positions.get(number).is_some_and(|(_, next)| *next == cluster.log(*number).end());
        let mut owned = cluster.owners.iter().filter(|(_, owner)| **owner == self.me);
        // The service learns of a rebalance later than it happens.
        let is_settled = |service: &Service<'_, SteppedReader>| service.reader.runner.core.consumer.is_settled();
        let is_at_end = |service| is_settled(service) && service.is_at_end();
        self.running.as_ref().is_some_and(is_at_end) && owned.all(|(number, _)| is_stored(number))
    }

    /// Whether that is committed too, unless this instance commits only when it stops.
    pub(super) fn has_committed(&self) -> bool {
        let cluster = self.cluster.borrow();
        let is_committed = |number: &i32| {
            cluster.committed.get(number).is_some_and(|committed| committed.offset == cluster.log(*number).end())
        };
        let mut owned = cluster.owners.iter().filter(|(_, owner)| **owner == self.me);
        self.timings.commit_interval == NEVER || owned.all(|(number, _)| is_committed(number))
    }

    pub(super) fn unidentified_log(&self) -> Option<&PathBuf> {
        self.settings.unidentified_log_file.as_ref()
    }
}
