//! How long a viewer's request takes to the last byte of the first key frame, at the server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use futures_util::StreamExt;

/// One join over HTTP-FLV, on a connection of its own: milliseconds.
///
/// # Errors
///
/// The server does not answer as it should.
pub async fn flv(server: std::net::SocketAddr, room: &str) -> Result<f64> {
    let limit = Duration::from_secs(5);
    tokio::time::timeout(limit, flv_inner(server, room)).await.context("no key frame within 5 s")?
}

async fn flv_inner(server: std::net::SocketAddr, room: &str) -> Result<f64> {
    let began = Instant::now();
    let mut socket = TcpStream::connect(server).await?;
    socket.set_nodelay(true)?;
    // HTTP/1.0: the body comes as it is, without chunk headers in between.
    socket.write_all(format!("GET /live/{room}.flv HTTP/1.0\r\nHost: {server}\r\n\r\n").as_bytes()).await?;
    let mut got: Vec<u8> = Vec::with_capacity(1 << 18);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = socket.read(&mut buffer).await?;
        if n == 0 {
            bail!("it ended after {} bytes: {}", got.len(), String::from_utf8_lossy(&got[..got.len().min(300)]));
        }
        got.extend_from_slice(&buffer[..n]);
        if key_frame_complete(&got)? {
            return Ok(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
}

/// Whether an answer holds a whole key frame already.
fn key_frame_complete(got: &[u8]) -> Result<bool> {
    let Some(body) = got.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) else { return Ok(false) };
    if !got.starts_with(b"HTTP/1.1 200") && !got.starts_with(b"HTTP/1.0 200") {
        bail!("{}", String::from_utf8_lossy(&got[..got.len().min(300)]));
    }
    let mut at = body + 13;
    while let Some(head) = got.get(at..at + 11) {
        let size = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
        let Some(tag) = got.get(at + 11..at + 11 + size) else { return Ok(false) };
        if head[0] == 9 && size > 5 && tag[0] == 0x17 && tag[1] == 1 {
            return Ok(true);
        }
        at += 11 + size + 4;
    }
    Ok(false)
}

/// One join over WebSocket: milliseconds to the first fragment behind the init segment, which begins with a key frame.
///
/// # Errors
///
/// The server does not answer as it should.
pub async fn websocket(server: std::net::SocketAddr, room: &str) -> Result<f64> {
    let began = Instant::now();
    let work = async {
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{server}/live/{room}.mp4")).await?;
        while let Some(message) = socket.next().await {
            let Message::Binary(bytes) = message? else { continue };
            if [&b"moof"[..], b"prft", b"styp"].contains(&bytes.get(4..8).unwrap_or_default()) {
                return Ok(began.elapsed().as_secs_f64() * 1000.0);
            }
        }
        bail!("it ended before a fragment")
    };
    tokio::time::timeout(Duration::from_secs(5), work).await.context("no fragment within 5 s")?
}
