//! The real ffmpeg program publishes into a session, over TCP.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mujian_media::frame::{AudioFrame, FeedItem, VideoFrame};
use mujian_media::rtmp::RtmpError;
use mujian_media::rtmp::server::{Config, Event, PublishRequest, Refusal, Session};
use mujian_media::time::Now;

/// What a publisher did.
#[derive(Default)]
struct Taken {
    request: Option<PublishRequest>,
    items: Vec<FeedItem>,
    ended: bool,
    error: Option<RtmpError>,
    /// All bytes that came after it was let in.
    bytes: Vec<u8>,
}

impl Taken {
    fn pictures(&self) -> Vec<&VideoFrame> {
        self.items.iter().filter_map(|i| if let FeedItem::Video(f) = i { Some(f) } else { None }).collect()
    }

    fn sound(&self) -> Vec<&AudioFrame> {
        self.items.iter().filter_map(|i| if let FeedItem::Audio(f) = i { Some(f) } else { None }).collect()
    }
}

/// Serves one connection until it ends; `let_in` decides.
fn serve(mut tcp: TcpStream, let_in: Result<(), &str>) -> Taken {
    let origin = Instant::now();
    let now = || Now::from_origin(origin.elapsed());
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut session = Session::new(Config::default(), now());
    let mut taken = Taken::default();
    let mut buffer = [0; 8192];
    loop {
        while let Some(out) = session.poll_output() {
            tcp.write_all(&out).unwrap();
        }
        if session.is_closed() {
            return taken;
        }
        let n = match tcp.read(&mut buffer) {
            // ffmpeg does not read our last answers before it closes, which the system tells as a reset.
            Ok(0) => return taken,
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return taken,
            other => other.expect("ffmpeg goes on"),
        };
        if session.is_publishing() {
            taken.bytes.extend_from_slice(&buffer[..n]);
        }
        taken.error = session.input(&buffer[..n], now()).err();
        while let Some(event) = session.poll_event() {
            match event {
                Event::PublishRequested(r) => {
                    taken.request = Some(r);
                    match let_in {
                        Ok(()) => session.accept(now()),
                        Err(sentence) => session.refuse(Refusal::Denied, sentence),
                    }
                }
                Event::Item(item) => taken.items.push(item),
                Event::Metadata(_) => {}
                Event::Ended => taken.ended = true,
            }
        }
    }
}

/// Runs ffmpeg with these arguments to our address; gives what was taken, and what ffmpeg said.
fn publish(args: &str, let_in: Result<(), &'static str>) -> (Taken, String) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || serve(listener.accept().unwrap().0, let_in));
    let ffmpeg = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-threads", "1"])
        .args(args.split_whitespace())
        .args(["-f", "flv", &format!("rtmp://127.0.0.1:{port}/live/room-1?key=the-key")])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .expect("the ffmpeg program is installed (make setup)");
    (server.join().unwrap(), String::from_utf8_lossy(&ffmpeg.stderr).into_owned())
}

const PICTURE: &str = "-f lavfi -i testsrc2=s=160x96:r=30";
const X264: &str = "-pix_fmt yuv420p -c:v libx264 -preset veryfast -g 30";

#[test]
fn b_frames_and_44100_mono() {
    let args = format!("{PICTURE} -f lavfi -i sine=r=44100 -t 2 {X264} -bf 2 -c:a aac -ac 1");
    let (taken, said) = publish(&args, Ok(()));
    let request = taken.request.as_ref().unwrap();
    assert_eq!((request.app.as_str(), request.room.as_str(), request.key.expose()), ("live", "room-1", "the-key"));
    assert!(request.program.contains("Lavf"), "{request:?}");
    assert_eq!((taken.error.clone(), taken.ended), (None, true), "{said}");

    let pictures = taken.pictures();
    assert_eq!(pictures.len(), 60);
    assert!(pictures.windows(2).all(|w| w[0].dts < w[1].dts));
    assert!(pictures.iter().all(|f| f.pts >= f.dts));
    assert!(pictures.windows(2).any(|w| w[0].pts > w[1].pts), "B-frames are reordered");
    assert_eq!(pictures.iter().filter(|f| f.key).count(), 2);
    assert!(matches!(taken.items.iter().find_map(|i| if let FeedItem::AudioConfig(c) = i { Some(c) } else { None }),
        Some(c) if (c.sample_rate, c.channels) == (44_100, 1)));
    assert!((86..=89).contains(&taken.sound().len()), "{}", taken.sound().len());
}

#[test]
fn no_sound_at_all() {
    let (taken, said) = publish(&format!("{PICTURE} -t 1 {X264}"), Ok(()));
    assert_eq!((taken.pictures().len(), taken.sound().len(), taken.ended), (30, 0, true), "{said}");
}

#[test]
fn long_streams_have_extended_timestamps() {
    // From a second before 24 bits of milliseconds run out, and after weeks, with an extended timestamp in every
    // chunk. (ffmpeg itself cannot be made to start near the end of 32 bits.)
    for offset in [16_776.5, 2_147_000.0] {
        let args = format!("{PICTURE} -f lavfi -i sine=r=48000 -t 2 {X264} -c:a aac -ac 2 -output_ts_offset {offset}");
        let (taken, said) = publish(&args, Ok(()));
        let pictures = taken.pictures();
        assert_eq!((pictures.len(), taken.error.clone()), (60, None), "{said}");
        assert!(pictures[0].dts.millis() as f64 >= offset * 1000.0 - 100.0, "{:?}", pictures[0].dts);
        for w in pictures.windows(2) {
            assert!((32..=35).contains(&(w[1].dts.millis() - w[0].dts.millis())), "{:?} {:?}", w[0].dts, w[1].dts);
        }
        let sound = taken.sound();
        for w in sound.windows(2) {
            assert!((20..=23).contains(&(w[1].pts.millis() - w[0].pts.millis())), "{:?} {:?}", w[0].pts, w[1].pts);
        }
    }
}

#[test]
fn a_refusal_is_a_sentence_that_ffmpeg_prints() {
    let (taken, said) = publish(&format!("{PICTURE} -t 1 {X264}"), Err("The stream key is wrong."));
    assert!(taken.items.is_empty() && said.contains("The stream key is wrong."), "{said}");
}

#[test]
fn mp3_is_refused_by_name() {
    let args = format!("-re {PICTURE} -re -f lavfi -i sine=r=44100 -t 20 {X264} -tune zerolatency -c:a libmp3lame");
    let (taken, _) = publish(&args, Ok(()));
    assert!(
        matches!(&taken.error, Some(RtmpError::Unsupported(s)) if s.sentence.contains("MP3") && s.sentence.contains("AAC"))
    );
}

/// Writes the corpus's recordings anew: `cargo test -p mujian-media --test publish record -- --ignored`.
#[test]
#[ignore = "writes into the source tree; run by hand when the corpus is made anew"]
fn record_the_corpus() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/rtmp_server");
    std::fs::create_dir_all(&folder).unwrap();
    let small = "-f lavfi -i color=s=64x64:r=10 -f lavfi -i anullsrc=r=48000 -t 0.5 -pix_fmt yuv420p -c:v libx264 \
                 -preset veryfast -c:a aac -b:a 32k";
    let (taken, _) = publish(small, Ok(()));
    // ffmpeg cuts by our chunk size from before that on.
    let mut seed = vec![255, 0, 2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 16, 0];
    seed.extend_from_slice(&taken.bytes);
    std::fs::write(folder.join("ffmpeg"), seed).unwrap();
}
