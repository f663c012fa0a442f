//! Our publisher against the real ffmpeg program as the server: another reading of RTMP than ours.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mujian_media::flv::{Demuxer, Metadata};
use mujian_media::frame::FeedItem;
use mujian_media::rtmp::Secret;
use mujian_media::rtmp::client::{Config, Event, Session};
use mujian_media::time::Now;

const PATIENCE: Duration = Duration::from_secs(20);

/// Two seconds with B-frames and sound, as items.
fn recording() -> Vec<FeedItem> {
    let args = "-v error -f lavfi -i testsrc2=s=160x96:r=30 -f lavfi -i sine=r=44100 -t 2 -pix_fmt yuv420p -c:v libx264 \
                -preset veryfast -bf 2 -g 30 -c:a aac -ac 1 -f flv -flvflags no_duration_filesize -";
    let out = Command::new("ffmpeg").args(args.split_whitespace()).stdin(Stdio::null()).output();
    let mut demuxer = Demuxer::new();
    demuxer.input(&out.expect("the ffmpeg program is installed (make setup)").stdout).unwrap();
    std::iter::from_fn(|| demuxer.poll()).collect()
}

fn connect(address: SocketAddr) -> TcpStream {
    let began = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(tcp) => return tcp,
            // It has not begun to listen; a connection is the only way to find out.
            Err(e) if e.kind() == ErrorKind::ConnectionRefused && began.elapsed() < PATIENCE => {
                std::thread::yield_now()
            }
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn ffmpeg_takes_what_we_publish() {
    // ffmpeg cannot say which port it took, so a free one is found for it.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let url = format!("rtmp://127.0.0.1:{port}/live/room-1");
    let ffmpeg = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-copyts", "-listen", "1", "-i", &url])
        .args(["-c", "copy", "-f", "framemd5", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the ffmpeg program is installed (make setup)");

    let items = recording();
    let origin = Instant::now();
    let now = || Now::from_origin(origin.elapsed());
    let mut tcp = connect(address);
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let config = Config::new("live", &format!("rtmp://127.0.0.1:{port}/live"), Secret::new("room-1"));
    let mut session = Session::new(config, now());
    let mut buffer = [0; 4096];
    loop {
        while let Some(out) = session.poll_output() {
            tcp.write_all(&out).unwrap();
        }
        match session.poll_event() {
            Some(Event::Publishing) => break,
            Some(other) => panic!("{other:?}"),
            None => {
                let n = tcp.read(&mut buffer).unwrap();
                assert!(n > 0, "ffmpeg closed the connection");
                session.input(&buffer[..n], now()).unwrap();
            }
        }
    }
    session.send_metadata(&Metadata { width: Some(160.0), height: Some(96.0), ..Metadata::default() }).unwrap();
    for item in &items {
        session.send(item).unwrap();
    }
    session.end();
    while let Some(out) = session.poll_output() {
        tcp.write_all(&out).unwrap();
    }
    tcp.shutdown(std::net::Shutdown::Write).unwrap();

    let out = ffmpeg.wait_with_output().unwrap();
    let (sums, said) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let count = |track: &str| sums.lines().filter(|l| l.starts_with(track)).count();
    let video = items.iter().filter(|i| matches!(i, FeedItem::Video(_))).count();
    let audio = items.iter().filter(|i| matches!(i, FeedItem::Audio(_))).count();
    assert!(out.status.success(), "{said}");
    assert_eq!((count("0,"), count("1,")), (video, audio), "{said}\n{sums}");
    // Decoding and showing times arrive as they were, in milliseconds.
    let times = sums.lines().filter_map(|l| {
        let mut fields = l.strip_prefix("0,")?.split(',').map(|f| f.trim().parse::<i64>());
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    });
    let sent = items.iter().filter_map(|i| match i {
        FeedItem::Video(f) => Some((f.dts.millis(), f.pts.millis())),
        _ => None,
    });
    assert_eq!(times.collect::<Vec<_>>(), sent.collect::<Vec<_>>(), "{sums}");
}
