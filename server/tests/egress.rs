//! What viewers get, over TCP, from the real server and judged by the real ffmpeg.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::publisher::{Clip, Live};
use common::{PATIENCE, Site, site};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// A server, and a room on it.
async fn room() -> (Site, String) {
    let site = site().await;
    let token = site.person("owner").await;
    let id = site.room(&token).await["id"].as_str().unwrap().to_owned();
    (site, id)
}

fn small() -> Clip {
    Clip::encode("320x180", "-b:v 300k")
}

async fn live(site: &Site, room: &str, clip: Clip) -> Live {
    Live::start(site.server.as_ref().unwrap(), room, clip).await
}

/// Runs ffmpeg; anything that it complains about is a failure.
async fn ffmpeg(args: &str, input: &[u8]) -> String {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "warning"])
        .args(args.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let write = async {
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let (out, ()) = timeout(PATIENCE, async { tokio::join!(child.wait_with_output(), write) }).await.unwrap();
    let out = out.unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.trim().is_empty(), "ffmpeg {args}: {} {said}", out.status);
    String::from_utf8(out.stdout).unwrap()
}

/// Stream and DTS of every packet of ffmpeg's framecrc format.
fn packets(framecrc: &str) -> Vec<(u32, i64)> {
    framecrc
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut fields = line.split(',').map(str::trim);
            (fields.next().unwrap().parse().unwrap(), fields.next().unwrap().parse().unwrap())
        })
        .collect()
}

struct Media {
    socket: WebSocketStream<TcpStream>,
}

impl Media {
    async fn open(site: &Site, room: &str) -> Self {
        Self::over(TcpStream::connect(site.server.as_ref().unwrap().http).await.unwrap(), room).await
    }

    async fn over(tcp: TcpStream, room: &str) -> Self {
        let url = format!("ws://{}/live/{room}.mp4", tcp.peer_addr().unwrap());
        Self { socket: tokio_tungstenite::client_async(url, tcp).await.unwrap().0 }
    }

    /// The next media; none: closed, with this code.
    async fn next(&mut self) -> Result<Bytes, Option<CloseCode>> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("something comes") {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|f| f.code)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next fragment with a picture: its time in seconds, and whether it is a key frame.
    async fn picture(&mut self) -> (f64, bool) {
        loop {
            let message = self.next().await.unwrap();
            if !is_init(&message)
                && let Some(picture) = video(&message)
            {
                return picture;
            }
        }
    }

    /// The code with which it closes.
    async fn closed(&mut self) -> Option<CloseCode> {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

fn is_init(message: &[u8]) -> bool {
    &message[4..8] == b"ftyp"
}

/// What stands behind the only box of this kind: good enough for what we write.
fn behind<'a>(message: &'a [u8], kind: &[u8; 4]) -> &'a [u8] {
    let at =
        message.windows(4).position(|w| w == kind).unwrap_or_else(|| panic!("no {}", String::from_utf8_lossy(kind)));
    &message[at + 4..]
}

/// Decoding time of a fragment's picture in seconds, and whether it is a key frame; none: sound alone, which comes where
/// this machine was late with a picture.
fn video(fragment: &[u8]) -> Option<(f64, bool)> {
    // Of sound alone the only track is the second.
    if behind(fragment, b"tfhd")[4..8] != 1u32.to_be_bytes() {
        return None;
    }
    let dts = u64::from_be_bytes(behind(fragment, b"tfdt")[4..12].try_into().unwrap());
    let flags = u32::from_be_bytes(behind(fragment, b"trun")[20..24].try_into().unwrap());
    Some((dts as f64 / 90_000.0, flags == 0x0200_0000))
}

#[tokio::test(flavor = "multi_thread")]
async fn flv_is_continuous() {
    let (site, room) = room().await;
    let _live = live(&site, &room, small()).await;
    let url = format!("{}/live/{room}.flv", site.base);
    let crc =
        ffmpeg(&format!("-xerror -i {url} -map 0 -t 3 -c copy -copyts -enc_time_base 1:1000 -f framecrc -"), &[]).await;
    let packets = packets(&crc);
    for (stream, step, least) in [(0, 1000.0 / 30.0, 80), (1, 1024.0 / 48.0, 120)] {
        let times: Vec<i64> = packets.iter().filter(|(s, _)| *s == stream).map(|(_, dts)| *dts).collect();
        assert!(times.len() >= least, "{} packets of stream {stream}\n{crc}", times.len());
        for pair in times.windows(2) {
            // The feed is real time: where this machine was late, a picture was filled in, within a step and a half.
            let gap = (pair[1] - pair[0]) as f64;
            let most = if stream == 0 { step * 1.5 + 1.0 } else { step + 1.01 };
            assert!(gap > 0.0 && gap <= most, "{pair:?} of stream {stream}");
        }
    }
    // And every picture decodes.
    // The times as they are: a picture that was filled in stands between two steps of 30 a second.
    ffmpeg(
        &format!("-xerror -err_detect explode -i {url} -t 1 -fps_mode passthrough -enc_time_base -1 -f null -"),
        &[],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_gets_an_init_segment_and_then_fragments() {
    let (site, room) = room().await;
    let _live = live(&site, &room, small()).await;
    let mut media = Media::open(&site, &room).await;
    let mut file = Vec::new();
    let (mut last, mut pictures) = (None, 0);
    for i in 0..70 {
        let message = media.next().await.unwrap();
        file.extend_from_slice(&message);
        assert_eq!(is_init(&message), i == 0, "message {i}");
        if i > 0
            && let Some((dts, key)) = video(&message)
        {
            assert!(last.is_some() || key, "it starts with a key frame");
            assert!(last.is_none_or(|last| follows(last, dts)), "{last:?} {dts}");
            last = Some(dts);
            pictures += 1;
        }
    }
    let played = ffmpeg(
        "-xerror -err_detect explode -f mp4 -i - -map 0 -fps_mode passthrough -enc_time_base -1 -f framecrc -",
        &file,
    )
    .await;
    assert!(pictures > 50, "{pictures}");
    assert_eq!(packets(&played).iter().filter(|(stream, _)| *stream == 0).count(), pictures);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_configuration_gets_another_init_segment() {
    let (site, room) = room().await;
    let live = live(&site, &room, small()).await;
    let mut media = Media::open(&site, &room).await;
    let flv = tokio::spawn(site.client.get(format!("{}/live/{room}.flv", site.base)).send());
    assert!(is_init(&media.next().await.unwrap()));
    live.play(Clip::encode("640x360", "-profile:v main -b:v 300k"));
    let mut last = 0.0;
    let (init, next) = loop {
        let message = media.next().await.unwrap();
        if is_init(&message) {
            break (message, media.next().await.unwrap());
        }
        last = video(&message).map_or(last, |(dts, _)| dts);
    };
    // Width and height in the sample entry (ISO/IEC 14496-12, 12.1.3.2).
    assert_eq!(behind(&init, b"stsd")[40..44], [640u16.to_be_bytes(), 360u16.to_be_bytes()].concat());
    let (dts, key) = video(&next).unwrap();
    assert!(key && (dts - last - 1.0 / 30.0).abs() < 0.04, "{last} {dts}");
    ffmpeg("-xerror -f mp4 -i - -frames:v 1 -f null -", &[&init[..], &next[..]].concat()).await;

    // The same over FLV: a second sequence header comes on the way.
    let mut body = flv.await.unwrap().unwrap().bytes_stream();
    let mut got = Vec::new();
    let headers = |bytes: &[u8]| bytes.windows(5).filter(|w| *w == [0x17, 0, 0, 0, 0]).count();
    while headers(&got) < 2 {
        got.extend_from_slice(&timeout(PATIENCE, body.next()).await.unwrap().unwrap().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_ends_it_at_once() {
    let (site, room) = room().await;
    let live = live(&site, &room, small()).await;
    let mut media = Media::open(&site, &room).await;
    let mut flv = site.client.get(format!("{}/live/{room}.flv", site.base)).send().await.unwrap().bytes_stream();
    media.next().await.unwrap();
    flv.next().await.unwrap().unwrap();
    assert_eq!(live.room.grants.viewers(), 2);
    live.room.grants.revoke(|_| true);
    assert_eq!(media.closed().await, Some(CloseCode::Policy));
    while let Some(Ok(_)) = timeout(PATIENCE, flv.next()).await.unwrap() {}
    assert_eq!(live.room.grants.viewers(), 0);
}

/// Whether a picture follows the one before without a hole: 30 a second, and half a step more at most where this machine
/// was late and a picture was filled in.
fn follows(last: f64, dts: f64) -> bool {
    dts > last && dts - last <= 1.5 / 30.0 + 0.001
}

/// A socket whose kernel keeps little for it.
async fn narrow(site: &Site) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(site.server.as_ref().unwrap().http).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_viewer_skips_to_a_key_frame_and_nobody_else_notices() {
    let (site, room) = room().await;
    let _live = live(&site, &room, Clip::encode("640x360", "-b:v 8M -minrate 8M -maxrate 8M -bufsize 1M")).await;
    let mut quick = Media::open(&site, &room).await;
    let mut slow = Media::over(narrow(&site).await, &room).await;
    let (from, _) = slow.picture().await;
    // For six seconds of the programme only the other one reads.
    // In a task of its own, which nothing in this one holds up.
    let reading = tokio::spawn(async move {
        let mut last = None;
        loop {
            let (dts, _) = quick.picture().await;
            assert!(last.is_none_or(|last| follows(last, dts)), "{last:?} {dts}");
            last = Some(dts);
            if dts > from + 6.0 {
                break;
            }
        }
    });
    reading.await.unwrap();
    let mut last = from;
    loop {
        let (dts, key) = slow.picture().await;
        if dts - last > 0.05 {
            assert!(key, "it goes on with a key frame");
            assert!(dts > from + 3.0, "it skips to the newest: {from} {dts}");
            break;
        }
        last = dts;
    }
    let metrics = site.client.get(format!("{}/metrics", site.base)).send().await.unwrap().text().await.unwrap();
    let skips = metrics.lines().find(|l| l.starts_with("mujian_egress_skips_total{protocol=\"ws_mp4\"}"));
    assert!(skips.is_some_and(|l| !l.ends_with(" 0")), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_takes_nothing_is_gone_after_ten_seconds() {
    let (site, room) = room().await;
    let live = live(&site, &room, Clip::encode("640x360", "-b:v 8M -minrate 8M -maxrate 8M -bufsize 1M")).await;
    let mut flv = narrow(&site).await;
    flv.write_all(format!("GET /live/{room}.flv HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await.unwrap();
    flv.read_u8().await.unwrap();
    let began = Instant::now();
    let mut quick = Media::open(&site, &room).await;
    while live.room.grants.viewers() > 1 {
        quick.next().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert!(began.elapsed() > Duration::from_secs(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn off_air_players_are_told_and_pages_wait() {
    let (site, room) = room().await;
    let url = format!("{}/live/{room}", site.base);
    let answer = site.client.get(format!("{url}.flv")).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "off_air");
    let mut media = Media::open(&site, &room).await;
    let live = live(&site, &room, small()).await;
    assert!(is_init(&media.next().await.unwrap()));
    assert!(media.picture().await.1);

    // At the end FLV ends, and the page waits for what comes next.
    let flv = site.client.get(format!("{url}.flv")).send().await.unwrap();
    live.end();
    let flv = timeout(PATIENCE, flv.bytes()).await.unwrap().unwrap();
    assert!(flv.starts_with(b"FLV\x01\x05"));
    drop(live);
    let _again = self::live(&site, &room, small()).await;
    while !is_init(&media.next().await.unwrap()) {}
    assert!(media.picture().await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_every_shape() {
    let (site, room) = room().await;
    let _live = live(&site, &room, small()).await;
    let url = format!("{}/live/{room}", site.base);
    let head = site.client.head(format!("{url}.flv")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["content-type"]), (200, &"video/x-flv".parse().unwrap()));
    let options = site.client.request(reqwest::Method::OPTIONS, format!("{url}.flv")).send().await.unwrap();
    assert_eq!(
        (options.status().as_u16(), &options.headers()["access-control-allow-origin"]),
        (204, &"*".parse().unwrap())
    );
    for (path, status) in
        [(format!("{url}.ts"), 404), (format!("{}/live/nobody.flv", site.base), 404), (format!("{url}.mp4"), 426)]
    {
        let answer = site.client.get(&path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let body: Value = answer.json().await.unwrap();
        assert!(body["message"].as_str().unwrap().ends_with('.'), "{body}");
    }
    assert_eq!(site.client.post(format!("{url}.flv")).send().await.unwrap().status(), 405);

    // The second request of a connection goes another way inside, and brings the same.
    let mut tcp = TcpStream::connect(site.server.as_ref().unwrap().http).await.unwrap();
    tcp.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut got = vec![0; 4096];
    assert!(timeout(PATIENCE, tcp.read(&mut got)).await.unwrap().unwrap() > 0);
    tcp.write_all(format!("GET /live/{room}.flv HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !(got.starts_with(b"HTTP/1.1 200") && got.windows(4).any(|w| w == b"FLV\x01") && got.len() > 30_000) {
        assert!(
            timeout(PATIENCE, tcp.read_buf(&mut got)).await.unwrap().unwrap() > 0,
            "{}",
            String::from_utf8_lossy(&got)
        );
    }
    // As a browser's reader of FLV sees it, chunks taken off.
    let first = site.client.get(format!("{}/healthz", site.base)).send().await.unwrap();
    assert_eq!(first.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_viewer_sends_is_answered_or_ends_it() {
    let (site, room) = room().await;
    let live = live(&site, &room, small()).await;
    let mut media = Media::open(&site, &room).await;
    media.socket.send(Message::Ping(Bytes::from_static(b"there?"))).await.unwrap();
    media.socket.send(Message::text("ignored")).await.unwrap();
    loop {
        match timeout(PATIENCE, media.socket.next()).await.unwrap().unwrap().unwrap() {
            Message::Pong(payload) => break assert_eq!(&payload[..], b"there?"),
            Message::Binary(_) => {}
            other => panic!("{other:?}"),
        }
    }
    media.socket.close(None).await.unwrap();
    while timeout(PATIENCE, media.socket.next()).await.unwrap().is_some_and(|m| m.is_ok()) {}

    let mut long = Media::open(&site, &room).await;
    long.socket.send(Message::binary(vec![0; 5000])).await.unwrap();
    assert_eq!(long.closed().await, Some(CloseCode::Size));

    let mut flood = Media::open(&site, &room).await;
    for _ in 0..40 {
        if flood.socket.send(Message::binary(vec![0; 4000])).await.is_err() {
            break;
        }
    }
    flood.closed().await;

    let mut tcp = TcpStream::connect(site.server.as_ref().unwrap().http).await.unwrap();
    tcp.write_all(format!("GET /live/{room}.flv HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await.unwrap();
    tcp.read_u8().await.unwrap();
    drop(tcp);
    let mut quick = Media::open(&site, &room).await;
    let began = Instant::now();
    while live.room.grants.viewers() > 1 {
        quick.next().await.unwrap();
        assert!(began.elapsed() < PATIENCE, "all the others are gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_says_so() {
    let (mut site, room) = room().await;
    let _live = live(&site, &room, small()).await;
    let mut media = Media::open(&site, &room).await;
    media.next().await.unwrap();
    let stopping = tokio::spawn(site.server.take().unwrap().shutdown());
    assert_eq!(media.closed().await, Some(CloseCode::Away));
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
}
