//! A publisher that says anything: the server's session refuses or survives it within bounded memory.
//!
//! The first byte says how the bytes are cut. The second says how far things are before the input
//! comes, so that handshake and commands do not hide the rest: bit 0, whether later requests are
//! refused; bits 1 and 2, nothing (2), the handshake (1), or publishing accepted (0).

use bytes::{BufMut, BytesMut};
use mujian_media::amf::{self, Value};
use mujian_media::frame::FeedItem;
use mujian_media::rtmp::chunk::{MessageHead, Writer};
use mujian_media::rtmp::server::{Config, Event, Refusal, Session};
use mujian_media::time::Now;

/// The handshake and, if `publish`, all commands up to `publish`.
fn preamble(publish: bool) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(3);
    out.put_bytes(0, 2 * 1536);
    if publish {
        let mut writer = Writer::default();
        let app = Value::object([("app", Value::string("live"))]);
        for (name, args) in [
            ("connect", vec![app]),
            ("createStream", vec![Value::Null]),
            ("publish", vec![Value::Null, Value::string("room-1?key=k")]),
        ] {
            let mut body = amf::encode_all(&[Value::string(name), Value::Number(1.0)]);
            args.iter().for_each(|a| amf::encode(&mut body, a));
            writer.write(&mut out, MessageHead { chunk_stream: 63, timestamp: 0, kind: 20, stream: 0 }, &[&body]);
        }
    }
    out
}

/// Gives what was taken.
pub fn run(data: &[u8]) -> Vec<FeedItem> {
    let mut items = Vec::new();
    let [cut, how, data @ ..] = data else { return items };
    let now = Now::default();
    let mut session = Session::new(Config::default(), now);
    if how & 4 == 0 {
        session.input(&preamble(how & 2 == 0), now).expect("this is what programs say");
        if let Some(Event::PublishRequested(_)) = session.poll_event() {
            session.accept(now);
        }
    }
    for piece in data.chunks(usize::from(*cut) * 16 + 1) {
        let result = session.input(piece, now);
        while let Some(event) = session.poll_event() {
            match event {
                Event::PublishRequested(_) if how & 1 == 0 => session.accept(now),
                Event::PublishRequested(_) => session.refuse(Refusal::Denied, "no"),
                Event::Item(item) => items.push(item),
                _ => {}
            }
        }
        assert!(session.held() <= data.len() + (512 << 10));
        while session.poll_output().is_some() {}
        if result.is_err() || session.is_closed() {
            assert!(session.is_closed());
            break;
        }
    }
    items
}

pub fn check(data: &[u8]) {
    let mut seen = (false, false);
    for item in run(data) {
        match item {
            FeedItem::VideoConfig(_) => seen.0 = true,
            FeedItem::AudioConfig(_) => seen.1 = true,
            FeedItem::Video(f) => assert!(seen.0 && f.pts >= f.dts && f.data.len() >= 5),
            FeedItem::Audio(f) => assert!(seen.1 && !f.data.is_empty()),
            FeedItem::AwayMark { leave_id, .. } | FeedItem::BackMark { leave_id } => {
                assert!((1..=64).contains(&leave_id.as_str().len()));
            }
        }
    }
}
