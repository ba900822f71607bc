//! A thread that owns a blocking resource and runs one job after another on it, so that its user never blocks.
//! Knows nothing of what the jobs do.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::error::{Error, Result};

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Hands jobs to a thread. Dropping it lets the thread end after the job that it is at; nobody waits for that.
///
/// The queue needs no bound of its own: each user has at most one job under way and checks so before it hands over.
pub(crate) struct Worker<S> {
    jobs: Sender<Job<S>>,
}

impl<S: Send + 'static> Worker<S> {
    /// Starts the thread under a name that shows up in `top -H` and debuggers.
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

    /// Runs a job on the thread and sends what it returns to `answers`.
    pub(crate) fn run<A: Send + 'static>(
        &self,
        answers: &Sender<A>,
        job: impl FnOnce(&mut S) -> A + Send + 'static,
    ) -> Result<()> {
        let answers = answers.clone();
        let job: Job<S> = Box::new(move |resource| {
            // Nobody listens any more once the consumer is dropped: the answer may be dropped too.
            let _ = answers.send(job(resource));
        });
        // The thread ends only if a job panicked, which would be a bug of ours.
        self.jobs.send(job).map_err(|_| Error::Thread(std::io::ErrorKind::BrokenPipe.into()))
    }
}
