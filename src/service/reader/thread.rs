//! The thread that runs the reader. Must not decide anything.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kafka::{Consumer, Error, Result, Stage, Waker};

use super::core::ReaderCore;
use super::handle::{Reader, ReaderRunner};
use super::message::{Command, Message};
use crate::entity::Decoder;

/// The thread. It is joined when this is dropped; the [`Reader`] has dropped its end of the command queue by then,
/// which ends it.
pub(in crate::service) struct ReaderThread {
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// Starts a reader that polls the consumer for at most `records_max` records at once.
pub(in crate::service) fn start_reader(
    consumer: Consumer,
    records_max: usize,
    decoder: Decoder,
    stage: Stage,
) -> Result<Reader<ReaderThread>> {
    let (commands_to, commands) = channel();
    let (messages_to, messages) = channel();
    let waker = consumer.waker();
    let core = ReaderCore::new(consumer, records_max, decoder, stage);
    let thread = thread::Builder::new().name("reader".to_owned());
    let to_loop = messages_to.clone();
    let thread = thread.spawn(move || run(core, &commands, &to_loop)).map_err(Error::Thread)?;
    Ok(Reader::new(commands_to, (messages, messages_to), ReaderThread { waker, thread: Some(thread) }))
}

fn run(mut core: ReaderCore<Consumer>, commands: &Receiver<Command>, messages: &Sender<Message>) {
    loop {
        let command = match commands.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Empty) if core.may_poll() => None,
            Err(TryRecvError::Empty) => match core.rest_for(|| commands.recv()) {
                Ok(command) => Some(command),
                Err(_) => return,
            },
            Err(TryRecvError::Disconnected) => return,
        };
        if let Some(message) = core.step(command) {
            // The loop keeps its end of the queue until this thread has ended.
            let _ = messages.send(message);
        }
    }
}

impl ReaderRunner for ReaderThread {
    fn notify_command(&self) {
        self.waker.wake();
    }

    fn notify_memory_freed(&self) {
        self.waker.nudge();
    }

    fn receive<T>(&mut self, from: &Receiver<T>, timeout: Duration) -> Option<T> {
        from.recv_timeout(timeout).ok()
    }

    fn receive_reply<T>(&mut self, from: &Receiver<T>) -> Option<T> {
        from.recv().ok()
    }
}

impl Drop for ReaderThread {
    fn drop(&mut self) {
        self.waker.wake();
        // A panic on the thread ends the process.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
