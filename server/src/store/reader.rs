//! Handles that only read. Readers never wait for the writer (WAL).

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::StoreError;

pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// Gives its handle back whatever becomes of the one who borrowed it.
struct Borrowed {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.idle.lock().extend(self.connection.take());
    }
}

impl Readers {
    pub(super) fn open(path: &Path, count: usize) -> Result<Self, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut idle = Vec::with_capacity(count);
        for _ in 0..count {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            idle.push(connection);
        }
        Ok(Self { idle: Arc::new(Mutex::new(idle)), permits: Arc::new(Semaphore::new(count)) })
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let borrowed = Borrowed { connection: self.idle.lock().pop(), idle: Arc::clone(&self.idle) };
        tokio::task::spawn_blocking(move || {
            // The handle goes back before the permit: whoever has a permit finds a handle.
            let _permit = permit;
            let borrowed = borrowed;
            match &borrowed.connection {
                Some(connection) => operation(connection).map_err(|e| StoreError::from(&e)),
                None => Err(StoreError::Failed("no read handle is left".into())),
            }
        })
        .await
        .map_err(|_| StoreError::Failed("a read broke off".into()))?
    }
}
