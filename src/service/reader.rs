//! The thread that reads ahead: it polls Kafka, and decodes what comes while the loop stores what came before. Must not decide
//! anything, nor know what is done with what it tells.

use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use kafka::{Acknowledgement, Consumer, Error, Event, OffsetPosition, Result};

use super::decode::decode;
use super::source::{News, Source, Waker};
use crate::entity::Decoder;

/// How many pieces of news the loop may not have handled while the next one is made: the records that it stores, and those that it
/// stores next. Each is bounded in bytes, and so is what is in memory.
const AHEAD_MAX: usize = 2;

/// The longest wait of one poll. The loop looks at the clock by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// The thread. It ends when this is dropped.
pub(super) struct Reader {
    /// `None` only while it ends.
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    waker: kafka::Waker,
    told: Receiver<Told>,
    told_to: Sender<Told>,
    /// Whether the loop is at something that the thread waits for, or will.
    owes: bool,
    is_settled: bool,
}

/// What the thread is told.
enum Order {
    /// The loop has handled the oldest piece of news that it had not.
    Handled,
    Act(Act),
    /// The last act: nothing is polled after it.
    Leave(Act),
}

type Act = Box<dyn FnOnce(&mut Consumer) + Send>;

/// What the thread tells.
enum Told {
    News {
        news: Result<News>,
        is_settled: bool,
    },
    /// Nothing: the loop shall look around.
    Wake,
}

impl Reader {
    /// Lets a consumer poll on a thread of its own, for at most so many records at once.
    pub(super) fn start(consumer: Consumer, records_max: usize, decoder: Decoder) -> Result<Self> {
        let (orders, orders_to_follow) = channel();
        let (told_to, told) = channel();
        let waker = consumer.waker();
        let tell = told_to.clone();
        let thread = thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || read(consumer, (records_max, decoder), &orders_to_follow, &tell))
            .map_err(Error::Thread)?;
        Ok(Self { orders: Some(orders), thread: Some(thread), waker, told, told_to, owes: false, is_settled: false })
    }

    fn order(&self, order: Order) {
        // Nobody takes it only if the thread has panicked, which ends the process.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }

    /// Has something done with the consumer, soon.
    fn act(&self, act: impl FnOnce(&mut Consumer) + Send + 'static) {
        self.order(Order::Act(Box::new(act)));
        self.waker.wake();
    }

    /// Has something done with the consumer, and waits for what comes of it.
    fn ask<T: Send + 'static>(
        &self,
        order: impl FnOnce(Act) -> Order,
        act: impl FnOnce(&mut Consumer) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, result) = channel();
        self.order(order(Box::new(move |consumer| {
            // It is waited for.
            let _ = answer.send(act(consumer));
        })));
        self.waker.wake();
        result.recv().ok()
    }
}

impl Source for Reader {
    fn poll(&mut self, timeout: Duration) -> Result<News> {
        if std::mem::take(&mut self.owes) {
            self.order(Order::Handled);
            // What it has held of a response is free for the next fetch.
            self.waker.nudge();
        }
        match self.told.recv_timeout(timeout) {
            Ok(Told::News { news, is_settled }) => {
                self.owes = true;
                self.is_settled = is_settled;
                news
            }
            // We hold a sender ourselves, so there is always one.
            Ok(Told::Wake) | Err(_) => Ok(Event::Idle),
        }
    }

    fn waker(&self) -> Waker {
        let told_to = self.told_to.clone();
        Box::new(move || {
            // A loop that is gone does not sleep either.
            let _ = told_to.send(Told::Wake);
        })
    }

    fn start(&mut self, starts: Vec<OffsetPosition>, metadata: &str) {
        let metadata = metadata.to_owned();
        self.act(move |consumer| consumer.start(starts, &metadata));
    }

    fn acknowledge(&mut self, acknowledgement: Acknowledgement) {
        self.act(move |consumer| consumer.acknowledge(acknowledgement));
    }

    fn commit(&mut self, positions: Vec<OffsetPosition>, metadata: &str) {
        let metadata = metadata.to_owned();
        self.act(move |consumer| consumer.commit(positions, &metadata));
    }

    fn flush(&mut self, timeout: Duration) -> Result<bool> {
        self.ask(Order::Act, move |consumer| consumer.flush(timeout)).unwrap_or(Ok(false))
    }

    fn leave(&mut self, timeout: Duration) -> Result<bool> {
        self.ask(Order::Leave, move |consumer| consumer.leave(timeout)).unwrap_or(Ok(false))
    }

    fn is_settled(&self) -> bool {
        self.is_settled
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.orders = None;
        self.waker.wake();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the thread does.
fn read(
    mut consumer: Consumer,
    (records_max, decoder): (usize, Decoder),
    orders: &Receiver<Order>,
    tell: &Sender<Told>,
) {
    let mut unhandled = 0;
    let mut unhandled_max = AHEAD_MAX;
    let mut was_settled = false;
    loop {
        let order = if unhandled < unhandled_max {
            orders.try_recv()
        } else {
            orders.recv().map_err(|RecvError| TryRecvError::Disconnected)
        };
        match order {
            Ok(Order::Handled) => unhandled -= 1,
            Ok(Order::Act(act)) => act(&mut consumer),
            Ok(Order::Leave(act)) => {
                act(&mut consumer);
                unhandled_max = 0;
            }
            Err(TryRecvError::Empty) => {
                let news = consumer
                    .poll(PATIENCE, records_max)
                    .map(|event| event.map_records(|records| decode(records, decoder)));
                let is_settled = consumer.is_settled();
                // An order has ended the wait, or nothing has happened for long.
                if matches!(news, Ok(Event::Idle)) && is_settled == was_settled {
                    continue;
                }
                was_settled = is_settled;
                unhandled += 1;
                unhandled_max = unhandled_allowed(&news);
                // The loop keeps what receives it until this thread has ended.
                let _ = tell.send(Told::News { news, is_settled });
            }
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

/// How much may be unhandled when the consumer is polled after such news: it takes a poll for a sign that they have been handled.
fn unhandled_allowed(news: &Result<News>) -> usize {
    match news {
        Ok(Event::Records(_) | Event::Idle) => AHEAD_MAX,
        Ok(_) => 1,
        Err(_) => 0,
    }
}
