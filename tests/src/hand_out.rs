//! One file at an address, for what plays files from the web: a server of a few lines on a free port.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The file is there until this is dropped.
pub struct HandOut {
    /// Where.
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl HandOut {
    /// Hands the bytes out, whatever is asked for, as this type of media.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn begin(kind: &'static str, bytes: Vec<u8>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            bytes.len()
        );
        let serving = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                // Whoever goes away in the middle comes again.
                let mut asked = [0; 4096];
                let _ = socket.read(&mut asked).await;
                let _ = socket.write_all(head.as_bytes()).await;
                let _ = socket.write_all(&bytes).await;
            }
        });
        Ok(Self { address, serving })
    }
}

impl Drop for HandOut {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
