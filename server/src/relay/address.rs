//! Where a room is restreamed to: what an address may be, and which addresses of the network it may lead to.
//!
//! A room of somebody who only has an account here must not make the server speak to its own computer or its own
//! network, where it may be let in though nobody outside is. So names are resolved here, each time anew, and the connection
//! goes to an address that was looked at, not to the name once more.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mujian_media::rtmp;
use mujian_protocol::relay::RELAY_URL_MAX;
use mujian_protocol::{ApiError, ErrorCode, Problem};
use url::{Host, Url};

use super::machine::Failure;

/// How long a name may take to be resolved.
const RESOLVE: Duration = Duration::from_secs(8);
/// Most addresses of one name that are tried.
const TRIED: usize = 4;

/// An address of the form `rtmp://HOST[:PORT]/APP`, or `rtmps://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Over TLS.
    pub tls: bool,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The RTMP application, with its query.
    pub app: String,
    /// The whole, as RTMP's `tcUrl`.
    pub tc_url: String,
}

impl Address {
    /// Reads one. None: it is not of this form, or longer than 500 bytes.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let printable = text.len() <= RELAY_URL_MAX && text.bytes().all(|b| b.is_ascii_graphic());
        let url = Url::parse(text).ok().filter(|_| printable)?;
        let tls = match url.scheme() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return None,
        };
        let app = url.path().trim_matches('/');
        if app.is_empty() || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return None;
        }
        let host = match url.host()? {
            Host::Ipv6(ip) => ip.to_string(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Domain(name) => Some(name).filter(|n| !n.is_empty() && !n.contains('%'))?.to_ascii_lowercase(),
        };
        if url.port() == Some(0) {
            return None;
        }
        let app = url.query().map_or_else(|| app.to_owned(), |query| format!("{app}?{query}"));
        let place = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let place = url.port().map_or_else(|| place.clone(), |port| format!("{place}:{port}"));
        let tc_url = format!("{}://{place}/{app}", url.scheme());
        let port = url.port().unwrap_or(if tls { rtmp::TLS_PORT } else { rtmp::PORT });
        Some(Self { tls, host, port, app, tc_url })
    }

    /// Host and port, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let v6 = self.host.contains(':');
        if v6 { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }

    /// Where to connect to now. `anywhere`: to the server's own network too.
    ///
    /// # Errors
    /// The name is not known, or leads to the server's own network.
    pub(super) async fn resolve(&self, anywhere: bool) -> Result<Vec<SocketAddr>, Failure> {
        let unresolved = |reason: String| Failure {
            error: ApiError::new(
                ErrorCode::Unreachable,
                format!("The name {} is not known ({reason}). Check the address.", self.host),
            )
            .about(Problem::RelayUnresolved { host: self.host.clone(), reason }),
            again: true,
        };
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let found: Vec<SocketAddr> = match tokio::time::timeout(RESOLVE, lookup).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => return Err(unresolved(error.to_string())),
            Err(_) => return Err(unresolved("no answer".into())),
        };
        if found.is_empty() {
            return Err(unresolved("it has no address".into()));
        }
        let mut allowed: Vec<SocketAddr> = found.into_iter().filter(|a| anywhere || is_public(a.ip())).collect();
        allowed.truncate(TRIED);
        if allowed.is_empty() { Err(private(&self.host)) } else { Ok(allowed) }
    }
}

/// The refusal of an address in the server's own network.
pub(super) fn private(host: &str) -> Failure {
    Failure {
        error: ApiError::new(
            ErrorCode::Forbidden,
            format!(
                "{host} lies in the server's own network. Only rooms of the operator are restreamed there, or all if the operator sets relays_to_private."
            ),
        )
        .about(Problem::RelayPrivate { host: host.to_owned() }),
        again: false,
    }
}

/// Whether an address is one of the public network: nothing that the server's computer or its neighbours have to
/// themselves, and none that stands for another one.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(matches!(a, 0 | 10 | 127)
                || a >= 224
                || matches!((a, b), (100, 64..=127) | (169, 254) | (172, 16..=31) | (192, 168) | (198, 18 | 19))
                || matches!((a, b, c), (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113)))
        }
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // 2000::/3 is all that is given out. In it: Teredo and 6to4 stand for addresses of IPv4; two are for documents.
    let given_out = first & 0xe000 == 0x2000;
    let special =
        (first == 0x2001 && (second < 0x0200 || second == 0x0db8)) || first == 0x2002 || first & 0xfff0 == 0x3ff0;
    given_out && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_platforms_write_them() {
        let read = |text: &str| Address::read(text).map(|a| (a.tls, a.host, a.port, a.app, a.tc_url));
        let whole = |tls, host: &str, port, app: &str, tc: &str| Some((tls, host.into(), port, app.into(), tc.into()));
        assert_eq!(
            read(" rtmp://live.example.tv/app/ "),
            whole(false, "live.example.tv", 1935, "app", "rtmp://live.example.tv/app")
        );
        assert_eq!(
            read("rtmps://Live.example.tv:443/rtmp/x"),
            whole(true, "live.example.tv", 443, "rtmp/x", "rtmps://live.example.tv:443/rtmp/x")
        );
        assert_eq!(
            read("rtmps://b.example/live2?backup=1"),
            whole(true, "b.example", 443, "live2?backup=1", "rtmps://b.example/live2?backup=1")
        );
        assert_eq!(read("rtmp://[::1]:19350/live"), whole(false, "::1", 19350, "live", "rtmp://[::1]:19350/live"));
        assert_eq!(read("rtmp://127.0.0.1/live").unwrap().1, "127.0.0.1");
        let long = format!("rtmp://host/{}", "a".repeat(500));
        for bad in [
            "",
            "live.example.tv/app",
            "http://host/app",
            "rtmp://",
            "rtmp:///app",
            "rtmp://host",
            "rtmp://host/",
            "rtmp://host:0/app",
            "rtmp://host:70000/app",
            "rtmp://a:b@host/app",
            "rtmp://host/app#x",
            "rtmp://ho st/app",
            "rtmp://host/a\npp",
            "rtmp://%31/app",
            "rtmp://直播/app",
            long.as_str(),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(Address::read("rtmp://[::1]/live").unwrap().place(), "[::1]:1935");
    }

    #[test]
    fn only_the_public_network_is_public() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:0200::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for own in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.9.9",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "100::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::1",
            "3fff::1",
        ] {
            assert!(!is_public(own.parse().unwrap()), "{own}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        let local = Address::read("rtmp://localhost:19350/live").unwrap();
        let refused = local.resolve(false).await.unwrap_err();
        assert!(!refused.again && refused.error.code == ErrorCode::Forbidden, "{refused:?}");
        assert_eq!(refused.error.problem, Some(Box::new(Problem::RelayPrivate { host: "localhost".into() })));
        let found = local.resolve(true).await.unwrap();
        assert!(found.iter().all(|a| a.ip().is_loopback() && a.port() == 19350), "{found:?}");
        // Other ways to write the same.
        for text in
            ["rtmp://127.1/live", "rtmp://0x7f.0.0.1/live", "rtmp://2130706433/live", "rtmp://[::ffff:127.0.0.1]/live"]
        {
            let told = Address::read(text).unwrap().resolve(false).await;
            assert!(told.is_err(), "{text}: {told:?}");
        }
    }
}
