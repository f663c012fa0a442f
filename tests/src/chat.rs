//! Somebody else in the room, who writes danmaku: the room's socket without a page.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Room, Server};

/// All of them are answered by then.
const SOON: Duration = Duration::from_secs(30);

/// Joins the room with a session, writes these comments in their order, and leaves when all of them are accepted.
///
/// # Errors
///
/// The server refused one of them, or did not answer.
pub async fn say(server: &Server, room: &Room, token: &str, texts: &[&str]) -> Result<()> {
    let url = format!("ws://{}/api/v1/rooms/{}/socket", server.http, room.id);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    let hello = json!({"type": "hello", "version": mujian_protocol::room::ROOM_PROTOCOL, "token": token});
    socket.send(Message::text(hello.to_string())).await?;
    let visit = uuid::Uuid::new_v4();
    let talk = async {
        for (number, text) in texts.iter().enumerate() {
            let client_ref = format!("{visit}.{number}");
            let order = json!({"type": "danmaku", "client_ref": client_ref, "text": text});
            socket.send(Message::text(order.to_string())).await?;
            loop {
                let Message::Text(answer) = socket.next().await.context("the socket was closed")?? else { continue };
                let answer: Value = serde_json::from_str(&answer)?;
                if answer["client_ref"] != client_ref.as_str() {
                    continue;
                }
                match answer["type"].as_str() {
                    Some("accepted") => break,
                    Some("refused") => bail!("{text} was refused: {answer}"),
                    _ => {}
                }
            }
        }
        Ok(())
    };
    tokio::time::timeout(SOON, talk).await.context("no answer")?
}
