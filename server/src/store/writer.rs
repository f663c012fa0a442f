//! The one thread that writes. Whatever waits is written in one transaction and shares its fsync;
//! each operation has a savepoint, so one that fails takes only itself back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::StoreError;

/// Operations that may wait. Past that, callers wait for room.
const QUEUE: usize = 1024;
/// Most operations in one transaction: bounds how long the first waits for the last.
const GROUP: usize = 256;

/// Told after the commit whether it held.
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// Runs inside the transaction; false takes its own work back.
type Job = Box<dyn FnOnce(&Connection) -> (bool, Finish) + Send>;

pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || {
            while let Some(first) = queue.blocking_recv() {
                commit_group(&connection, first, &mut queue);
            }
            // Leaves one tidy file behind. Failing is harmless: the next start does it.
            if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA optimize;") {
                tracing::warn!(%error, "The database's log could not be folded in at the end.");
            }
        })?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = operation(connection);
            let kept = result.is_ok();
            let finish: Finish = Box::new(move |committed| {
                let result = match (result, committed) {
                    (Err(e), _) => Err(StoreError::from(&e)),
                    (Ok(_), Err(e)) => Err(e),
                    (Ok(value), Ok(())) => Ok(value),
                };
                // Nobody waits any more: the caller went away, the write stands.
                let _ = reply.send(result);
            });
            (kept, finish)
        });
        let jobs = self.jobs.lock().clone().ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        drop(jobs);
        answer.await.map_err(|_| StoreError::Failed("the operation broke off".into()))?
    }

    pub(super) async fn close(&self) {
        self.jobs.lock().take();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("The store's writer ended with a fault.");
            }
        }
    }
}

fn commit_group(connection: &Connection, first: Job, queue: &mut mpsc::Receiver<Job>) {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        tracing::error!(%error, "The database takes no writes.");
        // Dropping the job answers its caller.
        drop(first);
        return;
    }
    let mut finishes = Vec::new();
    let mut next = Some(first);
    while let Some(job) = next {
        finishes.extend(run(connection, job));
        next = if finishes.len() < GROUP { queue.try_recv().ok() } else { None };
    }
    let committed = connection.execute_batch("COMMIT").map_err(|e| StoreError::from(&e));
    if let Err(error) = &committed {
        tracing::error!(%error, operations = finishes.len(), "A write to the database failed; nothing of it was kept.");
        // A commit that fails may leave the transaction open.
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    metrics::histogram!("mujian_store_group_size").record(finishes.len() as f64);
    for finish in finishes {
        finish(committed.clone());
    }
}

/// Runs one operation in its savepoint. None if it broke off; its caller notices by itself.
fn run(connection: &Connection, job: Job) -> Option<Finish> {
    if connection.execute_batch("SAVEPOINT operation").is_err() {
        return None;
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| job(connection)));
    let end = match &outcome {
        Ok((true, _)) => "RELEASE operation",
        _ => "ROLLBACK TO operation; RELEASE operation",
    };
    let ended = connection.execute_batch(end);
    match outcome {
        Ok((_, finish)) => match ended {
            Ok(()) => Some(finish),
            Err(error) => {
                finish(Err(StoreError::from(&error)));
                None
            }
        },
        Err(_) => {
            tracing::error!("An operation of the store broke off; nothing of it was kept.");
            None
        }
    }
}
