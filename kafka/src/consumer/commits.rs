//! Committing group offsets without holding up the next batch, and noticing when somebody else has set them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::control::CommitOutcome;
use super::partition::{Partition, Phase};
use super::pause::after;
use super::{Answer, Consumer, Event, OffsetPosition, StartToken};
use crate::error::{Error, Result};
use crate::types::{CommittedOffset, Member, TopicPartition};

/// One offset to commit.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) offset: CommittedOffset,
    /// What the group may have instead of an earlier commit of ours (told by its metadata) without anybody having meddled.
    pub(super) committed_seen: Option<CommittedOffset>,
    /// The partition's claim that it was made under.
    pub(super) claim: Option<StartToken>,
}

impl Consumer {
    /// Commits positions, each the next offset to read, with a text that marks them as ours. Does not wait: the newest position of
    /// a partition replaces one that is not under way yet. A position under another token than the partition was last started with has
    /// no effect.
    ///
    /// Before each commit the group's offset is read: one that carries another text was set by somebody else on purpose.
    /// It is not overwritten; the partition is [lost](Event::Lost) and [assigned](Event::Assigned) again.
    pub fn commit(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        for position in positions {
            let may_be_committed =
                |partition: &Partition| partition.claim == Some(position.token) && partition.may_be_committed();
            if self.partitions.get(&position.partition).is_some_and(may_be_committed) {
                self.commit_later(position, metadata);
            }
        }
    }

    /// Waits until everything that was given to [`commit`](Self::commit) has been accepted, at most for `timeout`, and says whether it
    /// has. A failure is returned at once, not tried again. What else happens meanwhile is kept for [`poll`](Self::poll).
    pub fn flush(&mut self, timeout: Duration) -> Result<bool> {
        self.flushing = true;
        let flushed = self.commit_all(after(Instant::now(), timeout));
        self.flushing = false;
        flushed
    }

    fn commit_all(&mut self, deadline: Instant) -> Result<bool> {
        self.commit_pause.cut_short();
        while self.commits_under_way || !self.commits_pending.is_empty() {
            let now = Instant::now();
            if now >= deadline {
                return Ok(false);
            }
            if !self.control_under_way && self.commit_pause.is_over(now) {
                self.control_under_way = self.ask_commit(|_| true)?;
            }
            let until =
                self.commit_pause.until().filter(|until| *until > now).map_or(deadline, |until| until.min(deadline));
            if let Ok(answer) = self.answers.recv_timeout(until - now) {
                self.handle(answer)?;
            }
            if let Some(failure) = self.flush_failure.take() {
                return Err(failure);
            }
        }
        Ok(true)
    }

    pub(super) fn commit_later(&mut self, position: OffsetPosition, metadata: &str) {
        let Some(partition) = self.partitions.get(&position.partition) else { return };
        let (committed_seen, claim) = (partition.committed_seen.clone(), partition.claim);
        let metadata = metadata.to_owned();
        let offset = CommittedOffset { offset: position.offset, leader_epoch: position.leader_epoch, metadata };
        self.commits_pending.insert(position.partition, Commit { offset, committed_seen, claim });
    }

    /// Commits what waits, of the partitions that `which` picks.
    pub(super) fn ask_commit(&mut self, which: impl Fn(&Partition) -> bool) -> Result<bool> {
        let partitions = &self.partitions;
        let is_picked = |at: &TopicPartition, _: &mut Commit| partitions.get(at).is_some_and(&which);
        let commits: BTreeMap<_, _> = self.commits_pending.extract_if(.., is_picked).collect();
        if commits.is_empty() {
            return Ok(false);
        }
        let (group, member) = (self.config.group.clone(), self.member());
        self.commits_under_way = true;
        self.ask(move |control| {
            let result = control.commit(&group, member.clone(), &commits);
            Answer::Committed { commits, member, result }
        })
    }

    /// Puts back what could not be committed, unless a newer position waits already or it was made under an earlier claim.
    pub(super) fn commit_again(&mut self, commits: BTreeMap<TopicPartition, Commit>) {
        for (at, commit) in commits {
            if self.partitions.get(&at).is_some_and(|partition| partition.claim == commit.claim) {
                self.commits_pending.entry(at).or_insert(commit);
            }
        }
    }

    pub(super) fn take_outcomes(
        &mut self,
        mut commits: BTreeMap<TopicPartition, Commit>,
        outcomes: Vec<(TopicPartition, CommitOutcome)>,
        made_by: Option<&Member>,
        now: Instant,
    ) -> Result<()> {
        let (mut started, mut foreign) = (Vec::new(), Vec::new());
        let (mut refused, mut is_accepted) = (None, false);
        for (at, outcome) in outcomes {
            let claim = commits.get(&at).map(|commit| commit.claim);
            let Some(partition) = self.partitions.get_mut(&at).filter(|partition| Some(partition.claim) == claim)
            else {
                continue;
            };
            match outcome {
                CommitOutcome::Committed => {
                    commits.remove(&at);
                    is_accepted = true;
                    partition.committed_seen = None;
                    if partition.phase == Phase::Claiming {
                        partition.read_when_valid();
                        started.push(at);
                    }
                }
                CommitOutcome::Foreign => {
                    commits.remove(&at);
                    self.commits_pending.remove(&at);
                    partition.phase = Phase::New;
                    partition.claim = None;
                    partition.drop_fetched();
                    foreign.push(at);
                }
                CommitOutcome::Refused(error) => refused = Some(error),
            }
        }
        self.commit_again(commits);
        if is_accepted {
            self.accepted_as_member(made_by);
        }
        if !started.is_empty() {
            self.events.push_back(Ok(Event::Started(started)));
        }
        if !foreign.is_empty() {
            self.events.push_back(Ok(Event::Lost(foreign)));
        }
        match refused {
            Some(error) if self.is_refused_for_membership(&error) => self.refused_for_membership(error, made_by, now),
            Some(error) => {
                // Perhaps the topic was deleted.
                self.metadata_due = now;
                self.commit_failed(error, now)
            }
            None => {
                self.commit_pause.succeeded();
                Ok(())
            }
        }
    }

    /// A commit failed, for all of its partitions or for some: they wait. Told to whoever waits for it, else as an event.
    pub(super) fn commit_failed(&mut self, error: Error, now: Instant) -> Result<()> {
        let failed = self.commit_pause.failed(error, now);
        if self.flushing {
            self.flush_failure = Some(failed?.error);
            return Ok(());
        }
        self.tell_retrying(failed)
    }
}
