//! The description of the calls, at `/api/v1/openapi.json`.

use mujian_protocol::ApiError;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{absence, accounts, follows, hall, overlays, placeholders, relays, replays, rooms, server, speed};

#[derive(OpenApi)]
#[openapi(
    info(title = "Mujian", description = "Calls of a Mujian server. Errors are {code, message} with stable codes."),
    servers((url = "/api/v1")),
    paths(
        accounts::sign_up,
        accounts::find,
        accounts::change,
        accounts::log_in,
        accounts::audit,
        accounts::export,
        accounts::delete,
        accounts::make_recovery,
        accounts::recover,
        accounts::log_out,
        accounts::log_out_elsewhere,
        accounts::change_password,
        accounts::me,
        accounts::rename,
        rooms::mine,
        hall::hall,
        hall::announcement,
        hall::announce,
        hall::withdraw,
        follows::list,
        follows::follow,
        follows::unfollow,
        follows::followers,
        rooms::create,
        rooms::list,
        rooms::get,
        rooms::cover,
        rooms::get_owned,
        rooms::change,
        rooms::renew_key,
        rooms::end,
        absence::leave,
        absence::back,
        absence::back_at,
        absence::ballot,
        absence::vote,
        absence::interactions,
        absence::change_interactions,
        absence::done,
        rooms::publishers,
        rooms::refused,
        rooms::admit,
        overlays::get,
        overlays::renew,
        overlays::switch_off,
        relays::list,
        relays::add,
        relays::change,
        relays::delete,
        rooms::watch_token,
        rooms::open_socket,
        replays::list,
        replays::get,
        replays::delete,
        replays::danmaku,
        placeholders::list,
        placeholders::add,
        placeholders::set_sound,
        placeholders::change,
        placeholders::delete,
        placeholders::poster,
        placeholders::preview,
        placeholders::file,
        placeholders::sound,
        placeholders::pick,
        placeholders::waiting,
        placeholders::verdict,
        placeholders::trust,
        accounts::set_up,
        server::info,
        speed::speed,
    ),
    components(schemas(ApiError)),
    modifiers(&Session)
)]
struct Document;

struct Session;

impl Modify for Session {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        if let Some(components) = openapi.components.as_mut() {
            components.add_security_scheme("session", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        }
    }
}

/// The document.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}
