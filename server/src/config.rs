//! What the operator sets: a TOML file, overruled by the command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::tls::Tls;

/// The server's settings. Every key of the file is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of the database and of everything else the server keeps; made if it is not there.
    pub data: PathBuf,
    /// Where HTTP is served; port 0 takes any free one.
    pub http: SocketAddr,
    /// Where RTMP is taken; port 0 takes any free one.
    pub rtmp: SocketAddr,
    /// How long a stream waits for a publisher that was lost, in seconds: 1 to 3600.
    pub grace_seconds: u32,
    /// Whether anybody may make an account.
    pub registration_open: bool,
    /// Anybody with an account may open a room; else streamers, moderators and operators only.
    pub rooms_open: bool,
    /// Origins (`https://example.org`) besides the server's own whose pages may use it.
    pub allowed_origins: Vec<String>,
    /// Addresses of reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// The host name that publishers are told; without it, the one the request came to.
    pub public_host: Option<String>,
    /// Names by which the server may be called, besides its addresses, `public_host` and this computer's
    /// own name. Requests for other names are refused: see [`crate::api::hosts`].
    pub allowed_hosts: Vec<String>,
    /// Most HTTP connections at a time, viewers included.
    pub max_connections: usize,
    /// Most of them from one address; proxies that are trusted may hold all.
    pub max_connections_per_address: usize,
    /// Most RTMP connections at a time: programs that publish, or try to.
    pub max_rtmp_connections: usize,
    /// Most of them from one address.
    pub max_rtmp_connections_per_address: usize,
    /// HTTPS and RTMPS with a certificate from files; without it, a proxy in front may do that.
    pub tls: Option<Tls>,
    /// What is recorded, and for how long it is kept.
    pub recordings: Recordings,
    /// Rooms of anybody may be restreamed to this computer and to its own network; else the operators' rooms only.
    pub relays_to_private: bool,
    /// How often things may be done.
    pub limits: Limits,
    /// Print a set-up code while there is no operator. A hosted server makes its operator itself.
    #[serde(skip)]
    pub print_setup_code: bool,
    /// The program that runs workers (`PROGRAM worker ...`, see [`crate::worker`]). Without it only
    /// the slates that are part of the program are shown.
    #[serde(skip)]
    pub worker_program: Option<PathBuf>,
}

/// What is recorded, how it is replayed, and for how long it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recordings {
    /// Whether streams are recorded at all.
    pub record: bool,
    /// Replays of streams at least so long, in minutes, leave out what was shown while the streamer was away.
    pub cut_from_minutes: u32,
    /// Viewers get the whole recording and the moments, and their player does the leaving out.
    pub cut_in_player: bool,
    /// Days that a recording is kept; 0: for ever.
    pub keep_days: u32,
    /// Gigabytes that all recordings may take; the oldest go first. 0: any number.
    pub keep_gigabytes: u32,
}

impl Default for Recordings {
    fn default() -> Self {
        Self { record: true, cut_from_minutes: 10, cut_in_player: false, keep_days: 30, keep_gigabytes: 100 }
    }
}

/// How often things may be done: a burst, then so many an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// New accounts from one address.
    pub accounts: Rate,
    /// Log-ins from one address, and to one name.
    pub sessions: Rate,
    /// New rooms of one account, and as often another name.
    pub rooms: Rate,
    /// Danmaku of one account.
    pub danmaku: Rate,
    /// Votes of one account, changes of mind included.
    pub votes: Rate,
    /// New addresses to restream to of one account, and changes of them.
    pub relays: Rate,
    /// Measurements of one account's line.
    pub speed: Rate,
    /// Any call from one address.
    pub requests: Rate,
    /// New RTMP connections from one address.
    pub rtmp_connections: Rate,
    /// Wrong stream keys from one address.
    pub wrong_stream_keys: Rate,
    /// Most rooms that one account owns.
    pub rooms_owned: u32,
    /// Most rooms that one account follows.
    pub rooms_followed: u32,
}

/// A burst, then so many an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// So many at once.
    pub burst: u32,
    /// So many an hour after that.
    pub per_hour: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            accounts: Rate { burst: 30, per_hour: 120 },
            sessions: Rate { burst: 30, per_hour: 360 },
            rooms: Rate { burst: 10, per_hour: 20 },
            danmaku: Rate { burst: 6, per_hour: 3600 },
            votes: Rate { burst: 10, per_hour: 1800 },
            relays: Rate { burst: 30, per_hour: 240 },
            speed: Rate { burst: 6, per_hour: 60 },
            requests: Rate { burst: 600, per_hour: 180_000 },
            rtmp_connections: Rate { burst: 120, per_hour: 7200 },
            wrong_stream_keys: Rate { burst: 30, per_hour: 600 },
            rooms_owned: 50,
            rooms_followed: 500,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("mujian-data"),
            http: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            rtmp: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 1935)),
            grace_seconds: 90,
            registration_open: true,
            rooms_open: true,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            public_host: None,
            allowed_hosts: Vec::new(),
            max_connections: 20_000,
            max_connections_per_address: 5_000,
            max_rtmp_connections: 1_000,
            max_rtmp_connections_per_address: 64,
            tls: None,
            recordings: Recordings::default(),
            relays_to_private: false,
            limits: Limits::default(),
            print_setup_code: false,
            worker_program: None,
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("The configuration file {path} cannot be read: {source}. Check the path given to --config.")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not of its form.
    #[error("The configuration file {path} has a mistake: {detail}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Line, column and reason.
        detail: String,
    },
    /// A value is out of its range.
    #[error("The configuration has a value that cannot be: {0}")]
    Value(String),
}

impl ConfigError {
    /// What is wrong, without what to do.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Unreadable { path, source } => format!("{}: {source}", path.display()),
            Self::Malformed { path, detail } => format!("{}: {detail}", path.display()),
            Self::Value(what) => what.clone(),
        }
    }
}

impl Config {
    /// A configuration for one computer: only programs on it reach the server, any free ports.
    #[must_use]
    pub fn local(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            rtmp: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ..Self::default()
        }
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, has an unknown key, or a value out of its range.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|e| match e {
            ConfigError::Malformed { detail, .. } => ConfigError::Malformed { path: path.to_owned(), detail },
            other => other,
        })
    }

    /// Parses a TOML document.
    ///
    /// # Errors
    /// As for [`Config::read`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|e| ConfigError::Malformed { path: PathBuf::new(), detail: e.to_string() })?;
        config.check()?;
        Ok(config)
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// Names the value that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(1..=3600).contains(&self.grace_seconds) {
            return Err(ConfigError::Value(format!("grace_seconds is {}; take 1 to 3600.", self.grace_seconds)));
        }
        if self.max_connections < 16 {
            return Err(ConfigError::Value(format!("max_connections is {}; take 16 or more.", self.max_connections)));
        }
        if self.max_connections_per_address == 0 {
            return Err(ConfigError::Value("max_connections_per_address is 0; take 1 or more.".into()));
        }
        for (name, value) in [
            ("max_rtmp_connections", self.max_rtmp_connections),
            ("max_rtmp_connections_per_address", self.max_rtmp_connections_per_address),
        ] {
            if value == 0 {
                return Err(ConfigError::Value(format!("{name} is 0; take 1 or more.")));
            }
        }
        for host in self.allowed_hosts.iter().chain(&self.public_host) {
            if crate::api::hosts::name_of(host).as_deref() != Some(&host.to_ascii_lowercase()) {
                return Err(ConfigError::Value(format!(
                    "\"{host}\" is no host name; write it as live.example.org, without https:// and without a port."
                )));
            }
        }
        if self.tls.as_ref().is_some_and(|tls| tls.https.is_none() && tls.rtmps.is_none()) {
            return Err(ConfigError::Value(
                "[tls] names neither https nor rtmps; give the one that is wanted, or both.".into(),
            ));
        }
        for origin in &self.allowed_origins {
            let good = url::Url::parse(origin)
                .is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.origin().ascii_serialization() == *origin);
            if !good {
                return Err(ConfigError::Value(format!(
                    "allowed_origins has \"{origin}\"; write it as https://example.org, without a path."
                )));
            }
        }
        for (name, rate) in [
            ("accounts", self.limits.accounts),
            ("sessions", self.limits.sessions),
            ("rooms", self.limits.rooms),
            ("danmaku", self.limits.danmaku),
            ("votes", self.limits.votes),
            ("relays", self.limits.relays),
            ("requests", self.limits.requests),
            ("rtmp_connections", self.limits.rtmp_connections),
            ("wrong_stream_keys", self.limits.wrong_stream_keys),
        ] {
            if rate.burst == 0 || rate.per_hour == 0 {
                return Err(ConfigError::Value(format!("limits.{name} has a 0; take 1 or more.")));
            }
        }
        Ok(())
    }

    /// How long a stream waits for a publisher that was lost.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(u64::from(self.grace_seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file that operators copy names every key with its default.
    #[test]
    fn the_example_is_complete_and_tells_the_defaults() {
        let example = include_str!("../mujian-server.example.toml");
        assert_eq!(Config::parse(example).unwrap(), Config::default());
        let uncommented: String = example
            .lines()
            .map(|l| l.strip_prefix("# ").filter(|l| l.contains(" = ") || l.starts_with('[')).unwrap_or(l))
            .map(|l| format!("{l}\n"))
            .collect();
        let shown: toml::Table = uncommented.parse().unwrap();
        let mut expected = toml::Table::try_from(Config::default()).unwrap();
        // Without a value by default; the example shows one.
        expected.insert("public_host".into(), "live.example.org".into());
        let tls = Tls {
            certificate: "/etc/letsencrypt/live/live.example.org/fullchain.pem".into(),
            key: "/etc/letsencrypt/live/live.example.org/privkey.pem".into(),
            https: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443))),
            rtmps: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 1936))),
        };
        expected.insert("tls".into(), toml::Value::try_from(tls).unwrap());
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("htpp = '1.2.3.4:80'", "htpp"),
            ("http = 'nonsense'", "http"),
            ("grace_seconds = 0", "grace_seconds"),
            ("allowed_origins = ['https://a.example/path']", "allowed_origins"),
            ("allowed_hosts = ['https://a.example']", "https://a.example"),
            ("allowed_hosts = ['a.example:8080']", "a.example:8080"),
            ("public_host = 'a b'", "a b"),
            ("[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'", "https"),
            ("[tls]\ncertificate = 'c.pem'", "key"),
            ("max_rtmp_connections = 0", "max_rtmp_connections"),
            ("[limits]\nwrong_stream_keys = { burst = 0, per_hour = 1 }", "limits.wrong_stream_keys"),
            ("[limits]\nrooms = { burst = 0, per_hour = 1 }", "limits.rooms"),
        ] {
            let message = Config::parse(text).unwrap_err().to_string();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
