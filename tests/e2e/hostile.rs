//! Hostile input over real connections: refused or survived, within bounded memory and time.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use mujian_tests::ffmpeg::Publish;
use mujian_tests::measure::cpu::memory;
use mujian_tests::server::{Room, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const SOON: Duration = Duration::from_secs(20);
/// What all the attacks together may cost in memory.
const BYTES_MAX: u64 = 48 << 20;

/// Reads until the other side closes.
async fn closed(socket: &mut TcpStream, limit: Duration) -> Result<()> {
    let mut buffer = vec![0; 4096];
    let reading = async { while matches!(socket.read(&mut buffer).await, Ok(n) if n > 0) {} };
    tokio::time::timeout(limit, reading).await.context("the connection stays open")
}

/// A connection after RTMP's plain handshake (C0 to C2).
async fn greeted(server: SocketAddr) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(server).await?;
    let mut hello = vec![3u8];
    hello.extend(vec![0; 1536]);
    socket.write_all(&hello).await?;
    let mut answer = vec![0; 1 + 1536 * 2];
    tokio::time::timeout(SOON, socket.read_exact(&mut answer)).await.context("no handshake")??;
    socket.write_all(&answer[1..1537]).await?;
    Ok(socket)
}

/// A chunk with a full header (RTMP 1.0, 5.3.1.2.1).
fn chunk(stream: u8, length: u32, kind: u8, body: &[u8]) -> Vec<u8> {
    let size = length.to_be_bytes();
    let mut bytes = vec![stream, 0, 0, 0, size[1], size[2], size[3], kind, 0, 0, 0, 0];
    bytes.extend_from_slice(body);
    bytes
}

#[tokio::test]
async fn rtmp_lies_are_survived_while_a_stream_goes_on() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let pid = server.program.pid().context("gone")?;
    let before = memory(pid)?;

    // No RTMP at all: a request of HTTP, and bytes that mean nothing.
    for first in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), vec![0xff; 4000], vec![0; 4000]] {
        let mut socket = TcpStream::connect(server.rtmp).await?;
        // The other side may close while this is still being written.
        let _ = socket.write_all(&first).await;
        closed(&mut socket, SOON).await.with_context(|| format!("{:?}", &first[..4]))?;
    }
    // A message of 16 MiB that is announced on many chunk streams: nothing is kept for what has not come.
    let mut socket = greeted(server.rtmp).await?;
    for stream in 3..64u8 {
        if socket.write_all(&chunk(stream, 0xff_ffff, 9, &[0; 128])).await.is_err() {
            break;
        }
    }
    drop(socket);
    // Chunk sizes of 0, 1 and 2^31.
    for size in [0u32, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        let mut socket = greeted(server.rtmp).await?;
        let _ = socket.write_all(&chunk(2, 4, 1, &size.to_be_bytes())).await;
        let _ = socket.write_all(&chunk(3, 0xff_ffff, 20, &vec![0x03; 65_536])).await;
    }
    // A chunk that refers to one before, where there is none; media before anything else; deep AMF.
    for bytes in [vec![0xc7; 64], chunk(4, 5, 9, &[0x17, 1, 0, 0, 0]), {
        let mut deep = b"\x02\x00\x07connect\x00\x3f\xf0\0\0\0\0\0\0".to_vec();
        for _ in 0..2000 {
            deep.extend_from_slice(b"\x03\x00\x01a");
        }
        let length = u32::try_from(deep.len())?;
        let mut all = chunk(2, 4, 1, &65_536u32.to_be_bytes());
        all.extend(chunk(3, length, 20, &deep));
        all
    }] {
        let mut socket = greeted(server.rtmp).await?;
        let _ = socket.write_all(&bytes).await;
        closed(&mut socket, SOON).await.with_context(|| format!("{} bytes", bytes.len()))?;
    }
    // Somebody who connects and says nothing is sent away.
    let mut silent = TcpStream::connect(server.rtmp).await?;
    closed(&mut silent, Duration::from_secs(30)).await.context("a silent connection")?;

    let after = memory(pid)?;
    assert!(after.saturating_sub(before) < BYTES_MAX, "memory grew from {before} to {after}");
    assert_eq!(server.stage(&room).await?, "live");
    Ok(())
}

pub(crate) type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

pub(crate) async fn room_socket(server: &Server, room: &Room, origin: Option<&str>) -> Result<Socket> {
    let mut request = format!("ws://{}/api/v1/rooms/{}/socket", server.http, room.id).into_client_request()?;
    if let Some(origin) = origin {
        request.headers_mut().insert("Origin", origin.parse()?);
    }
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

/// Reads messages until the socket is closed; gives the text of them.
async fn until_closed(socket: &mut Socket) -> Result<String> {
    let mut words = String::new();
    let reading = async {
        while let Some(Ok(message)) = socket.next().await {
            match message {
                Message::Text(text) => words.push_str(&text),
                Message::Close(_) => break,
                _ => {}
            }
        }
    };
    tokio::time::timeout(SOON, reading).await.context("the socket stays open")?;
    Ok(words)
}

#[tokio::test]
async fn the_room_socket_checks_its_origin_and_its_messages() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let pid = server.program.pid().context("gone")?;
    let before = memory(pid)?;

    // A page of somebody else's site; the server's own page; a program without an origin.
    assert!(room_socket(&server, &room, Some("https://evil.example")).await.is_err(), "a foreign page was let in");
    room_socket(&server, &room, Some(&server.url())).await.context("its own page")?;
    room_socket(&server, &room, None).await.context("a program")?;

    // Messages that are no messages, too large, or before the hello.
    let hello = r#"{"type":"hello","version":1}"#;
    let danmaku = r#"{"type":"danmaku","client_ref":"a","text":"x"}"#;
    for (what, messages) in [
        ("no JSON", vec![Message::text("nonsense")]),
        ("too large", vec![Message::text(hello), Message::text("x".repeat(2 << 20))]),
        ("before the hello", vec![Message::text(danmaku)]),
        ("bytes", vec![Message::binary(vec![0; 64])]),
    ] {
        let mut socket = room_socket(&server, &room, None).await?;
        for message in messages {
            let _ = socket.send(message).await;
        }
        until_closed(&mut socket).await.context(what)?;
    }

    // Without a session nobody writes; the socket stays, with a reason.
    let mut socket = room_socket(&server, &room, None).await?;
    socket.send(Message::text(hello)).await?;
    socket.send(Message::text(danmaku)).await?;
    let refused = tokio::time::timeout(SOON, async {
        while let Some(message) = socket.next().await {
            if let Message::Text(text) = message?
                && text.contains("\"type\":\"refused\"")
            {
                return Ok(text.to_string());
            }
        }
        bail!("the socket was closed")
    })
    .await??;
    assert!(refused.contains("unauthenticated"), "{refused}");

    let after = memory(pid)?;
    assert!(after.saturating_sub(before) < BYTES_MAX, "memory grew from {before} to {after}");
    Ok(())
}

/// A frame of a client (RFC 6455, 5.2), masked with zeros; `first` is its first byte.
fn frame(first: u8, length: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(0x80 | length as u8),
        126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// A WebSocket of bare bytes that asks for compression; gives the answer's head too.
async fn bare_socket(server: &Server, path: &str) -> Result<(TcpStream, String)> {
    let mut socket = TcpStream::connect(server.http).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        server.http
    );
    socket.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(SOON, socket.read_u8()).await.context("no answer")??;
        head.push(byte);
    }
    Ok((socket, String::from_utf8(head)?.to_lowercase()))
}

#[tokio::test]
async fn websocket_bombs_and_endless_messages_are_refused() -> Result<()> {
    const FINAL: u8 = 0x80;
    const COMPRESSED: u8 = 0x40;
    const CONTINUED: u8 = 0;
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let pid = server.program.pid().context("gone")?;
    let before = memory(pid)?;
    // A stored block of deflate, repeated: what it would become does not matter, it must not be looked at.
    let bomb = [0x72, 0, 0, 0, 0xff, 0xff].repeat(600);
    let mut endless = frame(TEXT, 100, &[b'x'; 100]);
    for _ in 0..100_000 {
        endless.extend(frame(CONTINUED, 100, &[b'x'; 100]));
    }
    for path in [format!("/api/v1/rooms/{}/socket", room.id), format!("/live/{}.mp4", room.id)] {
        let (_, head) = bare_socket(&server, &path).await?;
        assert!(head.starts_with("http/1.1 101"), "{path}: {head}");
        assert!(!head.contains("sec-websocket-extensions"), "compression is not agreed to: {path}: {head}");
        for (what, bytes) in [
            ("a compressed message", frame(FINAL | COMPRESSED | TEXT, bomb.len() as u64, &bomb)),
            ("a message of 2^62 bytes", frame(FINAL | BINARY, 1 << 62, &[0; 4096])),
            ("a message of 1 GiB", frame(FINAL | BINARY, 1 << 30, &vec![0; 1 << 20])),
            ("a message in endless pieces", endless.clone()),
            ("a ping of 64 KiB", frame(FINAL | 9, 65_535, &vec![0; 65_535])),
            ("a frame of no kind", frame(FINAL | 0x0b, 4, b"abcd")),
            ("a frame without a mask", vec![FINAL | TEXT, 4, b'a', b'b', b'c', b'd']),
        ] {
            let (mut socket, _) = bare_socket(&server, &path).await?;
            // The server may close while this is still being written.
            let _ =
                tokio::time::timeout(SOON, socket.write_all(&bytes)).await.with_context(|| format!("{what}: stuck"))?;
            closed(&mut socket, SOON).await.with_context(|| format!("{what}, {path}"))?;
        }
    }
    let after = memory(pid)?;
    assert!(after.saturating_sub(before) < BYTES_MAX, "memory grew from {before} to {after}");
    Ok(())
}

/// Writes one byte after another, slowly, until the other side closes.
async fn drip(address: SocketAddr, bytes: &[u8], limit: Duration) -> Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    let mut buffer = [0; 4096];
    let dripping = async {
        let mut pace = tokio::time::interval(Duration::from_millis(500));
        for byte in bytes.iter().cycle() {
            pace.tick().await;
            if socket.write_all(&[*byte]).await.is_err() {
                return;
            }
            match socket.try_read(&mut buffer) {
                Ok(0) => return,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(limit, dripping).await.context("the connection stays open")
}

#[tokio::test]
async fn who_speaks_too_slowly_is_sent_away_and_others_are_served_meanwhile() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let limit = Duration::from_secs(60);
    let head = b"GET /api/v1/server HTTP/1.1\r\nHost: localhost\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let mut hello = vec![3u8];
    hello.extend(vec![0; 1536]);
    let silent = async {
        let mut socket = TcpStream::connect(server.http).await?;
        closed(&mut socket, limit).await
    };
    let chatty = async {
        // A publisher who greets and then goes on one byte at a time never gets to publish.
        let mut socket = greeted(server.rtmp).await?;
        let mut pace = tokio::time::interval(Duration::from_millis(500));
        let trickle = async {
            loop {
                pace.tick().await;
                if socket.write_all(&[0x03]).await.is_err() {
                    return;
                }
                if matches!(socket.try_read(&mut [0; 64]), Ok(0)) {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, trickle).await.context("the connection stays open")
    };
    let path = format!("/rooms/{}", room.id);
    let (http, rtmp, silent, chatty, served) = tokio::join!(
        drip(server.http, head, limit),
        drip(server.rtmp, &hello, limit),
        silent,
        chatty,
        server.call("GET", &path, None, None),
    );
    http.context("a request's head")?;
    rtmp.context("RTMP's handshake")?;
    silent.context("a connection without a word")?;
    chatty.context("RTMP's commands")?;
    assert_eq!(served?.0, 200);
    Ok(())
}

#[tokio::test]
async fn markup_in_titles_and_danmaku_stays_text_and_lengths_are_bounded() -> Result<()> {
    let server = Server::start().await?;
    let markup = "<img src=x onerror=alert(1)>";
    let room = server.room("owner", markup).await?;
    let (_, view) = server.call("GET", &format!("/rooms/{}", room.id), None, None).await?;
    assert_eq!(view["title"], markup, "kept as it was typed");
    let long = serde_json::json!({"title": "x".repeat(10_000)});
    let (status, answer) = server.call("POST", "/rooms", Some(&room.token), Some(long)).await?;
    assert_eq!(status, 400, "{answer}");
    assert!(answer["code"].is_string() && answer["message"].is_string(), "{answer}");
    let huge = serde_json::json!({"name": "x".repeat(4 << 20), "password": "correct horse"});
    // Whoever says far too much is told so every time, and may go on over the same connection.
    for _ in 0..20 {
        let (status, answer) = server.call("POST", "/accounts", None, Some(huge.clone())).await?;
        assert_eq!((status, answer["code"].as_str()), (413, Some("too_large")), "{answer}");
        assert_eq!(server.call("GET", "/rooms", None, None).await?.0, 200);
    }
    // Who announces more than is ever read, and does not send it, is answered all the same, and goes.
    let mut socket = TcpStream::connect(server.http).await?;
    let call = format!("POST /api/v1/rooms HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000000\r\n\r\n", server.http);
    socket.write_all(call.as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(SOON, socket.read_to_string(&mut answer)).await.context("no end")??;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
    server.account("another").await.map(|_| ())
}
