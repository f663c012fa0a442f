//! What the app's window and the process behind it tell each other, besides the studio.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::api::AccountView;
use crate::room::ServerMessage;

/// The app, as it starts: the answer of `app_info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct AppInfo {
    /// The server that is used, as `http://HOST:PORT`.
    pub server_url: String,
    /// The language of the system as a BCP 47 tag, as `zh-CN`.
    pub locale: String,
    /// Who is logged in.
    pub account: Option<AccountView>,
    /// Why the system's keychain did not give the log-in of last time; none: it did, has none, or somebody logged in since.
    pub withheld: Option<Withheld>,
    /// The app hosts the server itself.
    pub hosting: bool,
    /// The app's version.
    pub version: String,
    /// The broadcast goes on that ran when the app was last ended by a crash.
    pub resumed: bool,
    /// Which server that is, as the person chose.
    pub home: AppHome,
    /// Keys are to be heard while another program is in front.
    pub hotkeys: bool,
}

/// Why the system's keychain does not give what it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// It is locked, and was not unlocked.
    Locked,
    /// It does not show it: it was taken out, or is in a keychain that is not open.
    Missing,
    /// It did not answer in time.
    Late,
    /// It fails.
    Failed,
}

/// Which server the app uses, and who said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AppHome {
    /// Nobody was asked yet: this is the app's first start, and it hosts.
    Unasked,
    /// The app hosts.
    Host,
    /// Another's.
    Join {
        /// As `https://HOST`.
        server: String,
    },
    /// The command line named one: for this run, and not to be changed here.
    Named,
}

/// A call under `/api/v1`, made by the process: the session's token never reaches the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct ApiRequest {
    /// GET, POST, PATCH or DELETE.
    pub method: String,
    /// Without `/api/v1`, beginning with `/`.
    pub path: String,
    /// JSON, where the call takes some.
    #[serde(default)]
    #[ts(type = "unknown")]
    pub body: serde_json::Value,
}

/// The answer to an [`ApiRequest`] that reached the server, errors of the server included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// JSON, or null where there is none.
    #[ts(type = "unknown")]
    pub body: serde_json::Value,
}

/// Where the connection to a room stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Being made.
    Connecting,
    /// The server said welcome.
    Joined,
    /// Broken; it is tried again by itself.
    Lost,
}

/// From the room's connection to the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RoomChannelMessage {
    /// From the server.
    Message {
        /// As it came.
        message: Box<ServerMessage>,
    },
    /// About the connection.
    State {
        /// From now on.
        state: LinkState,
    },
}

/// Where the programme's connection stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MediaState {
    /// Bytes come: an init segment first, then fragments.
    Connected,
    /// Broken; it is tried again by itself.
    Lost {
        /// A sentence for a person.
        reason: String,
    },
    /// There is nothing to watch now; open it again when the room is on air.
    Ended,
}

/// The page's words for the icon in the desktop's tray, in the language that the page speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
pub struct TrayWords {
    /// Show the window.
    pub open: String,
    /// Leave for a while.
    pub leave: String,
    /// Come back.
    pub back: String,
    /// Not on air.
    pub idle: String,
    /// On air.
    pub live: String,
    /// On air, and away.
    pub away: String,
    /// End the program.
    pub quit: String,
}

impl Default for TrayWords {
    /// Until the page has said its own.
    fn default() -> Self {
        let word = |s: &str| s.to_owned();
        Self {
            open: word("Open Mujian"),
            leave: word("Leave for a while"),
            back: word("I'm back"),
            idle: word("Mujian: not on air"),
            live: word("Mujian: live"),
            away: word("Mujian: away"),
            quit: word("Quit Mujian"),
        }
    }
}
