//! A publisher that says anything: the server's session refuses or survives it within bounded memory.
//!
//! The first byte says how the bytes are cut, the second whether the publisher is let in. The
//! handshake is done beforehand, as its 3 KB of filling would only hide the rest.

use mujian_media::rtmp::server::{Config, Event, Refusal, Session};
use mujian_media::time::Now;

pub fn check(data: &[u8]) {
    let [cut, answer, data @ ..] = data else { return };
    let now = Now::default();
    let mut session = Session::new(Config::default(), now);
    if answer & 2 == 0 {
        let mut hello = vec![0; 1 + 2 * 1536];
        hello[0] = 3;
        session.input(&hello, now).expect("the handshake is plain");
    }
    for piece in data.chunks(usize::from(*cut) * 16 + 1) {
        let result = session.input(piece, now);
        while let Some(event) = session.poll_event() {
            if let Event::PublishRequested(_) = event {
                if answer & 1 == 0 { session.accept(now) } else { session.refuse(Refusal::Denied, "no") }
            }
        }
        assert!(session.held() <= data.len() + (512 << 10));
        while session.poll_output().is_some() {}
        if result.is_err() || session.is_closed() {
            assert!(session.is_closed());
            break;
        }
    }
}
