//! Which server the app uses: one that it hosts, or another's. Chosen in the window, kept in the cache, and so from the
//! next start of the window on: whatever holds on to a server is made anew.

use mujian_protocol::api::ServerInfo;
use mujian_protocol::app::AppHome;
use mujian_protocol::{ApiError, ErrorCode, Problem};
use reqwest::Method;
use url::{Host, Url};

use crate::api::Api;
use crate::cache::{Cache, CacheError};

/// The cache's name for it.
const SETTING: &str = "home";
/// Longest address that is taken, in bytes.
const ADDRESS_MAX: usize = 255;

/// What was chosen. `fresh`: this data folder was never used.
///
/// # Errors
/// When SQLite fails.
pub fn stored(cache: &Cache, fresh: bool) -> Result<AppHome, CacheError> {
    let stored = cache.setting(SETTING)?.and_then(|home| serde_json::from_str(&home).ok());
    Ok(match stored {
        Some(home @ (AppHome::Host | AppHome::Join { .. })) => home,
        // Who has used the app already has chosen, without having been asked.
        _ if fresh => AppHome::Unasked,
        _ => AppHome::Host,
    })
}

/// Remembers a choice.
///
/// # Errors
/// When SQLite fails.
pub fn store(cache: &Cache, home: &AppHome) -> Result<(), CacheError> {
    cache.set_setting(SETTING, &serde_json::to_string(home)?)
}

/// The server at an address as a person writes it. It has to answer, as a Mujian server does.
///
/// # Errors
/// `InvalidRequest` when that is no address, `Unreachable` when nobody answers, or something else does.
pub async fn find(address: &str) -> Result<Url, ApiError> {
    let candidates = candidates(address)?;
    let mut failure = None;
    for url in candidates {
        match Api::new(url.clone())?.call::<ServerInfo>(Method::GET, "/server", None::<&()>).await {
            Ok(_) => return Ok(url),
            // What was tried first is what was most likely meant.
            Err(error) => failure = failure.or(Some((url, error))),
        }
    }
    let Some((url, error)) = failure else { return Err(no_address()) };
    let address = url.origin().ascii_serialization();
    Err(match error.code {
        ErrorCode::Unreachable => error,
        _ => ApiError::new(
            ErrorCode::Unreachable,
            format!("What answers at {address} is no Mujian server. Check the address."),
        )
        .about(Problem::NoMujian { address }),
    })
}

/// The addresses that may be meant, the likeliest first. A password is not to cross the internet in the open because
/// somebody made HTTPS fail: without a scheme only computers nearby are tried by HTTP.
fn candidates(address: &str) -> Result<Vec<Url>, ApiError> {
    let address = address.trim();
    if address.is_empty() || address.len() > ADDRESS_MAX {
        return Err(no_address());
    }
    let schemes: &[&str] = if address.contains("://") { &[""] } else { &["https://", "http://"] };
    let mut found = Vec::new();
    for scheme in schemes {
        let mut url = Url::parse(&format!("{scheme}{address}")).map_err(|_| no_address())?;
        let plain = !url.username().is_empty() || url.password().is_some();
        if plain || !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(no_address());
        }
        // A room's or a page's address names the server as well.
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        if *scheme != "http://" || url.host().is_some_and(|host| is_near(&host)) {
            found.push(url);
        }
    }
    Ok(found)
}

/// A computer in the same house: a private or link-local address, or a name that only exists there.
fn is_near(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        Host::Ipv6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            !name.contains('.') || [".local", ".lan", ".home", ".internal"].iter().any(|end| name.ends_with(end))
        }
    }
}

fn no_address() -> ApiError {
    ApiError::new(
        ErrorCode::InvalidRequest,
        "That is no server's address. Write it as live.example.org, or as http://192.168.1.5:8080.",
    )
    .about(Problem::NoServerAddress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        let of = |address: &str| {
            candidates(address).map(|urls| urls.iter().map(|u| u.as_str().to_owned()).collect::<Vec<_>>()).ok()
        };
        let list = |urls: &[&str]| Some(urls.iter().map(|u| (*u).to_owned()).collect::<Vec<_>>());
        assert_eq!(of("live.example.org"), list(&["https://live.example.org/"]));
        assert_eq!(of(" https://live.example.org/watch/abcd?x=1#y "), list(&["https://live.example.org/"]));
        assert_eq!(of("http://live.example.org:8080"), list(&["http://live.example.org:8080/"]));
        assert_eq!(of("192.168.1.5:8080"), list(&["https://192.168.1.5:8080/", "http://192.168.1.5:8080/"]));
        assert_eq!(of("[fe80::1]:80"), list(&["https://[fe80::1]:80/", "http://[fe80::1]/"]));
        assert_eq!(of("studio.local"), list(&["https://studio.local/", "http://studio.local/"]));
        assert_eq!(of("localhost:8080"), list(&["https://localhost:8080/", "http://localhost:8080/"]));
        assert_eq!(of("8.8.8.8"), list(&["https://8.8.8.8/"]));
        for wrong in ["", "  ", "ftp://a.example", "https://", "https://me:secret@a.example", "a b", &"a".repeat(300)] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_used_the_app_before_is_not_asked() {
        let cache = Cache::in_memory().unwrap();
        assert_eq!(stored(&cache, true).unwrap(), AppHome::Unasked);
        assert_eq!(stored(&cache, false).unwrap(), AppHome::Host);
        let join = AppHome::Join { server: "https://live.example.org".into() };
        store(&cache, &join).unwrap();
        assert_eq!(stored(&cache, false).unwrap(), join);
        store(&cache, &AppHome::Host).unwrap();
        assert_eq!(stored(&cache, true).unwrap(), AppHome::Host);
        cache.set_setting(SETTING, "nonsense").unwrap();
        assert_eq!(stored(&cache, false).unwrap(), AppHome::Host);
    }
}
