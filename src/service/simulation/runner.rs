//! Runs the reader's core without its thread: the seed decides when the reader takes a step, between any two calls of
//! the loop.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use kafka::Stage;

use super::cluster::Cluster;
use super::consumer::ConsumerModel;
use crate::entity::Decoder;
use crate::service::reader::{Command, Message, Reader, ReaderCore, ReaderRunner};

/// The reader of an instance.
pub(super) struct SteppedReader {
    pub(super) core: ReaderCore<ConsumerModel>,
    commands: Receiver<Command>,
    messages: Sender<Message>,
    cluster: Rc<RefCell<Cluster>>,
}

/// A reader that is at its beginning.
pub(super) fn stepped_reader(
    consumer: ConsumerModel,
    records_max: usize,
    cluster: &Rc<RefCell<Cluster>>,
) -> Reader<SteppedReader> {
    let (commands_to, commands) = channel();
    let (messages_to, messages) = channel();
    let core = ReaderCore::new(consumer, records_max, Decoder::default(), Stage::default());
    let runner = SteppedReader { core, commands, messages: messages_to.clone(), cluster: Rc::clone(cluster) };
    Reader::new(commands_to, (messages, messages_to), runner)
}

impl SteppedReader {
    fn step(&mut self) {
        // A poll may have begun before the command was sent.
        let is_polling = self.cluster.borrow_mut().random.one_in(4);
        let command = if is_polling { None } else { self.commands.try_recv().ok() };
        if let Some(message) = self.core.step(command) {
            self.messages.send(message).unwrap();
        }
    }
}

impl ReaderRunner for SteppedReader {
    fn notify_command(&self) {}

    fn notify_memory_freed(&self) {}

    /// The reader takes any number of steps; then the loop finds a message, or its time is over.
    fn receive<T>(&mut self, from: &Receiver<T>, _: Duration) -> Option<T> {
        let steps = self.cluster.borrow_mut().random.within(0..5);
        for _ in 0..steps {
            self.step();
        }
        from.try_recv().ok()
    }

    fn receive_reply<T>(&mut self, from: &Receiver<T>) -> Option<T> {
        loop {
            if let Ok(reply) = from.try_recv() {
                return Some(reply);
            }
            self.step();
        }
    }
}
