//! The arguments, and their help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use mujian_protocol::RoomId;
use mujian_protocol::studio::{Inset, Preset, StudioSettings, VideoSource};
use url::Url;

// No line is longer than a terminal of 80 columns shows: what is broken by it cannot be read.
const EXAMPLES: &str = "\
Examples:
  mujian             open the app
  mujian devices     what there is to capture from
  mujian encoders    which video encoders work here
  mujian live --server http://127.0.0.1:8080 --room demo --test-card

`mujian live --help` tells more. MUJIAN_LOG=info shows the log.";

const DEVICES_HELP: &str = "\
The first word of each line is the id that `mujian live` takes:
  mujian live ... --camera /dev/video0 --mic default";

const ENCODERS_HELP: &str = "\
Each is tried for up to five seconds. The first word of each line is the name
that `mujian live` takes:
  mujian live ... --encoder libx264";

const LIVE_HELP: &str = "\
A room and its stream key are made on the server's account page, as
http://live.example.org/account; the room is the end of its address,
/watch/ROOM.

Examples:
  # the test card to a room, with the room's stream key
  MUJIAN_STREAM_KEY=... mujian live --room demo \\
      --server http://live.example.org --test-card

  # the screen and the default microphone, as the owner of the room
  MUJIAN_PASSWORD=... mujian live --room demo --name alice \\
      --server http://live.example.org --screen

  # a file over and over, straight to an RTMP server
  MUJIAN_STREAM_KEY=... mujian live --room demo \\
      --server rtmp://live.example.org/live --file show.mp4 --loop

Exit codes:
  0  the stream ended properly     4  a device or an encoder failed
  1  a fault of ours               5  the server cannot be reached
  2  the command line is wrong     6  the media file cannot be played
  3  refused: wrong key or password, or somebody else publishes

Ctrl-C and SIGTERM end the stream properly. SIGUSR1 leaves for a while: the
camera is closed and nothing captured from then on is sent, only sound with
--keep-sound. SIGUSR2 comes back. Leaving and coming back that the owner
presses in a browser are followed too (not with an rtmp:// or rtmps:// address,
which says nothing of them).

With --json each line of standard output is one object with a `type`: starting,
live, away, back, stats, uplink, reconnecting, recording, notice, notice_over,
ended, error.";

/// Go live, leave for a while, and come back.
#[derive(Debug, Parser)]
#[command(name = "mujian", version, about, after_help = EXAMPLES, max_term_width = 110)]
pub struct Arguments {
    /// What to do; nothing: open the app.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to open the app.
    #[command(flatten)]
    pub window: WindowArgs,
}

/// How the app is opened.
#[derive(Clone, Debug, Default, Args)]
pub struct WindowArgs {
    /// Use this server instead of hosting one.
    #[arg(long, value_name = "URL", value_parser = http_url, env = "MUJIAN_SERVER")]
    pub server: Option<Url>,
    /// Where the app keeps its data [default: $XDG_DATA_HOME/mujian].
    #[arg(long, value_name = "DIR", env = "MUJIAN_DATA")]
    pub data: Option<PathBuf>,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Broadcast without a window.
    #[command(after_help = LIVE_HELP)]
    Live(Box<LiveArgs>),
    /// List cameras, screens, windows, microphones and outputs.
    #[command(after_help = DEVICES_HELP)]
    Devices(ListArgs),
    /// Try the video encoders of this machine and say which work.
    #[command(after_help = ENCODERS_HELP)]
    Encoders(ListArgs),
    /// The app's window, without the process that watches over it.
    #[command(hide = true)]
    Window(WindowArgs),
    /// The server that the app hosts.
    #[command(hide = true)]
    Host(HostArgs),
    /// A short-lived process for work that may crash.
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct ListArgs {
    /// As one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// `mujian host`.
#[derive(Clone, Debug, Args)]
pub struct HostArgs {
    /// The data folder.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Where to listen for HTTP.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub http: SocketAddr,
    /// Where to listen for RTMP.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub rtmp: SocketAddr,
    /// How long the server lives on without an app.
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = duration)]
    pub grace: Duration,
}

/// `mujian worker`.
#[derive(Clone, Debug, Args)]
pub struct WorkerArgs {
    /// Passed on.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
}

/// `mujian live`.
#[derive(Clone, Args)]
pub struct LiveArgs {
    /// The server: its address (http or https), or an RTMP address (rtmp:// or rtmps://HOST[:PORT]/live).
    #[arg(long, value_name = "URL", value_parser = server_url, env = "MUJIAN_SERVER")]
    pub server: Url,
    /// The room to publish to: the end of its address, /watch/ROOM.
    #[arg(long, value_name = "ROOM", value_parser = room)]
    pub room: RoomId,
    /// The room's stream key. Other users of this machine can read command lines: prefer the variable.
    #[arg(long, env = "MUJIAN_STREAM_KEY", hide_env_values = true, value_name = "KEY", value_parser = key)]
    pub key: Option<String>,
    /// Log in as this account, the owner of the room; its password is read from $MUJIAN_PASSWORD.
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    pub name: Option<String>,
    /// Log in with the session token in this file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "name"])]
    pub token_file: Option<PathBuf>,
    /// What is shown.
    #[command(flatten)]
    pub source: SourceArgs,
    /// A small picture over the large one: camera, camera:ID, screen:ID, window:TITLE or test-card.
    #[arg(long, value_name = "SOURCE", value_parser = inset)]
    pub inset: Option<VideoSource>,
    /// The corner that it lies in: top-left, top-right, bottom-left or bottom-right.
    #[arg(long, value_name = "CORNER", default_value = "bottom-right", value_parser = corner, requires = "inset")]
    pub inset_at: (f32, f32),
    /// How wide it is, in percent of the large picture's width: 10 to 50.
    #[arg(long, value_name = "PERCENT", default_value = "25", value_parser = inset_size, requires = "inset")]
    pub inset_size: f32,
    /// Play the file over and over.
    #[arg(long = "loop", conflicts_with_all = ["test_card", "screen", "window", "camera"])]
    pub looped: bool,
    /// The microphone's id as `mujian devices` lists it, `default`, or `none` [default: none with --file and --test-card].
    #[arg(long, value_name = "ID")]
    pub mic: Option<String>,
    /// Gain of the microphone in decibels, -40 to 20.
    #[arg(long, value_name = "DB", default_value_t = 0.0, value_parser = gain, allow_negative_numbers = true)]
    pub gain: f32,
    /// What the microphone hears below this level is left out: decibels after the gain, -70 to -20.
    #[arg(long, value_name = "DB", value_parser = noise_gate, allow_negative_numbers = true)]
    pub noise_gate: Option<f32>,
    /// What this computer plays is heard as well: at the system's output, or at one by its id as `mujian devices` lists it.
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "default")]
    pub computer_sound: Option<String>,
    /// Gain of the computer's sound in decibels, -40 to 20.
    #[arg(long, value_name = "DB", default_value_t = 0.0, value_parser = gain, allow_negative_numbers = true, requires = "computer_sound")]
    pub computer_gain: f32,
    /// The sound goes on while the streamer is away.
    #[arg(long)]
    pub keep_sound: bool,
    /// Size and rate: 540p30, 720p30, 1080p30 or 1080p60.
    #[arg(long, value_name = "PRESET", default_value = "720p30", value_parser = preset)]
    pub preset: Preset,
    /// The video encoder as `mujian encoders` lists it [default: the first that works].
    #[arg(long, value_name = "NAME")]
    pub encoder: Option<String>,
    /// Set the room's title (needs a log-in).
    #[arg(long, value_name = "TEXT", conflicts_with = "key")]
    pub title: Option<String>,
    /// Set the room's category (needs a log-in).
    #[arg(long, value_name = "TEXT", conflicts_with = "key")]
    pub category: Option<String>,
    /// Add a tag to the room (needs a log-in); may be repeated, and replaces the tags that were.
    #[arg(long = "tag", value_name = "TEXT", conflicts_with = "key")]
    pub tags: Vec<String>,
    /// Record what is sent in this folder, as MP4; without FOLDER, in the folder for films. Time away is left out.
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = "")]
    pub record: Option<PathBuf>,
    /// End by itself after this time: 90, 90s, 5m or 1h30m.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// One JSON object a line instead of the status line.
    #[arg(long)]
    pub json: bool,
}

impl std::fmt::Debug for LiveArgs {
    // The key must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveArgs").field("room", &self.room).field("source", &self.source).finish_non_exhaustive()
    }
}

/// Where the picture comes from.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false, id = "picture")]
pub struct SourceArgs {
    /// A card with the wall clock, a flash and a beep every second.
    #[arg(long)]
    pub test_card: bool,
    /// A screen, by its id; the first one if none is named.
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub screen: Option<String>,
    /// A window, by its title or a part of it that no other title has.
    #[arg(long, value_name = "TITLE")]
    pub window: Option<String>,
    /// A camera, by its id; the first one if none is named.
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    pub camera: Option<String>,
    /// A media file.
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
}

impl LiveArgs {
    /// The settings that these arguments ask for. A camera or screen without an id has an empty one.
    #[must_use]
    pub fn settings(&self) -> StudioSettings {
        let s = &self.source;
        let (source, wants_mic) = if let Some(device) = &s.screen {
            (VideoSource::Screen { device: device.clone() }, true)
        } else if let Some(name) = &s.window {
            (VideoSource::Window { device: String::new(), name: name.clone() }, true)
        } else if let Some(device) = &s.camera {
            (VideoSource::Camera { device: device.clone() }, true)
        } else if let Some(path) = &s.file {
            (VideoSource::File { path: path.to_string_lossy().into_owned(), looped: self.looped }, false)
        } else {
            (VideoSource::TestCard, false)
        };
        let microphone = match self.mic.as_deref() {
            Some("none") => None,
            Some(id) => Some(id.to_owned()),
            None => wants_mic.then(|| "default".to_owned()),
        };
        StudioSettings {
            source,
            inset: self.inset.clone().map(|source| {
                let (x, y) = self.inset_at;
                Inset { source, width: self.inset_size, x, y }
            }),
            microphone,
            gain_db: self.gain,
            muted: false,
            noise_gate_db: self.noise_gate,
            output: self.computer_sound.clone(),
            output_gain_db: self.computer_gain,
            preset: self.preset,
            encoder: self.encoder.clone(),
            title: self.title.clone().unwrap_or_default(),
            category: self.category.clone().unwrap_or_default(),
            tags: self.tags.clone(),
            keep_sound: self.keep_sound,
            record: self.record.is_some(),
            record_folder: self.record.as_deref().filter(|f| !f.as_os_str().is_empty()).map(|folder| {
                let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
                whole.to_string_lossy().into_owned()
            }),
            ..StudioSettings::default()
        }
    }
}

fn http_url(s: &str) -> Result<Url, String> {
    let url = server_url(s)?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("it must begin with http:// or https://".into())
    }
}

fn server_url(s: &str) -> Result<Url, String> {
    let url = Url::parse(s).map_err(|_| "not an address; write it as https://HOST or rtmps://HOST/live")?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it names no host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not hold a name or password; see --name and --key".into());
    }
    match url.scheme() {
        "http" | "https" | "rtmp" | "rtmps" => Ok(url),
        other => Err(format!("{other}:// is not known; use https, http, rtmps or rtmp")),
    }
}

fn room(s: &str) -> Result<RoomId, String> {
    s.parse().map_err(|_| "no room is called so; a room is the end of its address, /watch/ROOM".into())
}

fn key(s: &str) -> Result<String, String> {
    if s.is_empty() || s.len() > 256 || s.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a stream key is 1 to 256 characters without spaces".into());
    }
    Ok(s.to_owned())
}

fn gain(s: &str) -> Result<f32, String> {
    match s.parse::<f32>() {
        Ok(v) if (-40.0..=20.0).contains(&v) => Ok(v),
        _ => Err("a number of decibels from -40 to 20".into()),
    }
}

fn noise_gate(s: &str) -> Result<f32, String> {
    match s.parse::<f32>() {
        Ok(v) if mujian_av::sound::THRESHOLDS.contains(&v) => Ok(v),
        _ => Err("a number of decibels from -70 to -20".into()),
    }
}

fn inset(s: &str) -> Result<VideoSource, String> {
    let (kind, id) = s.split_once(':').unwrap_or((s, ""));
    match (kind, id) {
        ("camera", id) => Ok(VideoSource::Camera { device: id.to_owned() }),
        ("screen", id) => Ok(VideoSource::Screen { device: id.to_owned() }),
        ("window", title) if !title.is_empty() => {
            Ok(VideoSource::Window { device: String::new(), name: title.to_owned() })
        }
        ("test-card", "") => Ok(VideoSource::TestCard),
        _ => Err("one of camera, camera:ID, screen:ID, window:TITLE, test-card".into()),
    }
}

/// A little off the edges.
fn corner(s: &str) -> Result<(f32, f32), String> {
    const NEAR: f32 = 0.03;
    const FAR: f32 = 0.97;
    match s {
        "top-left" => Ok((NEAR, NEAR)),
        "top-right" => Ok((FAR, NEAR)),
        "bottom-left" => Ok((NEAR, FAR)),
        "bottom-right" => Ok((FAR, FAR)),
        _ => Err("one of top-left, top-right, bottom-left, bottom-right".into()),
    }
}

fn inset_size(s: &str) -> Result<f32, String> {
    match s.parse::<f32>() {
        Ok(percent) if Inset::WIDTHS.contains(&(percent / 100.0)) => Ok(percent / 100.0),
        _ => Err("a number of percent from 10 to 50".into()),
    }
}

fn preset(s: &str) -> Result<Preset, String> {
    serde_json::from_value(serde_json::Value::String(s.to_owned()))
        .map_err(|_| "one of 540p30, 720p30, 1080p30, 1080p60".into())
}

/// A time as people write it: `90`, `90s`, `5m`, `1h30m`; at least a second, at most a week.
fn duration(s: &str) -> Result<Duration, String> {
    const HINT: &str = "write a time as 90, 90s, 5m or 1h30m";
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for c in s.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(u64::from(digit)));
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(HINT.into()),
        };
        total = total.saturating_add(number.take().ok_or(HINT)?.saturating_mul(unit));
    }
    total = total.saturating_add(number.unwrap_or(0));
    if s.is_empty() || total == 0 || total > 7 * 24 * 3600 {
        return Err(format!("{HINT}; from a second to a week"));
    }
    Ok(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn live(args: &[&str]) -> Result<LiveArgs, clap::Error> {
        let base = ["mujian", "live", "--server", "http://127.0.0.1:1", "--room", "demo"];
        match Arguments::try_parse_from(base.iter().chain(args))?.command {
            Some(Command::Live(live)) => Ok(*live),
            _ => unreachable!("the arguments say live"),
        }
    }

    #[test]
    fn definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_fits_a_terminal() {
        for line in [EXAMPLES, LIVE_HELP, DEVICES_HELP, ENCODERS_HELP].iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() < 80, "{line}");
        }
    }

    #[test]
    fn a_source_is_needed_and_only_one() {
        assert!(live(&["--key", "k"]).is_err());
        assert!(live(&["--key", "k", "--test-card", "--screen"]).is_err());
        assert!(live(&["--key", "k", "--test-card", "--loop"]).is_err());
        assert!(live(&["--key", "k", "--file", "a.mp4", "--loop"]).is_ok());
    }

    #[test]
    fn microphone_follows_the_source() {
        assert_eq!(live(&["--test-card"]).unwrap().settings().microphone, None);
        let screen = live(&["--screen"]).unwrap().settings();
        assert_eq!(screen.microphone.as_deref(), Some("default"));
        assert_eq!(screen.source, VideoSource::Screen { device: String::new() });
        assert_eq!(live(&["--screen", ":1", "--mic", "none"]).unwrap().settings().microphone, None);
    }

    #[test]
    fn what_the_computer_plays_is_heard_where_it_is_asked_for() {
        assert_eq!(live(&["--screen"]).unwrap().settings().output, None);
        let all = live(&["--screen", "--computer-sound", "--computer-gain", "-6"]).unwrap().settings();
        assert_eq!((all.output.as_deref(), all.output_gain_db), (Some("default"), -6.0));
        assert_eq!(live(&["--screen", "--computer-sound", "hdmi"]).unwrap().settings().output.as_deref(), Some("hdmi"));
        assert!(live(&["--screen", "--computer-gain", "3"]).is_err());
    }

    #[test]
    fn times_are_read() {
        assert_eq!(duration("90").unwrap().as_secs(), 90);
        assert_eq!(duration("1h30m").unwrap().as_secs(), 5400);
        for bad in ["", "0", "s", "5x", "-3", "99999999999999999999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        for bad in ["demo", "ftp://x", "http://", "http://me:pw@host"] {
            assert!(server_url(bad).is_err(), "{bad}");
        }
        assert!(server_url("rtmp://host:1935/live").is_ok() && server_url("rtmps://host/live").is_ok());
        assert!(http_url("rtmp://host/live").is_err());
    }

    #[test]
    fn the_key_is_not_in_debug_output() {
        let args = live(&["--key", "s3cret", "--test-card"]).unwrap();
        assert!(!format!("{args:?}").contains("s3cret"));
    }
}
