//! Both sessions against each other, in memory, and hostile peers.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use mujian_protocol::LeaveId;
use proptest::prelude::*;

use super::chunk::{Message, MessageHead, Reader, Writer};
use super::server::{Event, Refusal, Session};
use super::*;
use crate::amf::Value;
use crate::flv::Metadata;
use crate::flv::tests::any_items;
use crate::frame::{FeedItem, VideoFrame};
use crate::time::{MediaTime, Now};

fn at(ms: u64) -> Now {
    Now::from_origin(Duration::from_millis(ms))
}

fn client_config() -> client::Config {
    let mut c = client::Config::new("live", "rtmp://host/live", Secret::new("room-1?key=s3cret&x=1"));
    c.program_id = Some("program-7".to_owned());
    c.marks = true;
    c
}

/// Carries bytes both ways in pieces whose sizes repeat from `cuts`, until both sides are silent.
fn pump(c: &mut client::Session, s: &mut Session, cuts: &[usize]) -> (Vec<client::Event>, Vec<Event>) {
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    let mut cut = cuts.iter().copied().cycle();
    loop {
        let mut moved = false;
        while let Some(out) = c.poll_output() {
            moved = true;
            let mut rest = &out[..];
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(cut.next().unwrap_or(1000).clamp(1, rest.len()));
                rest = later;
                s.input(piece, at(0)).unwrap();
                while let Some(e) = s.poll_event() {
                    if matches!(e, Event::PublishRequested(_)) {
                        s.accept(at(0));
                    }
                    from_server.push(e);
                }
            }
        }
        while let Some(out) = s.poll_output() {
            moved = true;
            for piece in out.chunks(cut.next().unwrap_or(1000).max(1)) {
                c.input(piece, at(0)).unwrap();
            }
        }
        from_client.extend(std::iter::from_fn(|| c.poll_event()));
        if !moved {
            return (from_client, from_server);
        }
    }
}

fn connected() -> (client::Session, Session) {
    let mut c = client::Session::new(client_config(), at(0));
    let mut s = Session::new(server::Config::default(), at(0));
    let (told, asked) = pump(&mut c, &mut s, &[1000]);
    assert_eq!(told, [client::Event::Publishing]);
    assert_eq!(asked.len(), 1);
    (c, s)
}

#[test]
fn a_publisher_asks_with_all_it_is() {
    let mut c = client::Session::new(client_config(), at(0));
    let mut s = Session::new(server::Config::default(), at(0));
    let (_, events) = pump(&mut c, &mut s, &[7]);
    let [Event::PublishRequested(r)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((r.app.as_str(), r.room.as_str(), r.key.expose()), ("live", "room-1", "s3cret"));
    assert_eq!(r.program_id.as_deref(), Some("program-7"));
    assert!(r.marks);
    assert!(r.program.starts_with("Mujian/"));
    assert_eq!(r.args, [("x".to_owned(), Secret::new("1"))]);
    assert!(!format!("{r:?} {s:?} {c:?}").contains("s3cret"), "a key must not be printed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn items_arrive_whatever_the_cuts(
        items in any_items(),
        sizes in prop::collection::vec(1usize..3000, 1..20),
        chunk_size in 128u32..5000,
    ) {
        let mut config = client_config();
        config.chunk_size = chunk_size;
        let mut c = client::Session::new(config, at(0));
        let mut s = Session::new(server::Config::default(), at(0));
        pump(&mut c, &mut s, &sizes);
        c.send_metadata(&Metadata { width: Some(64.0), ..Metadata::default() }).unwrap();
        let leave_id: LeaveId = "0194-x_Y".parse().unwrap();
        let last = MediaTime::from_millis(3);
        let marks = [
            FeedItem::AwayMark { leave_id: leave_id.clone(), last, keep_sound: sizes.len() % 2 == 0 },
            FeedItem::BackMark { leave_id },
        ];
        for i in items.iter().chain(&marks) {
            c.send(i).unwrap();
        }
        c.end();
        let (_, events) = pump(&mut c, &mut s, &sizes);
        let got: Vec<_> = events.iter().filter_map(|e| if let Event::Item(i) = e { Some(i) } else { None }).collect();
        prop_assert_eq!(got, items.iter().chain(&marks).collect::<Vec<_>>());
        prop_assert!(matches!(events.first(), Some(Event::Metadata(m)) if m.width == Some(64.0)));
        prop_assert_eq!(events.last(), Some(&Event::Ended));
        prop_assert_eq!(s.skipped().0, 0);
    }

    #[test]
    fn chunks_interleave(
        messages in prop::collection::vec((2u32..8, any::<u32>(), prop::collection::vec(any::<u8>(), 0..700)), 1..20),
        cut in 1usize..200,
    ) {
        // Each message whole, one after the other: timestamps of any kind, extended ones too.
        let mut w = Writer::default();
        let mut out = BytesMut::new();
        for (id, timestamp, body) in &messages {
            let head = MessageHead { chunk_stream: *id, timestamp: *timestamp, kind: 9, stream: 1 };
            w.write(&mut out, head, &[body]);
        }
        let mut r = Reader::new(1 << 20);
        let mut got = Vec::new();
        for piece in out.chunks(cut) {
            r.input(piece);
            while let Some(m) = r.next_message().unwrap() {
                got.push((m.chunk_stream, m.timestamp, m.payload.to_vec()));
            }
        }
        prop_assert_eq!(got, messages);
        prop_assert_eq!(r.held(), 0);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut r = Reader::new(1 << 16);
        r.input(&bytes);
        while let Ok(Some(_)) = r.next_message() {}
    }
}

fn read_all(bytes: &[u8]) -> Result<Vec<Message>, RtmpError> {
    let mut r = Reader::new(1 << 20);
    r.input(bytes);
    let mut out = Vec::new();
    while let Some(m) = r.next_message()? {
        out.push(m);
    }
    Ok(out)
}

/// A chunk with a full header: chunk stream 4, video, message stream 1.
fn full(timestamp: u32, length: usize, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    out.put_u8(4);
    out.put_uint(u64::from(timestamp.min(0xFF_FFFF)), 3);
    out.put_uint(length as u64, 3);
    out.put_slice(&[9, 1, 0, 0, 0]);
    if timestamp >= 0xFF_FFFF {
        out.put_u32(timestamp);
    }
    out.put_slice(body);
    out.to_vec()
}

#[test]
fn two_messages_whose_chunks_alternate() {
    let mut bytes = full(10, 200, &[1; 128]);
    bytes.extend([0x05, 0, 0, 7, 0, 0, 2, 8, 1, 0, 0, 0, 5, 5]);
    bytes.push(0xC4);
    bytes.extend([1; 72]);
    let got = read_all(&bytes).unwrap();
    assert_eq!(
        got.iter().map(|m| (m.kind, m.timestamp, m.payload.len())).collect::<Vec<_>>(),
        [(8, 7, 2), (9, 10, 200)]
    );
}

#[test]
fn short_headers_repeat_and_add_up() {
    let mut bytes = full(100, 1, &[1]);
    bytes.extend([0x84, 0, 0, 20, 2]); // type 2: 20 later
    bytes.extend([0xC4, 3]); // type 3: 20 later again
    bytes.extend([0x44, 0, 0, 5, 0, 0, 2, 8, 4, 4]); // type 1: 5 later, two bytes of sound
    let got: Vec<_> = read_all(&bytes).unwrap().into_iter().map(|m| (m.timestamp, m.kind, m.payload.len())).collect();
    assert_eq!(got, [(100, 9, 1), (120, 9, 1), (140, 9, 1), (145, 8, 2)]);
}

#[test]
fn extended_timestamps_with_and_without_repetition() {
    let late = 0x0123_4567u32;
    for repeated in [true, false] {
        let mut bytes = full(late, 300, &[1; 128]);
        for size in [128, 44] {
            bytes.push(0xC4);
            if repeated {
                bytes.extend(late.to_be_bytes());
            }
            bytes.extend(vec![1; size]);
        }
        let got = read_all(&bytes).unwrap();
        assert_eq!(got.len(), 1, "{repeated}");
        assert_eq!((got[0].timestamp, &got[0].payload[..]), (late, &[1u8; 300][..]));
    }
    // A step of more than 24 bits.
    let mut bytes = full(5, 1, &[1]);
    bytes.extend([0x84, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 2]);
    assert_eq!(read_all(&bytes).unwrap()[1].timestamp, 0x0100_0005);
}

#[test]
fn lies_of_the_chunk_stream_end_it() {
    assert!(matches!(read_all(&[0xC4, 1, 2, 3]), Err(RtmpError::Broken(_))), "no header before");
    assert!(matches!(read_all(&full(0, 0xFF_FFFF, &[])), Err(RtmpError::Limit(_))), "16 MiB");
    let mut twice = full(0, 200, &[1; 128]);
    twice.extend(full(0, 10, &[]));
    assert!(matches!(read_all(&twice), Err(RtmpError::Broken(_))), "a message inside its own");
    let mut many = Vec::new();
    for id in 0..100u8 {
        many.extend([0, id, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 0]);
    }
    assert!(matches!(read_all(&many), Err(RtmpError::Limit(_))), "too many chunk streams");
    let mut r = Reader::new(100);
    for bad in [0, 1, 127, 1 << 31, u32::MAX] {
        assert!(r.set_chunk_size(bad).is_err(), "{bad}");
    }
    assert!(r.set_chunk_size((1 << 31) - 1).is_ok());
}

#[test]
fn memory_stays_bounded() {
    // Announces the largest message on each of 64 chunk streams and begins them all.
    let limit = 64 << 10;
    let mut r = Reader::new(limit);
    let mut ended = None;
    for id in 0..64u8 {
        let mut chunk = vec![0, id, 0, 0, 0, 0, 0xFF, 0xFF, 9, 1, 0, 0, 0];
        chunk.extend([0; 128]);
        r.input(&chunk);
        assert!(matches!(r.next_message(), Ok(None)));
        assert!(r.held() <= 64 * 128);
    }
    for round in 0..1000u32 {
        for id in 0..64u8 {
            let mut chunk = vec![0xC0, id];
            chunk.extend([0; 128]);
            r.input(&chunk);
            if let Err(e) = r.next_message() {
                ended.get_or_insert((round, e));
            }
        }
        if ended.is_some() {
            break;
        }
        assert!(r.held() <= limit + 200);
    }
    assert!(matches!(ended, Some((_, RtmpError::Limit(_)))), "{ended:?}");
}

#[test]
fn a_server_that_is_not_read_gives_up() {
    let (mut c, mut s) = connected();
    let _ = c.poll_output();
    let mut ping = BytesMut::new();
    let mut w = Writer::default();
    w.set_chunk_size(60_000);
    for stamp in 0..100_000u32 {
        let head = MessageHead { chunk_stream: 2, timestamp: 0, kind: 4, stream: 0 };
        w.write(&mut ping, head, &[&[0, 6], &stamp.to_be_bytes()]);
    }
    let mut result = Ok(());
    for piece in ping.chunks(4096) {
        result = result.and_then(|()| s.input(piece, at(0)));
    }
    assert_eq!(result, Err(RtmpError::NotReading));
    assert!(s.held() < 1 << 20);
}

#[test]
fn a_refusal_reaches_the_person() {
    let mut c = client::Session::new(client_config(), at(0));
    let mut s = Session::new(server::Config::default(), at(0));
    let mut told = Vec::new();
    for _ in 0..20 {
        while let Some(b) = c.poll_output() {
            s.input(&b, at(0)).unwrap();
        }
        while let Some(e) = s.poll_event() {
            assert!(matches!(e, Event::PublishRequested(_)));
            s.refuse(Refusal::BadName, "Somebody else is publishing to this room.");
        }
        while let Some(b) = s.poll_output() {
            c.input(&b, at(0)).unwrap();
        }
        told.extend(std::iter::from_fn(|| c.poll_event()));
    }
    assert_eq!(
        told,
        [client::Event::Refused {
            code: "NetStream.Publish.BadName".into(),
            description: "Somebody else is publishing to this room.".into()
        }]
    );
    assert!(s.is_closed() && c.is_closed());
    assert!(c.send(&FeedItem::BackMark { leave_id: LeaveId::unnamed(1) }).is_err());
}

#[test]
fn time_runs_out() {
    let mut s = Session::new(server::Config::default(), at(0));
    assert_eq!(s.tick(at(9_999)), Ok(()));
    assert!(matches!(s.tick(at(10_000)), Err(RtmpError::Slow(_))));
    assert!(s.is_closed());

    // A publisher that is quiet is asked, and one that answers stays.
    let (mut c, mut s) = connected();
    assert_eq!(s.deadline(), Some(at(10_000)));
    assert_eq!(s.tick(at(10_000)), Ok(()));
    c.input(&s.poll_output().unwrap(), at(10_000)).unwrap();
    s.input(&c.poll_output().unwrap(), at(10_001)).unwrap();
    for ms in [20_001, 30_001, 40_000] {
        assert_eq!(s.tick(at(ms)), Ok(()), "{ms}");
    }
    assert!(matches!(s.tick(at(40_001)), Err(RtmpError::Slow(_))));

    let mut c = client::Session::new(client_config(), at(0));
    assert!(matches!(c.tick(at(10_000)), Err(RtmpError::Slow(_))));
}

/// A peer that speaks by hand: past the handshake, nothing said yet.
struct Raw {
    session: Session,
    writer: Writer,
}

impl Raw {
    fn new() -> Self {
        let mut session = Session::new(server::Config::default(), at(0));
        let mut hello = vec![3];
        hello.extend([0; 2 * handshake::PACKET]);
        session.input(&hello, at(0)).unwrap();
        Self { session, writer: Writer::default() }
    }

    fn say(&mut self, kind: u8, timestamp: u32, body: &[u8]) -> Result<(), RtmpError> {
        let mut out = BytesMut::new();
        self.writer.write(&mut out, MessageHead { chunk_stream: 3, timestamp, kind, stream: 1 }, &[body]);
        self.session.input(&out, at(0))
    }

    fn command(&mut self, name: &str, args: &[Value]) -> Result<(), RtmpError> {
        let mut body = crate::amf::encode_all(&[Value::string(name), Value::Number(1.0)]);
        args.iter().for_each(|a| crate::amf::encode(&mut body, a));
        self.say(20, 0, &body)
    }

    fn publish(app: &str, name: &str) -> (Self, server::PublishRequest) {
        let mut raw = Self::new();
        raw.command("connect", &[Value::object([("app", Value::string(app))])]).unwrap();
        raw.command("createStream", &[Value::Null]).unwrap();
        raw.command("publish", &[Value::Null, Value::string(name), Value::string("live")]).unwrap();
        match raw.session.poll_event() {
            Some(Event::PublishRequested(r)) => (raw, r),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn addresses_are_read_however_they_are_divided() {
    for (app, name) in [
        ("live", "room-1?key=k"),
        ("live/", "/room-1?key=k"),
        ("live/room-1", "?key=k"),
        ("live/room-1?key=k", ""),
        ("live?key=k", "room-1"),
    ] {
        let (_, r) = Raw::publish(app, name);
        assert_eq!((r.app.as_str(), r.room.as_str(), r.key.expose()), ("live", "room-1", "k"), "{app} {name}");
    }
}

#[test]
fn order_is_kept() {
    assert!(matches!(Raw::new().command("publish", &[]), Err(RtmpError::Order(_))));
    assert!(matches!(Raw::new().say(9, 0, &[0x17, 1, 0, 0, 0]), Err(RtmpError::Order(_))));
    let (mut raw, _) = Raw::publish("live", "room-1?key=k");
    assert!(matches!(raw.say(8, 0, &[0xAF, 0, 0x11, 0x90]), Err(RtmpError::Order(_))), "not accepted yet");
}

#[test]
fn before_publishing_messages_are_small() {
    assert!(matches!(Raw::new().say(20, 0, &vec![5; 70_000]), Err(RtmpError::Limit(_))));
}

#[test]
fn a_player_is_told_where_to_go() {
    let mut raw = Raw::new();
    raw.command("connect", &[Value::object([("app", Value::string("live"))])]).unwrap();
    raw.command("play", &[Value::Null, Value::string("room-1")]).unwrap();
    assert!(raw.session.is_closed());
    let out = String::from_utf8_lossy(&raw.session.poll_output().unwrap()).into_owned();
    assert!(out.contains("NetStream.Play.Failed") && out.contains(".flv"));
}

#[test]
fn another_codec_is_refused_by_name() {
    let (mut raw, _) = Raw::publish("live", "room-1?key=k");
    raw.session.accept(at(0));
    let _ = raw.session.poll_output();
    let e = raw.say(9, 0, b"\x90hvc1\x01\x02").unwrap_err();
    assert!(matches!(e, RtmpError::Unsupported(_)));
    let out = String::from_utf8_lossy(&raw.session.poll_output().unwrap()).replace('\n', " ");
    assert!(out.contains("NetStream.Publish.Failed") && out.contains("HEVC"), "{out}");
}

#[test]
fn bad_frames_are_counted_and_aggregates_taken() {
    let (mut raw, _) = Raw::publish("live", "room-1?key=k");
    raw.session.accept(at(0));
    raw.say(8, 0, &[]).unwrap();
    raw.say(9, 0, &[0x27, 1]).unwrap();
    assert_eq!(raw.session.skipped().0, 2);
    raw.say(8, 0, &[0xAF, 0, 0x11, 0x90]).unwrap();
    assert!(matches!(raw.session.poll_event(), Some(Event::Item(FeedItem::AudioConfig(_)))));
    let mut body = Vec::new();
    for ms in [0u8, 23] {
        body.extend([8, 0, 0, 3, 0, 0, ms, 0, 0, 0, 0, 0xAF, 1, 7, 0, 0, 0, 14]);
    }
    raw.say(22, 1000, &body).unwrap();
    let times: Vec<_> = std::iter::from_fn(|| raw.session.poll_event())
        .map(|e| if let Event::Item(FeedItem::Audio(f)) = e { f.pts.millis() } else { panic!("{e:?}") })
        .collect();
    assert_eq!(times, [1000, 1023]);
}

#[test]
fn time_goes_on_past_32_bits() {
    let (mut raw, _) = Raw::publish("live", "room-1?key=k");
    raw.session.accept(at(0));
    raw.say(8, 0, &[0xAF, 0, 0x11, 0x90]).unwrap();
    raw.session.poll_event();
    for ms in [u32::MAX - 10, 13, 36] {
        raw.say(8, ms, &[0xAF, 1, 7]).unwrap();
    }
    let times: Vec<_> = std::iter::from_fn(|| raw.session.poll_event())
        .map(|e| {
            if let Event::Item(FeedItem::Audio(f)) = e { f.pts.millis() - i64::from(u32::MAX) } else { panic!("{e:?}") }
        })
        .collect();
    assert_eq!(times, [-10, 14, 37]);
}

#[test]
fn pings_and_bytes_are_acknowledged() {
    let (mut raw, _) = Raw::publish("live", "room-1?key=k");
    raw.session.accept(at(0));
    let _ = raw.session.poll_output();
    raw.say(4, 0, &[0, 6, 1, 2, 3, 4]).unwrap();
    assert!(raw.session.poll_output().unwrap().ends_with(&[0, 7, 1, 2, 3, 4]));
    raw.say(5, 0, &[0, 1, 0, 0]).unwrap();
    raw.say(8, 0, &[0xAF, 0, 0x11, 0x90]).unwrap();
    for _ in 0..40 {
        raw.say(9, 0, &vec![0x27; 2000]).unwrap();
    }
    let out: Bytes = raw.session.poll_output().unwrap();
    assert_eq!(out[7], 3, "an acknowledgement: {out:?}");
}

/// It asks for that itself, more often than servers would tell by themselves.
#[test]
fn a_publisher_hears_how_much_has_been_read() {
    let (mut c, mut s) = connected();
    assert_eq!(c.acknowledged(), None, "so little has gone out yet");
    let data = Bytes::from(vec![0x27; 20_000]);
    let mut told = Vec::new();
    for n in 0..3 {
        let t = MediaTime::from_millis(n * 33);
        c.send(&FeedItem::Video(VideoFrame { dts: t, pts: t, key: n == 0, data: data.clone() })).unwrap();
        let out = c.poll_output().unwrap();
        s.input(&out, at(0)).unwrap();
        while s.poll_event().is_some() {}
        while let Some(answer) = s.poll_output() {
            c.input(&answer, at(0)).unwrap();
        }
        told.push((c.acknowledged().unwrap(), out.len() as u32));
    }
    assert!(told.windows(2).all(|w| w[1].0 - w[0].0 == w[1].1), "{told:?}");
}

/// Whatever the fields of a mark say, it means away, and opens nothing that it does not name.
#[test]
fn marks_without_sense_in_their_fields_err_to_privacy() {
    let (mut raw, _) = Raw::publish("live", "room-1?key=k");
    raw.session.accept(at(0));
    let mark = |name: &str, fields: Vec<(&str, Value)>| {
        let fields = fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        crate::amf::encode_all(&[Value::string(name), Value::Object(fields)])
    };
    let away = |name: &str, ms, keep_sound| {
        let leave_id = name.parse().unwrap();
        Event::Item(FeedItem::AwayMark { leave_id, last: MediaTime::from_millis(ms), keep_sound })
    };
    let text = |s: &str| Value::string(s);
    let cases = [
        (vec![], away("unnamed-70", 70, false)),
        (vec![("leave_id", text("a b")), ("last_ms", Value::Number(60.0))], away("unnamed-70", 60, false)),
        (vec![("leave_id", text(&"x".repeat(65))), ("last_ms", Value::Number(-1.0))], away("unnamed-70", 70, false)),
        (vec![("leave_id", text("me")), ("last_ms", Value::Number(f64::NAN))], away("me", 70, false)),
        (vec![("leave_id", Value::Null), ("keep_sound", Value::Number(1.0))], away("unnamed-70", 70, false)),
        (vec![("leave_id", text("me")), ("keep_sound", Value::Boolean(true))], away("me", 70, true)),
    ];
    for (fields, expected) in cases {
        raw.say(18, 70, &mark("mujianAway", fields)).unwrap();
        assert_eq!(raw.session.poll_event(), Some(expected));
    }
    raw.say(18, 70, &crate::amf::encode_all(&[text("mujianAway")])).unwrap();
    assert_eq!(raw.session.poll_event(), Some(away("unnamed-70", 70, false)));
    for fields in [vec![], vec![("leave_id", text(""))], vec![("leave_id", Value::Number(1.0))]] {
        raw.say(18, 71, &mark("mujianBack", fields)).unwrap();
    }
    assert_eq!(raw.session.poll_event(), None);
    assert_eq!(raw.session.skipped().0, 3);
    raw.say(18, 71, &mark("mujianBack", vec![("leave_id", text("me"))])).unwrap();
    assert_eq!(raw.session.poll_event(), Some(Event::Item(FeedItem::BackMark { leave_id: "me".parse().unwrap() })));
}

#[test]
fn a_client_survives_any_server() {
    let mut seed = 1u64;
    for _ in 0..200 {
        let mut c = client::Session::new(client_config(), at(0));
        let mut hello = vec![3];
        hello.extend([0; 2 * handshake::PACKET]);
        c.input(&hello, at(0)).unwrap();
        let mut noise = Vec::new();
        for _ in 0..300 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            noise.push((seed >> 33) as u8);
        }
        let _ = c.input(&noise, at(0));
    }
}
