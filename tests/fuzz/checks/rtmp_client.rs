//! A server that says anything to our publisher, and the chunk stream by itself: cut anywhere, the messages are the same.

use mujian_media::rtmp::chunk::{Message, Reader};
use mujian_media::rtmp::client::{Config, Session};
use mujian_media::rtmp::{RtmpError, Secret};
use mujian_media::time::Now;

fn messages(data: &[u8], piece: usize) -> (Vec<Message>, Option<RtmpError>) {
    let mut r = Reader::new(1 << 16);
    let mut out = Vec::new();
    for part in data.chunks(piece) {
        r.input(part);
        loop {
            match r.next_message() {
                Ok(Some(m)) => out.push(m),
                Ok(None) => break,
                Err(e) => return (out, Some(e)),
            }
        }
        assert!(r.held() <= data.len());
    }
    (out, None)
}

pub fn check(data: &[u8]) {
    let now = Now::default();
    let mut session = Session::new(Config::new("live", "rtmp://h/live", Secret::new("room?key=k")), now);
    let mut hello = vec![0; 1 + 2 * 1536];
    hello[0] = 3;
    session.input(&hello, now).expect("the handshake is plain");
    let result = session.input(data, now);
    assert!(result.is_ok() || session.is_closed());
    while session.poll_output().is_some() {}
    while session.poll_event().is_some() {}

    let whole = messages(data, data.len().max(1));
    if data.len() < 4096 {
        assert_eq!(messages(data, 1), whole);
    }
}
