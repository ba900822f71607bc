//! The memory that fetched data may take: one budget for all brokers and partitions of a consumer. Each response and each
//! decompressed batch holds a share of it, which is returned when the last of its bytes is dropped, on any thread. Must
//! not know what the bytes mean.
//!
//! A share that is larger than the budget would never be granted, so there are two exceptions, each for one holder at a time:
//! one response may exceed the part for responses, and a batch may exceed the budget while no other batch is in memory. Each
//! wait ends: a response is dropped once its batches have been read, a batch once its records have been dropped, and
//! neither needs another share for that but the batch's own, which is always granted when no other batch is left.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

/// A thread that waits for memory checks this often whether its response is still wanted.
const WANTED_CHECK_EVERY: Duration = Duration::from_millis(200);
/// What a batch takes besides its bytes: its share and the head of the shared buffer.
const BATCH_OVERHEAD_BYTES: usize = 256;

/// Called when memory that was refused may be free.
type OnFreed = Box<dyn Fn() + Send + Sync>;

/// A handle of the budget; cheap to clone.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Shared>);

struct Shared {
    bytes_max: usize,
    state: Mutex<State>,
    response_freed: Condvar,
    on_freed: OnFreed,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that responses hold, or are expected to.
    response_bytes: usize,
    /// Bytes that decompressed batches hold.
    batch_bytes: usize,
    /// How many batches hold them.
    batches: usize,
    /// Whether a response exceeds the part for responses.
    has_large_response: bool,
    /// Whether a batch was refused since memory was last freed.
    has_refused: bool,
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("bytes_max", &self.0.bytes_max).field("state", &*self.0.lock()).finish()
    }
}

impl Budget {
    /// `on_freed` is called, on the thread that drops the bytes, when memory is freed after a batch was refused.
    pub(crate) fn new(bytes_max: usize, on_freed: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            bytes_max,
            state: Mutex::default(),
            response_freed: Condvar::new(),
            on_freed: Box::new(on_freed),
        }))
    }

    /// For a client that reads one response and drops it.
    pub(crate) fn unlimited() -> Self {
        Self::new(usize::MAX, || ())
    }

    /// The bytes of one fetch where `brokers` are fetched from: each has two responses, on the wire or in memory, and all
    /// of them together take no more than half of the budget.
    pub(crate) fn fetch_bytes(&self, brokers: usize) -> usize {
        self.0.bytes_max / 4 / brokers.max(1)
    }

    /// The bytes of a batch that is decompressed before its size is known.
    pub(crate) fn guess_bytes(&self) -> usize {
        self.0.bytes_max / 4
    }

    /// The share of a response that is requested; `bytes` is the requested size, at most [`fetch_bytes`](Self::fetch_bytes).
    pub(crate) fn response(&self, bytes: usize) -> ResponseShare {
        self.0.lock().response_bytes += bytes;
        ResponseShare { shared: Arc::clone(&self.0), bytes, is_large: false }
    }

    /// A share for a batch if there is memory for it, or if no other batch has any. If not, `on_freed` will be called.
    pub(crate) fn batch(&self, bytes: usize) -> Option<BatchShare> {
        let mut state = self.0.lock();
        if state.batches > 0 && !self.0.has_free(&state, bytes) {
            state.has_refused = true;
            return None;
        }
        Some(self.0.give(&mut state, bytes))
    }

    /// A share for a batch if there is memory for it.
    pub(crate) fn batch_if_free(&self, bytes: usize) -> Option<BatchShare> {
        let mut state = self.0.lock();
        self.0.has_free(&state, bytes).then(|| self.0.give(&mut state, bytes))
    }

    /// Bytes that are held now, by responses and by batches.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        let state = self.0.lock();
        (state.response_bytes, state.batch_bytes)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// More than half, since a response is a little larger than its records.
    fn response_bytes_max(&self) -> usize {
        self.bytes_max / 8 * 5
    }

    fn has_free(&self, state: &State, bytes: usize) -> bool {
        let held = state.response_bytes.saturating_add(state.batch_bytes);
        held.saturating_add(bytes).saturating_add(BATCH_OVERHEAD_BYTES) <= self.bytes_max
    }

    fn give(self: &Arc<Self>, state: &mut State, bytes: usize) -> BatchShare {
        let bytes = bytes.saturating_add(BATCH_OVERHEAD_BYTES);
        state.batch_bytes = state.batch_bytes.saturating_add(bytes);
        state.batches += 1;
        BatchShare { shared: Arc::clone(self), bytes }
    }

    /// Called after memory was freed, with the lock.
    fn freed(&self, mut state: MutexGuard<'_, State>) {
        let had_refused = std::mem::take(&mut state.has_refused);
        drop(state);
        if had_refused {
            (self.on_freed)();
        }
    }
}

/// The share of one response.
pub(crate) struct ResponseShare {
    shared: Arc<Shared>,
    bytes: usize,
    is_large: bool,
}

impl ResponseShare {
    /// Resizes it to the response, before that is received; waits for memory if needed. `false` if the response is no longer wanted.
    pub(crate) fn resize(&mut self, bytes: usize, mut is_wanted: impl FnMut() -> bool) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            let others = state.response_bytes.saturating_sub(self.bytes);
            let fits = bytes <= self.bytes || others.saturating_add(bytes) <= shared.response_bytes_max();
            if fits || !state.has_large_response {
                self.is_large = !fits;
                state.has_large_response |= self.is_large;
                state.response_bytes = others.saturating_add(bytes);
                let has_shrunk = bytes < std::mem::replace(&mut self.bytes, bytes);
                if has_shrunk {
                    shared.response_freed.notify_all();
                    shared.freed(state);
                }
                return true;
            }
            if !is_wanted() {
                return false;
            }
            let waited = shared.response_freed.wait_timeout(state, WANTED_CHECK_EVERY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The response's bytes, which hold the share until the last part of them is dropped.
    pub(crate) fn hold(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

impl Drop for ResponseShare {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.response_bytes = state.response_bytes.saturating_sub(self.bytes);
        if self.is_large {
            state.has_large_response = false;
        }
        self.shared.response_freed.notify_all();
        self.shared.freed(state);
    }
}

impl fmt::Debug for ResponseShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseShare({} bytes)", self.bytes)
    }
}

/// The share of one decompressed batch.
pub(crate) struct BatchShare {
    shared: Arc<Shared>,
    bytes: usize,
}

impl BatchShare {
    /// The batch's bytes, which hold what they take of the share until the last part of them is dropped.
    pub(crate) fn hold(mut self, mut bytes: Vec<u8>) -> Bytes {
        if bytes.capacity() / 2 > bytes.len() {
            bytes.shrink_to_fit();
        }
        let taken = bytes.capacity().saturating_add(BATCH_OVERHEAD_BYTES);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        state.batch_bytes = state.batch_bytes.saturating_sub(self.bytes).saturating_add(taken);
        self.bytes = taken;
        shared.freed(state);
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

impl Drop for BatchShare {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.batch_bytes = state.batch_bytes.saturating_sub(self.bytes);
        state.batches = state.batches.saturating_sub(1);
        self.shared.freed(state);
    }
}

/// Bytes that return their share when they are dropped.
struct Held<S> {
    // Dropped first.
    bytes: Vec<u8>,
    _share: S,
}

impl<S> AsRef<[u8]> for Held<S> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// A budget, and how often it has notified that memory is free.
    fn budget(bytes_max: usize) -> (Budget, Arc<AtomicUsize>) {
        let freed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&freed);
        (
            Budget::new(bytes_max, move || {
                count.fetch_add(1, Ordering::SeqCst);
            }),
            freed,
        )
    }

    fn held(budget: &Budget) -> usize {
        budget.held().0 + budget.held().1
    }

    #[test]
    fn batches_share_the_budget_and_one_that_is_larger_is_alone() {
        let (budget, freed) = budget(10_000);
        let one = budget.batch(4_000).unwrap();
        let other = budget.batch(4_000).unwrap();
        assert!(budget.batch(4_000).is_none() && budget.batch_if_free(4_000).is_none());
        drop(one);
        assert_eq!(freed.load(Ordering::SeqCst), 1, "only a refused holder is notified");
        assert!(budget.batch(50_000).is_none(), "not while another one is in memory");
        drop(other);
        assert_eq!(freed.load(Ordering::SeqCst), 2);
        assert!(budget.batch_if_free(50_000).is_none());
        let large = budget.batch(50_000).unwrap();
        assert!(budget.batch(1).is_none(), "nor another one while it is in memory");
        drop(large);
        assert_eq!((held(&budget), freed.load(Ordering::SeqCst)), (0, 3));
    }

    #[test]
    fn shares_go_back_with_the_last_of_the_bytes_on_any_thread() {
        let (budget, _) = budget(10_000);
        let bytes = budget.batch(4_000).unwrap().hold(vec![7; 100]);
        assert_eq!(budget.held(), (0, 100 + BATCH_OVERHEAD_BYTES), "unused bytes are returned at once");
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(budget.held().1, 100 + BATCH_OVERHEAD_BYTES);
        thread::spawn(move || drop(part)).join().unwrap();
        let response = budget.response(1_000).hold(vec![0; 10]);
        assert_eq!(budget.held(), (1_000, 0));
        drop(response);
        assert_eq!(held(&budget), 0);
    }

    #[test]
    fn a_response_waits_while_another_one_is_larger_than_their_part() {
        let (budget, _) = budget(8_000);
        let mut first = budget.response(1_000);
        assert!(first.resize(2_000, || panic!("there is memory")));
        assert!(first.resize(50_000, || panic!("one may be larger")));
        let mut second = budget.response(1_000);
        assert!(second.resize(900, || panic!("less is always granted")));
        assert!(!second.resize(6_000, || false), "it is no longer wanted");
        let (waits, is_waiting) = channel();
        let waiting = thread::spawn(move || {
            assert!(second.resize(6_000, || waits.send(()).is_ok()));
            second
        });
        is_waiting.recv().unwrap();
        drop(first);
        let second = waiting.join().unwrap();
        assert_eq!(budget.held(), (6_000, 0));
        drop(second);
        assert_eq!(held(&budget), 0);
    }
}
