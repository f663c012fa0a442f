//! The bare loop: each frame is written once to each plain socket, one after the other.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::clip::{self, Wire};

/// Sleeps until a moment, without spinning.
pub(super) fn sleep_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// Listens, says `ready ADDRESS`, and writes for so long to whoever connects.
///
/// # Errors
///
/// The clip cannot be read, or the system gives no sockets.
pub fn run(clip: &Path, wire: Wire, length: Duration) -> Result<()> {
    let frames = clip::frames(clip, wire, length)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("ready {}", listener.local_addr()?);
    let newcomers: &'static Mutex<Vec<TcpStream>> = Box::leak(Box::default());
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            if socket.set_nodelay(true).is_ok()
                && let Ok(mut list) = newcomers.lock()
            {
                list.push(socket);
            }
        }
    });
    let mut sockets: Vec<TcpStream> = Vec::new();
    let began = Instant::now();
    for (at, frame) in frames {
        sleep_until(began + at.to_duration());
        if let Ok(mut list) = newcomers.lock() {
            sockets.append(&mut list);
        }
        sockets.retain_mut(|socket| socket.write_all(&frame).is_ok());
    }
    Ok(())
}
