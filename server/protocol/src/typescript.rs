//! The interface's TypeScript types, written from the Rust ones, so that a message is told once.
//!
//! `cargo run -p mujian-protocol --example generate` writes them to [`PATH`]; a test of this
//! crate fails while the committed file differs.

use std::collections::BTreeMap;

use ts_rs::{Config, TS, TypeVisitor};

use crate::{api, app, audit, ballot, error, export, hall, placeholder, relay, replay, room, studio};

/// Where the file lies, from the root of the repository.
pub const PATH: &str = "ui/src/lib/generated/protocol.ts";

/// Declarations by name: the order does not depend on who mentions whom.
struct Declarations {
    config: Config,
    by_name: BTreeMap<String, String>,
}

impl Declarations {
    fn add<T: TS + 'static>(&mut self) {
        self.visit::<T>();
    }
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // Types without a file of their own (numbers, lists) are written in place by ts-rs.
        if T::output_path().is_some() {
            let name = T::ident(&self.config);
            if self.by_name.contains_key(&name) {
                return;
            }
            let docs = T::docs().unwrap_or_default();
            self.by_name.insert(name, format!("{docs}export {}\n", T::decl(&self.config)));
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

/// The whole file.
///
/// A message that nothing below mentions is added to the list here.
#[must_use]
pub fn declarations() -> String {
    let mut all = Declarations { config: Config::new().with_large_int("number"), by_name: BTreeMap::new() };
    // Calls under /api/v1.
    all.add::<api::AccountView>();
    all.add::<api::Credentials>();
    all.add::<api::SessionView>();
    all.add::<api::AccountPatch>();
    all.add::<api::NamePatch>();
    all.add::<api::PasswordChange>();
    all.add::<api::RecoveryCode>();
    all.add::<api::RecoveryRequest>();
    all.add::<api::SetupRequest>();
    all.add::<api::NewRoom>();
    all.add::<api::RoomPatch>();
    all.add::<api::RoomView>();
    all.add::<api::OwnedRoom>();
    all.add::<api::WaitingPublisher>();
    all.add::<api::RefusedPublisher>();
    all.add::<api::WatchToken>();
    all.add::<api::OverlayState>();
    all.add::<api::OverlayKey>();
    all.add::<api::Followers>();
    all.add::<hall::HallView>();
    all.add::<hall::AnnouncementState>();
    all.add::<relay::NewRelay>();
    all.add::<relay::RelayPatch>();
    all.add::<relay::RelayView>();
    all.add::<api::ServerInfo>();
    all.add::<studio::LineSpeed>();
    all.add::<api::LeaveRequest>();
    all.add::<api::BackAtRequest>();
    all.add::<api::BackRequest>();
    all.add::<ballot::BallotSettings>();
    all.add::<ballot::BallotSettingsPatch>();
    all.add::<ballot::BallotState>();
    all.add::<ballot::VoteRequest>();
    all.add::<replay::ReplayView>();
    all.add::<replay::Replay>();
    all.add::<replay::ReplayDanmakuPage>();
    all.add::<error::ApiError>();
    all.add::<placeholder::ShelfView>();
    all.add::<placeholder::PlaceholderPatch>();
    all.add::<placeholder::AwayRequest>();
    all.add::<placeholder::ReviewItem>();
    all.add::<placeholder::VerdictRequest>();
    all.add::<placeholder::TrustRequest>();
    all.add::<audit::AuditPage>();
    all.add::<export::AccountExport>();
    all.add::<api::AccountDeletion>();
    // The room socket.
    all.add::<room::ClientMessage>();
    all.add::<room::ServerMessage>();
    // The app's window.
    all.add::<app::AppInfo>();
    all.add::<app::AppHome>();
    all.add::<app::ApiRequest>();
    all.add::<app::ApiResponse>();
    all.add::<app::RoomChannelMessage>();
    all.add::<app::MediaState>();
    all.add::<app::TrayWords>();
    // The app's studio.
    all.add::<studio::Devices>();
    all.add::<studio::StudioState>();
    all.add::<studio::StudioEvent>();

    let mut out =
        String::from("// Generated from server/protocol by `make generate`. Do not edit.\n/* eslint-disable */\n\n");
    for (doc, name, value) in CONSTANTS {
        out.push_str(&format!("/** {doc} */\nexport const {name} = {value};\n"));
    }
    for declaration in all.by_name.values() {
        out.push('\n');
        out.push_str(declaration);
    }
    // ts-rs leaves blanks at the ends of lines; git and editors mind them.
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n") + "\n"
}

/// Limits that the interface tells a person before the server has to.
const CONSTANTS: &[(&str, &str, usize)] = &[
    ("Version of the room socket's protocol.", "ROOM_PROTOCOL", room::ROOM_PROTOCOL as usize),
    ("Longest danmaku, in characters.", "DANMAKU_MAX", room::DANMAKU_MAX),
    ("Longest message to the room socket, in bytes.", "CLIENT_MESSAGE_MAX", room::CLIENT_MESSAGE_MAX),
    ("Longest client_ref, in bytes.", "CLIENT_REF_MAX", room::CLIENT_REF_MAX),
    ("Longest account name, in characters.", "NAME_MAX", api::NAME_MAX),
    ("Shortest password, in characters.", "PASSWORD_MIN", api::PASSWORD_MIN),
    ("Longest password, in bytes.", "PASSWORD_MAX", api::PASSWORD_MAX),
    ("Longest room title, in characters.", "TITLE_MAX", api::TITLE_MAX),
    ("Longest category, in characters.", "CATEGORY_MAX", api::CATEGORY_MAX),
    ("Most tags of a room.", "TAGS_MAX", api::TAGS_MAX),
    ("Longest tag, in characters.", "TAG_MAX", api::TAG_MAX),
    ("How far ahead something may be announced, in days.", "ANNOUNCED_DAYS_MAX", hall::ANNOUNCED_DAYS_MAX as usize),
    ("Largest file of a placeholder, in bytes.", "PLACEHOLDER_BYTES_MAX", placeholder::PLACEHOLDER_BYTES_MAX),
    ("Most placeholders on a shelf.", "PLACEHOLDERS_MAX", placeholder::PLACEHOLDERS_MAX),
    ("Longest name of a placeholder, in characters.", "PLACEHOLDER_NAME_MAX", placeholder::PLACEHOLDER_NAME_MAX),
    ("Most keywords of a placeholder.", "KEYWORDS_MAX", placeholder::KEYWORDS_MAX),
    ("Longest keyword, in characters.", "KEYWORD_MAX", placeholder::KEYWORD_MAX),
    ("Longest words on a placeholder, in characters.", "PLACEHOLDER_TEXT_MAX", placeholder::PLACEHOLDER_TEXT_MAX),
    ("Most further addresses of a room.", "RELAYS_MAX", relay::RELAYS_MAX),
    ("Longest name of one, in characters.", "RELAY_NAME_MAX", relay::RELAY_NAME_MAX),
    ("Most interactions that a room offers.", "INTERACTIONS_MAX", ballot::INTERACTIONS_MAX),
    ("Longest interaction in the streamer's own words, in characters.", "INTERACTION_MAX", ballot::INTERACTION_MAX),
    ("Longest time that a ballot stays open, in seconds.", "BALLOT_SECONDS_MAX", ballot::BALLOT_SECONDS_MAX as usize),
];
