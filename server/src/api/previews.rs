//! What a shared link shows of itself (Open Graph): programs that show links read a page without running it.
//!
//! The pages of rooms and replays say in their heads what they are about, in the language that is asked for. What
//! people wrote is in it as text: whatever HTML could read as more is written as a reference.

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use mujian_protocol::RoomId;
use mujian_protocol::api::RoomView;
use mujian_protocol::room::Stage;

use super::extract;
use super::hosts::{Listener, name_of};
use crate::app::App;
use crate::limit::address_key;
use crate::replay::serve;

/// Shown where there is no picture of what the page is about.
const PICTURE: &str = "/preview.png";
/// Its size in pixels.
const PICTURE_SIZE: (u32, u32) = (1200, 630);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Chinese,
    English,
}

impl Language {
    /// Chinese or English, whichever is named first; where neither is, the one that the title is in.
    fn of(headers: &HeaderMap, title: &str) -> Self {
        let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let tags = asked.split(',').filter_map(|tag| tag.split([';', '-', '_']).next()).map(str::trim);
        for tag in tags {
            if tag.eq_ignore_ascii_case("zh") {
                return Self::Chinese;
            }
            if tag.eq_ignore_ascii_case("en") {
                return Self::English;
            }
        }
        let han = title.chars().any(|c| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}'));
        if han { Self::Chinese } else { Self::English }
    }

    fn pick<T>(self, chinese: T, english: T) -> T {
        match self {
            Self::Chinese => chinese,
            Self::English => english,
        }
    }
}

/// What a page says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Preview {
    title: String,
    description: String,
    language: Language,
    /// Where the page is; none: the request does not tell how the server is called.
    base: Option<String>,
    path: String,
    /// A still picture of what is shown there now, by its path; there may be one.
    cover: Option<String>,
}

/// What the page that is asked for is about, if it is about something that is there.
pub(super) async fn of(app: &App, parts: &Parts) -> Option<Preview> {
    let path = parts.uri.path();
    let (screen, id) = path.strip_prefix('/')?.split_once('/')?;
    if !matches!(screen, "watch" | "replay") {
        return None;
    }
    // Whoever asks for too many gets the page as it is for everything.
    app.limits.requests.take(address_key(extract::peer(parts, app).address), app.clock.now()).ok()?;
    let headers = &parts.headers;
    let (title, language, description, cover) = if screen == "watch" {
        let room = room(app, id.parse().ok()?).await?;
        let language = Language::of(headers, &room.title);
        let description = about_room(&room, language);
        let cover = cover(&room).filter(|_| app.rooms.slates().worker().is_some());
        (room.title, language, description, cover)
    } else {
        let row = serve::find(app, id).await.ok()?;
        let played = serve::played(app, &row);
        if row.ended_at.is_none() || played <= 0 {
            return None;
        }
        let streamer = room(app, row.room.clone()).await?.owner.name;
        let language = Language::of(headers, &row.title);
        let description = about_replay(&streamer, played, language);
        (row.title, language, description, None)
    };
    let proxied = extract::through_proxy(parts, app);
    let secure = Listener::of(parts).secure;
    let base = base(headers, app.config.public_host.as_deref(), proxied, secure);
    Some(Preview { title, description, language, base, path: path.to_owned(), cover })
}

/// A room as it is seen. Looking at it does not bring it into memory.
async fn room(app: &App, id: RoomId) -> Option<RoomView> {
    if let Some(room) = app.rooms.held(&id) {
        return Some(room.view());
    }
    let row = app.store.room(id).await.ok()??;
    Some(app.rooms.view(&row))
}

/// Where the picture of a room is that is live. There is none of who is away, nor of what takes the picture's place.
fn cover(room: &RoomView) -> Option<String> {
    (room.stage == Stage::Live && room.away.is_none()).then(|| format!("/api/v1/rooms/{}/cover", room.id))
}

fn about_room(room: &RoomView, language: Language) -> String {
    let name = &room.owner.name;
    let first = match (room.stage, &room.away) {
        (Stage::Off, _) => language.pick(format!("{name} 的直播间"), format!("The room of {name}")),
        (_, Some(_)) => {
            language.pick(format!("{name} 正在直播，暂时离开"), format!("{name} is live, and away for a moment"))
        }
        _ => language.pick(format!("{name} 正在直播"), format!("{name} is live")),
    };
    let tags = room.tags.iter().map(|tag| format!("#{tag}")).collect::<Vec<_>>().join(" ");
    joined(&[&first, &room.category, &tags])
}

fn about_replay(streamer: &str, played_ms: i64, language: Language) -> String {
    let seconds = played_ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let length =
        if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") };
    let what = language.pick(format!("{streamer} 的直播录像"), format!("A recording of {streamer}, live"));
    joined(&[&what, &length])
}

fn joined(parts: &[&str]) -> String {
    parts.iter().filter(|p| !p.is_empty()).copied().collect::<Vec<_>>().join(" · ")
}

/// The server's address as the person knows it who shared the link: by the name that is configured, or the one that the
/// request came to.
fn base(headers: &HeaderMap, public_host: Option<&str>, proxied: bool, secure: bool) -> Option<String> {
    let told = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let asked = told("host").and_then(|host| url::Url::parse(&format!("http://{host}/")).ok());
    let name = asked.as_ref().and_then(|url| url.host_str());
    let port = asked.as_ref().and_then(url::Url::port).map(|port| format!(":{port}")).unwrap_or_default();
    let authority = match public_host {
        // The port that a proxy is reached by is not the public one.
        Some(public) if proxied && name.and_then(name_of) != name_of(public) => public.to_owned(),
        Some(public) => format!("{public}{port}"),
        None => format!("{}{port}", name?),
    };
    let secure = secure || proxied && told("x-forwarded-proto").is_some_and(|p| p.trim().eq_ignore_ascii_case("https"));
    Some(format!("{}://{authority}", if secure { "https" } else { "http" }))
}

/// A text between tags or between the quotes of an attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

impl Preview {
    /// The page with this in its head, in place of its title. None: it is no page of ours.
    pub(super) fn put_into(&self, page: &[u8]) -> Option<String> {
        let page = std::str::from_utf8(page).ok()?;
        let (before, rest) = page.split_once("<title>")?;
        let (_, after) = rest.split_once("</title>")?;
        Some(format!("{before}{}{after}", self.head()))
    }

    fn head(&self) -> String {
        let language = self.language;
        let site = language.pick("幕间", "Mujian");
        let mut head = format!("<title>{} · {site}</title>", escaped(&self.title));
        let mut say = |key: &str, name: &str, content: &str| {
            head.push_str(&format!("\n    <meta {key}=\"{name}\" content=\"{}\" />", escaped(content)));
        };
        say("name", "description", &self.description);
        say("property", "og:site_name", site);
        say("property", "og:type", "website");
        say("property", "og:title", &self.title);
        say("property", "og:description", &self.description);
        say("property", "og:locale", language.pick("zh_CN", "en_US"));
        if let Some(base) = &self.base {
            say("property", "og:url", &format!("{base}{}", self.path));
            if let Some(cover) = &self.cover {
                // As large as the stream's form makes it.
                say("property", "og:image", &format!("{base}{cover}"));
                say("property", "og:image:type", "image/jpeg");
                say("property", "og:image:alt", &self.title);
            } else {
                say("property", "og:image", &format!("{base}{PICTURE}"));
                say("property", "og:image:width", &PICTURE_SIZE.0.to_string());
                say("property", "og:image:height", &PICTURE_SIZE.1.to_string());
                say("property", "og:image:alt", site);
            }
        }
        say("name", "twitter:card", "summary_large_image");
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_people_wrote_is_text() {
        let hostile = "\"><script>alert('x')</script></title><!-- &amp; $1 ";
        let preview = Preview {
            title: hostile.into(),
            description: hostile.into(),
            language: Language::English,
            base: Some("http://a.example".into()),
            path: "/watch/\"><b>".into(),
            cover: Some("/cover\"><b>".into()),
        };
        let page = preview.put_into(b"<head><title>Mujian</title></head><body>x</body>").unwrap();
        let written = "&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&lt;/title&gt;&lt;!-- &amp;amp; $1 ";
        assert!(page.contains(&format!("<title>{written} · Mujian</title>")), "{page}");
        assert!(page.contains(&format!("<meta property=\"og:title\" content=\"{written}\" />")), "{page}");
        assert!(page.starts_with("<head><title>") && page.ends_with("</head><body>x</body>"), "{page}");
        // Nothing opens but what this writes.
        let opened: Vec<&str> = page.split('<').skip(1).map(|p| p.split([' ', '>']).next().unwrap()).collect();
        assert!(
            opened.iter().all(|t| ["head", "title", "/title", "meta", "/head", "body", "/body"].contains(t)),
            "{page}"
        );
        assert_eq!(page.matches("<title>").count(), 1);
        assert_eq!(page.matches('"').count(), 4 * page.matches("<meta ").count());
        assert_eq!(preview.put_into(b"no page"), None);
        assert_eq!(preview.put_into(&[0xff, 0xfe]), None);
    }

    #[test]
    fn the_address_is_the_public_one() {
        let of = base;
        let base = |all: &[(&'static str, &str)], public, proxied| of(&headers(all), public, proxied, false);
        assert_eq!(
            of(&headers(&[("host", "live.example.org:8443")]), None, false, true).as_deref(),
            Some("https://live.example.org:8443")
        );
        assert_eq!(base(&[("host", "192.168.1.7:8080")], None, false).as_deref(), Some("http://192.168.1.7:8080"));
        assert_eq!(base(&[("host", "[::1]:8080")], None, false).as_deref(), Some("http://[::1]:8080"));
        assert_eq!(base(&[], None, false), None);
        assert_eq!(base(&[("host", "a b")], None, false), None);
        let https = ("x-forwarded-proto", "https");
        let live = Some("live.example.org");
        assert_eq!(base(&[("host", "10.0.0.1:8080")], live, false).as_deref(), Some("http://live.example.org:8080"));
        // Only a proxy that is trusted is believed.
        assert_eq!(
            base(&[("host", "live.example.org"), https], live, false).as_deref(),
            Some("http://live.example.org")
        );
        assert_eq!(
            base(&[("host", "live.example.org"), https], live, true).as_deref(),
            Some("https://live.example.org")
        );
        assert_eq!(
            base(&[("host", "Live.example.org:8443"), https], live, true).as_deref(),
            Some("https://live.example.org:8443")
        );
        assert_eq!(base(&[("host", "127.0.0.1:8080"), https], live, true).as_deref(), Some("https://live.example.org"));
    }

    #[test]
    fn the_language_is_the_one_that_is_asked_for() {
        let of = |asked: &str, title: &str| Language::of(&headers(&[("accept-language", asked)]), title);
        assert_eq!(of("zh-CN,zh;q=0.9,en;q=0.8", "A"), Language::Chinese);
        assert_eq!(of("fr, en-US;q=0.5, zh", "幕"), Language::English);
        assert_eq!(of("fr", "深夜"), Language::Chinese);
        assert_eq!(Language::of(&HeaderMap::new(), "Night"), Language::English);
    }

    #[test]
    fn a_replay_says_how_long_it_is() {
        assert_eq!(about_replay("Anna", 62_900, Language::English), "A recording of Anna, live · 1:02");
        assert_eq!(about_replay("安娜", 3_723_000, Language::Chinese), "安娜 的直播录像 · 1:02:03");
    }
}
