//! A job queue with one thread that owns a blocking resource, so that the caller never blocks. Must not know what the jobs do.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::error::{Error, Result};

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Sends jobs to a thread. After it is dropped the thread ends with the job that it runs; no thread waits for that.
///
/// The queue needs no bound of its own: each caller sends a job only after the last one has ended.
pub(crate) struct Worker<S> {
    jobs: Sender<Job<S>>,
}

impl<S: Send + 'static> Worker<S> {
    /// Starts the thread under a name that `top -H` and debuggers show.
    pub(crate) fn spawn(name: &str, mut resource: S) -> Result<Self> {
        let (jobs, queue) = channel::<Job<S>>();
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                for job in queue {
                    job(&mut resource);
                }
            })
            .map_err(Error::Thread)?;
        Ok(Self { jobs })
    }

    /// Runs a job on the thread and sends its result to `results`.
    pub(crate) fn run<A: Send + 'static>(
        &self,
        results: &Sender<A>,
        job: impl FnOnce(&mut S) -> A + Send + 'static,
    ) -> Result<()> {
        let results = results.clone();
        let job: Job<S> = Box::new(move |resource| {
            // Once the consumer is dropped, the result may be dropped too.
            let _ = results.send(job(resource));
        });
        // The thread ends only if a job panicked, which would be a bug.
        self.jobs.send(job).map_err(|_| Error::Thread(std::io::ErrorKind::BrokenPipe.into()))
    }
}
