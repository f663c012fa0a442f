//! A link to a server that can be cut and mended: what is sent over it goes on through this process.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running link.
pub struct Link {
    /// Where it begins.
    pub at: SocketAddr,
    whole: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Link {
    /// Makes one that leads to `server`.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let at = listener.local_addr()?;
        let whole = watch::Sender::new(true);
        let state = whole.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = state.clone();
                tokio::spawn(async move {
                    if !*state.borrow_and_update() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.changed() => {}
                    }
                });
            }
        });
        Ok(Self { at, whole, task })
    }

    /// Nothing passes any more.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// New connections pass again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}
