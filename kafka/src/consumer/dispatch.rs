//! The messages of the consumer's threads, and the requests to the control thread: hands each to the part that it concerns. Must not
//! change a part's state except by its methods.

use std::time::Instant;

use super::Consumer;
use super::event::{Event, Revocation};
use super::group::{GroupAssignment, GroupEvent, GroupThread};
use super::membership::Revoked;
use super::message::{CommitOutcome, CompletedCommit, Message};
use super::partition::Partition;
use super::pause::after;
use crate::error::{Error, ErrorCode, Result};
use crate::protocol::{LeaveGroupRequest, Metadata, TopicMetadata};
use crate::types::{Member, TopicPartition};

/// Messages.
impl Consumer {
    pub(super) fn handle(&mut self, message: Message) -> Result<()> {
        let now = Instant::now();
        if message.ends_control_job() {
            self.control.finished();
        }
        match message {
            Message::Wake => self.events.emit(Event::Idle),
            Message::Nudge => {}
            Message::Metadata(Ok(metadata)) => self.take_metadata(metadata, now)?,
            Message::Metadata(Err(error)) => self.events.emit_retrying(self.topology.failed(error, now))?,
            Message::Offsets(Ok(offsets)) => {
                let failure = self.partitions.assign(offsets, &self.topology.cluster_id(), &mut self.events);
                self.offsets_received(failure, now)?;
            }
            Message::LogOffsets(Ok(offsets)) => {
                let failure = self.partitions.confirm_out_of_range(offsets, now, &mut self.events);
                self.offsets_received(failure, now)?;
            }
            Message::EpochEnds { requested, result: Ok(ends) } => {
                let failure = self.partitions.validate(&requested, ends, (&mut self.topology, now), &mut self.events);
                if self.is_settled() {
                    self.events.emit(Event::Idle); // A user that waits until the consumer is settled checks again.
                }
                self.offsets_received(failure, now)?;
            }
            Message::Offsets(Err(error))
            | Message::LogOffsets(Err(error))
            | Message::EpochEnds { result: Err(error), .. } => self.offsets_received(Some(error), now)?,
            Message::Committed(completed) => self.take_commit(completed, now)?,
            Message::Group(event) => self.take_group_event(event, now),
            Message::Left(result) => self.take_left(&result),
            Message::Fetched(completed) => {
                let parts = (&mut self.topology, &mut self.events);
                self.fetcher.take_response(completed, &self.config, &mut self.partitions, parts, now)?;
            }
        }
        Ok(())
    }

    fn take_metadata(&mut self, metadata: Metadata, now: Instant) -> Result<()> {
        // Not earlier, so that a cluster that cannot be reached is reported once.
        if self.membership.is_due() {
            let messages = self.messages.clone();
            // A dropped consumer needs no events.
            let emit = move |event| drop(messages.send(Message::Group(event)));
            if let Some(thread) = GroupThread::start(&self.config, emit)? {
                self.membership.started(thread);
            }
        }
        self.topology.succeeded(&metadata);
        self.fetcher.update_brokers(metadata.brokers, &self.config);
        self.partitions.leave_missing_replicas(now, |replica| self.fetcher.has_broker(replica));
        for topic in metadata.topics {
            self.take_topic(&topic, now)?;
        }
        Ok(())
    }

    /// A topic that is missing is waited for. If it was there before, its partitions stay: only another id proves that it was
    /// deleted.
    fn take_topic(&mut self, topic: &TopicMetadata, now: Instant) -> Result<()> {
        if let Some(code) = topic.error {
            self.partitions.clear_leaders(&topic.name);
            return self.topic_failed(topic, Error::Topic { topic: topic.name.to_string(), code }, now);
        }
        self.lose(self.partitions.recreated(&topic.name, topic.id));
        self.topology.note_seen(&topic.name);
        self.partitions.update(topic, |at| self.membership.is_assigned(at), |broker| self.fetcher.has_broker(broker));
        if let Some(leaderless) = self.partitions.leaderless(&topic.name) {
            return self.topic_failed(topic, leaderless, now);
        }
        self.topology.topic_succeeded(&topic.name);
        Ok(())
    }

    fn topic_failed(&mut self, topic: &TopicMetadata, error: Error, now: Instant) -> Result<()> {
        let failed = self.topology.topic_failed(&topic.name, error, now);
        failed.map_or(Ok(()), |failed| self.events.emit_retrying(failed))
    }

    /// The response to a request for offsets or ends of epochs has come. Failed partitions are requested again, after one pause and with one
    /// event for all.
    fn offsets_received(&mut self, failure: Option<Error>, now: Instant) -> Result<()> {
        let Some(error) = failure else {
            self.partitions.pause.succeeded();
            return Ok(());
        };
        self.topology.request_soon(now);
        self.events.emit_retrying(self.partitions.pause.failed(error, now))
    }

    fn take_commit(&mut self, completed: CompletedCommit, now: Instant) -> Result<()> {
        let CompletedCommit { batch, member, result } = completed;
        let statistics = &self.config.connection.statistics;
        let outcomes = match result {
            Ok(outcomes) => outcomes,
            Err(error) => {
                statistics.note_commit(false);
                self.commits.request_failed(batch, &self.partitions);
                return self.commits.failed(error, now, &mut self.events);
            }
        };
        for (at, outcome) in &outcomes {
            if let (CommitOutcome::Committed, Some(commit), true) =
                (outcome, batch.get(at), self.partitions.contains(at))
            {
                statistics.update(at, |known| known.committed_offset = Some(commit.offset.offset));
            }
        }
        let effects = self.commits.take_outcomes(batch, outcomes, &mut self.partitions);
        statistics.note_commit(effects.refused.is_none());
        if effects.is_any_accepted {
            self.membership.commit_accepted(member.as_ref());
        }
        if !effects.started.is_empty() {
            self.events.emit(Event::Started(effects.started));
        }
        if !effects.lost.is_empty() {
            self.events.emit(Event::Lost(effects.lost));
        }
        let Some(error) = effects.refused else {
            self.commits.pause.succeeded();
            return Ok(());
        };
        self.take_refused_commit(error, member.as_ref(), now)
    }

    pub(super) fn take_refused_commit(&mut self, error: Error, made_by: Option<&Member>, now: Instant) -> Result<()> {
        let Some(refusal) = self.membership.refusal(&error) else {
            // The topic may have been deleted.
            self.topology.request_soon(now);
            return self.commits.failed(error, now, &mut self.events);
        };
        let (retrying, is_unexpected) = self.membership.commit_refused(refusal, error, made_by, now)?;
        self.commits.pause.hold(after(now, retrying.wait));
        if is_unexpected {
            self.events.emit(Event::Retrying(retrying));
        }
        Ok(())
    }

    fn take_group_event(&mut self, event: GroupEvent, now: Instant) {
        match event {
            GroupEvent::Rebalancing(number) => {
                let acknowledgement = self.membership.begin_rebalance(number, now);
                self.events.emit(Event::Rebalancing(acknowledgement));
            }
            GroupEvent::Assigned(assignment) => self.take_assignment(assignment, now),
            GroupEvent::Lost(number) => {
                self.membership.lose(number);
                self.lose(self.partitions.select(|_, _| true));
            }
            GroupEvent::Verified(number) => self.membership.verified(number),
            GroupEvent::Waiting(waiting) => {
                if let Some(waiting) = self.membership.note_waiting(waiting, now) {
                    self.events.emit(Event::Waiting(waiting));
                }
            }
            GroupEvent::Retrying(retrying) => self.events.emit(Event::Retrying(retrying)),
            GroupEvent::Failed(error) => {
                self.membership.ended();
                self.events.fail(error);
            }
            GroupEvent::Left => self.membership.ended(),
        }
    }

    fn take_assignment(&mut self, assignment: GroupAssignment, now: Instant) {
        self.config.connection.statistics.note_rebalance();
        let revoked = self.partitions.select(|at, _| !assignment.partitions.contains(at));
        if assignment.partitions.iter().any(|at| !self.partitions.contains(at)) {
            self.topology.request_soon(now);
        }
        // Commits that were refused under the last assignment are sent under this one.
        self.commits.pause.cut_short();
        match self.membership.assign(assignment, !revoked.is_empty(), now) {
            Revoked::Nothing => {}
            Revoked::Lost => self.lose(revoked),
            Revoked::Until(acknowledgement) => {
                for at in &revoked {
                    if let Some(partition) = self.partitions.get_mut(at) {
                        partition.revoke();
                    }
                }
                self.events.emit(Event::Revoked(Revocation { partitions: revoked, acknowledgement }));
            }
        }
    }

    /// Partitions that this consumer no longer owns: nothing of them is committed any more.
    fn lose(&mut self, partitions: Vec<TopicPartition>) {
        if !partitions.is_empty() {
            self.remove(&partitions);
            self.events.emit(Event::Lost(partitions));
        }
    }

    fn take_left(&mut self, result: &Result<()>) {
        // The coordinator may have removed the member before.
        if matches!(result, Ok(()) | Err(Error::Broker { code: ErrorCode::UNKNOWN_MEMBER_ID, .. })) {
            self.membership.ended();
        }
    }
}

/// Requests to the control thread.
impl Consumer {
    /// Sends the most urgent request, if the control thread is free.
    pub(super) fn send_requests(&mut self, now: Instant) -> Result<()> {
        if self.control.is_busy() {
            return Ok(());
        }
        let may_commit = self.commits.pause.is_over(now);
        let may_request_offsets = self.partitions.pause.is_over(now);
        let may_request_metadata = self.metadata_due_at(now) <= now && self.topology.pause.is_over(now);
        // A partition without leader may belong to a topic that was deleted: its commit would be refused, and hold up others.
        let _is_sent = (may_commit && self.request_commit(|partition| partition.leadership.leader().is_some())?)
            || (may_request_offsets && (self.request_log_offsets(now)? || self.request_epoch_ends(now)?))
            || (may_request_metadata && self.request_metadata(now)?)
            || (may_request_offsets && self.request_offsets(now)?);
        Ok(())
    }

    /// Sends the pending commits of the partitions that `is_picked` picks. True if a request was sent, as with all requests here.
    pub(super) fn request_commit(&mut self, is_picked: impl Fn(&Partition) -> bool) -> Result<bool> {
        let Some(batch) = self.commits.begin_request(&self.partitions, is_picked) else { return Ok(false) };
        let (group, member) = (self.config.group.clone(), self.membership.member());
        self.control.run(&self.messages, move |control| {
            let result = control.commit(&group, member.clone(), &batch);
            Message::Committed(CompletedCommit { batch, member, result })
        })?;
        Ok(true)
    }

    fn request_metadata(&mut self, now: Instant) -> Result<bool> {
        self.topology.begin_request(now);
        let (topics, late) = (self.config.topics.clone(), self.fetcher.late_brokers(now));
        self.control.run(&self.messages, move |control| Message::Metadata(control.metadata(topics, &late)))?;
        Ok(true)
    }

    fn request_offsets(&mut self, now: Instant) -> Result<bool> {
        let partitions = self.partitions.without_offsets(now);
        if partitions.is_empty() {
            return Ok(false);
        }
        let group = self.config.group.clone();
        self.control.run(&self.messages, move |control| Message::Offsets(control.offsets(&group, &partitions)))?;
        Ok(true)
    }

    fn request_log_offsets(&mut self, now: Instant) -> Result<bool> {
        let partitions = self.partitions.out_of_range(now);
        if partitions.is_empty() {
            return Ok(false);
        }
        self.control.run(&self.messages, move |control| Message::LogOffsets(control.log_offsets(&partitions)))?;
        Ok(true)
    }

    pub(super) fn request_epoch_ends(&mut self, now: Instant) -> Result<bool> {
        let requested = self.partitions.epoch_requests(self.topology.serial(), now);
        if requested.is_empty() {
            return Ok(false);
        }
        self.control.run(&self.messages, move |control| {
            let result = control.epoch_ends(&requested);
            Message::EpochEnds { requested, result }
        })?;
        Ok(true)
    }

    /// Removes this member from its group, in place of the group's thread.
    pub(super) fn request_leave(&mut self, instance_id: String) -> Result<()> {
        let group = self.config.group.clone();
        let (member_id, instance_id) = match self.membership.member() {
            Some(member) => (member.id, member.instance_id),
            None => (String::new(), Some(instance_id)),
        };
        let request = LeaveGroupRequest { group, member_id, instance_id };
        self.control.run(&self.messages, move |control| Message::Left(control.leave(&request)))
    }
}
