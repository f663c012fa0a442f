//! The names by which the server may be called.
//!
//! A page of another site can make its own name lead to this computer once it is loaded (DNS rebinding);
//! its scripts then speak to this server as if it were the page's own. The browser still says the name in
//! `Host`, so names that nobody meant for this server are refused. An address cannot be had by such a
//! trick: only its own computer answers there.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mujian_protocol::ErrorCode;
use url::Host;

use super::Failure;
use crate::app::App;
use crate::config::Config;

/// How a request came, put into it by the loop that accepted its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address listened on is this computer's own: only programs on it reach it.
    pub loopback: bool,
    /// It came by HTTPS, to this server itself.
    pub secure: bool,
}

impl Listener {
    /// Of a request. One without the mark did not come by a socket: it is a call from inside.
    #[must_use]
    pub fn of(parts: &Parts) -> Self {
        parts.extensions.get().copied().unwrap_or(Self { loopback: false, secure: false })
    }
}

impl<S: Sync> FromRequestParts<S> for Listener {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// Domains of networks at home and in companies, in which nobody from outside has a name.
const PRIVATE_DOMAINS: &[&str] = &["local", "lan", "home", "home.arpa", "internal"];

/// The names that are known.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// For every listener.
    configured: Vec<String>,
    /// What this computer calls itself; for listeners that others reach.
    own: Vec<String>,
}

impl Hosts {
    /// Those of a configuration.
    #[must_use]
    pub fn new(config: &Config, computer: Option<&str>) -> Self {
        let configured = config.allowed_hosts.iter().chain(&config.public_host).filter_map(|h| name_of(h)).collect();
        let computer = computer.and_then(name_of);
        let own = computer.into_iter().flat_map(|name| {
            let with_domain: Vec<String> = PRIVATE_DOMAINS.iter().map(|domain| format!("{name}.{domain}")).collect();
            [vec![name], with_domain].concat()
        });
        let own = own.collect();
        Self { configured, own }
    }

    /// Whether a request that came by `listener` may name this host (with a port or without).
    #[must_use]
    pub fn allows(&self, host: &str, listener: Listener) -> bool {
        match parsed(host) {
            None => false,
            Some(Host::Ipv4(ip)) => !listener.loopback || ip.is_loopback(),
            Some(Host::Ipv6(ip)) => !listener.loopback || ip.is_loopback(),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name == "localhost"
                    || self.configured.iter().any(|c| c == name)
                    || (!listener.loopback && self.own.iter().any(|o| o == name))
            }
        }
    }

    /// The first name in the request's head that is not allowed. Programs that name none are let through: a
    /// browser always does.
    #[must_use]
    pub fn refused<'a>(&self, parts: &'a Parts, listener: Listener) -> Option<&'a str> {
        let told = parts.headers.get_all(header::HOST).iter().map(|h| h.to_str().unwrap_or_default());
        // A request in absolute form names the host there too, and servers go by that.
        parts.uri.authority().map(|a| a.as_str()).into_iter().chain(told).find(|host| !self.allows(host, listener))
    }
}

fn parsed(host: &str) -> Option<Host<String>> {
    // Everything that ends a host in an address would let a name be hidden behind another.
    if host.is_empty() || host.contains(['/', '\\', '?', '#', '@']) || host.contains(char::is_whitespace) {
        return None;
    }
    let url = url::Url::parse(&format!("http://{host}/")).ok()?;
    url.host().map(|h| h.to_owned())
}

/// A bare name as it is compared; none: it is no name or address alone.
#[must_use]
pub fn name_of(host: &str) -> Option<String> {
    let parsed = parsed(host)?.to_string();
    let named = host.trim_end_matches('.').to_ascii_lowercase();
    (parsed.trim_end_matches('.') == named).then_some(named)
}

/// What this computer calls itself.
#[must_use]
pub fn computer() -> Option<String> {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("COMPUTERNAME").ok());
    told.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Refuses requests for names that nobody meant for this server.
pub(super) async fn known(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Whether the process is well is no secret, and those who ask call it by whatever name they like.
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    if let Some(host) = app.hosts.refused(&parts, Listener::of(&parts)) {
        let host: String = host.chars().filter(|c| !c.is_control()).take(80).collect();
        return Failure::with_status(
            StatusCode::MISDIRECTED_REQUEST,
            ErrorCode::Forbidden,
            format!(
                "This server does not go by the name \u{201c}{host}\u{201d}. If it should, its operator adds the name to \
                 allowed_hosts in the configuration file, or starts it with --allow-host {host}."
            ),
        )
        .into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Listener = Listener { loopback: true, secure: false };
    const PUBLIC: Listener = Listener { loopback: false, secure: false };

    fn hosts() -> Hosts {
        let config = Config {
            public_host: Some("live.example.org".into()),
            allowed_hosts: vec!["Other.example".into()],
            ..Config::default()
        };
        Hosts::new(&config, Some("Studio-PC"))
    }

    #[test]
    fn names_that_were_meant_are_allowed() {
        for host in
            ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "live.example.org", "other.example:443"]
        {
            assert!(hosts().allows(host, LOCAL) && hosts().allows(host, PUBLIC), "{host}");
        }
        for host in
            ["192.168.1.7:8080", "[fd00::1]:8080", "203.0.113.9", "studio-pc", "studio-pc.local:8080", "studio-pc.lan"]
        {
            assert!(!hosts().allows(host, LOCAL) && hosts().allows(host, PUBLIC), "{host}");
        }
    }

    #[test]
    fn others_are_not() {
        for host in [
            "evil.example",
            "evil.example:8080",
            "studio-pc.evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example#localhost",
            "evil.example/localhost",
            "",
            " ",
            "[::1",
        ] {
            assert!(!hosts().allows(host, LOCAL) && !hosts().allows(host, PUBLIC), "{host}");
        }
    }

    #[test]
    fn every_name_in_a_request_counts() {
        let request = |uri: &str, hosts: &[&str]| {
            let mut request = axum::http::Request::get(uri);
            for host in hosts {
                request = request.header("host", *host);
            }
            request.body(()).unwrap().into_parts().0
        };
        let refused = |uri: &str, named: &[&str]| hosts().refused(&request(uri, named), LOCAL).map(str::to_owned);
        assert_eq!(refused("/", &[]), None);
        assert_eq!(refused("/", &["localhost"]), None);
        assert_eq!(refused("/", &["localhost", "evil.example"]), Some("evil.example".into()));
        assert_eq!(refused("http://evil.example/", &["localhost"]), Some("evil.example".into()));
    }

    #[test]
    fn names_are_told_from_addresses_with_more() {
        assert_eq!(name_of("Live.Example.org"), Some("live.example.org".into()));
        assert_eq!(name_of("live.example.org:80"), None);
        assert_eq!(name_of("https://live.example.org"), None);
        assert_eq!(name_of("a b"), None);
    }
}
