//! What `mujian live` says while it runs: a status line for a person, or one JSON object a line.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use mujian_protocol::studio::{
    AwayStep, Broadcast, BroadcastStats, EncoderReport, LocalRecording, Notice, NoticeCode, StudioAway, StudioState,
    Uplink, UplinkLevel, UplinkWhy,
};
use mujian_protocol::{ApiError, ErrorCode, RoomId, WallTime};
use serde::Serialize;

/// How often a status line is written where lines cannot be overwritten.
const PLAIN: Duration = Duration::from_secs(10);

/// A line of `--json`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    /// The encoder and the connection are being opened.
    Starting { room: &'a RoomId, server: &'a str },
    /// On air, first or again.
    Live { since: WallTime, encoder: Option<&'a EncoderReport> },
    /// Once a second on air.
    Stats {
        #[serde(flatten)]
        stats: &'a BroadcastStats,
        encoder: Option<&'a str>,
    },
    /// The line to the server became better or worse, or is bad for another reason.
    Uplink {
        #[serde(flatten)]
        uplink: &'a Uplink,
    },
    /// The streamer is away; again at each step.
    Away {
        #[serde(flatten)]
        away: &'a StudioAway,
    },
    /// The streamer is back: pictures go out again.
    Back,
    /// The connection broke.
    Reconnecting { attempt: u32, code: ErrorCode, message: &'a str },
    /// Something the streamer should know.
    Notice { code: NoticeCode, message: &'a str },
    /// It no longer holds.
    NoticeOver { code: NoticeCode },
    /// What is sent is recorded in a file: it begins, another one begins, or it is over.
    Recording {
        #[serde(flatten)]
        recording: &'a LocalRecording,
    },
    /// It ended properly; nothing follows.
    Ended { seconds: f64, sent_frames: u64, dropped_frames: u64 },
    /// It failed; nothing follows.
    Error { code: ErrorCode, message: &'a str },
}

/// Tells what changes.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    overwrite: bool,
    open_line: bool,
    said_at: Option<Instant>,
    live_at: Option<Instant>,
    phase: Option<Broadcast>,
    notices: Vec<Notice>,
    away: Option<StudioAway>,
    recording: Option<(String, bool)>,
    uplink: (UplinkLevel, Option<UplinkWhy>),
    stats: BroadcastStats,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            overwrite: !json && std::io::stdout().is_terminal(),
            open_line: false,
            said_at: None,
            live_at: None,
            phase: None,
            notices: Vec::new(),
            away: None,
            recording: None,
            uplink: (UplinkLevel::Good, None),
            stats: BroadcastStats::default(),
        }
    }

    pub(super) fn starting(&mut self, room: &RoomId, server: &str) {
        self.say(&Line::Starting { room, server }, || format!("Going live in room {room} at {server} ..."));
    }

    /// The studio changed.
    pub(super) fn state(&mut self, state: &StudioState) {
        let encoder = state.encoder.as_ref();
        for notice in &state.notices {
            if !self.notices.contains(notice) {
                let Notice { code, message, .. } = notice;
                self.say(&Line::Notice { code: *code, message }, || format!("note: {message}"));
            }
        }
        for Notice { code, .. } in self.notices.clone() {
            if !state.notices.iter().any(|n| n.code == code) {
                self.say(&Line::NoticeOver { code }, || over_line(code).into());
            }
        }
        self.notices.clone_from(&state.notices);
        if self.phase.as_ref() != Some(&state.broadcast) {
            match &state.broadcast {
                Broadcast::Live { since } => {
                    self.live_at.get_or_insert_with(Instant::now);
                    let with = encoder.map_or_else(String::new, |e| format!(", encoding with {}", e.label));
                    self.say(&Line::Live { since: *since, encoder }, || format!("Live{with}. Ctrl-C ends it."));
                }
                Broadcast::Reconnecting { attempt, error, .. } => {
                    let line = Line::Reconnecting { attempt: *attempt, code: error.code, message: &error.message };
                    self.say(&line, || format!("Reconnecting: {error}"));
                }
                Broadcast::Ending => self.plain(|| "Ending ...".into()),
                Broadcast::Idle | Broadcast::Starting | Broadcast::Failed { .. } => {}
            }
            self.phase = Some(state.broadcast.clone());
        }
        if self.away != state.away {
            match &state.away {
                Some(away) => self.say(&Line::Away { away }, || away_line(away)),
                None => self.say(&Line::Back, || "Back: the audience sees you.".into()),
            }
            self.away.clone_from(&state.away);
        }
        let recorded = state.recording.as_ref().map(|r| (r.path.clone(), r.running));
        if self.recording != recorded {
            if let Some(recording) = &state.recording {
                self.say(&Line::Recording { recording }, || recording_line(recording));
            }
            self.recording = recorded;
        }
        if self.stats != state.stats {
            self.stats.clone_from(&state.stats);
            if matches!(state.broadcast, Broadcast::Live { .. }) {
                let uplink = state.stats.uplink;
                if self.uplink != (uplink.level, uplink.why) {
                    self.uplink = (uplink.level, uplink.why);
                    self.say(&Line::Uplink { uplink: &uplink }, || uplink_line(&uplink));
                }
                self.figures(encoder);
            }
        }
    }

    fn figures(&mut self, encoder: Option<&EncoderReport>) {
        if self.json {
            let (stats, encoder) = (self.stats.clone(), encoder.map(|e| e.name.as_str()));
            self.say(&Line::Stats { stats: &stats, encoder }, String::new);
            return;
        }
        if !self.overwrite && self.said_at.is_some_and(|at| at.elapsed() < PLAIN) {
            return;
        }
        self.said_at = Some(Instant::now());
        let state = if self.away.is_some() { "AWAY" } else { "LIVE" };
        let on_air = self.live_at.map_or(Duration::ZERO, |at| at.elapsed());
        let line = status_line(state, on_air, &self.stats, encoder) + &missing(&self.notices);
        if self.overwrite {
            write(&format!("\r{line}\x1b[K"));
            self.open_line = true;
        } else {
            write(&format!("{line}\n"));
        }
    }

    pub(super) fn ended(&mut self) {
        let seconds = self.live_at.map_or(0.0, |at| at.elapsed().as_secs_f64());
        let (sent_frames, dropped_frames) = (self.stats.sent_frames, self.stats.dropped_frames);
        let text =
            || format!("Ended after {}: {sent_frames} frames sent, {dropped_frames} dropped.", clock(seconds as u64));
        self.say(&Line::Ended { seconds, sent_frames, dropped_frames }, text);
    }

    pub(super) fn error(&mut self, error: &ApiError) {
        if self.json {
            self.say(&Line::Error { code: error.code, message: &error.message }, String::new);
            return;
        }
        self.close_line();
        eprintln!("error: {error}");
    }

    /// Text that is empty is not said.
    fn say(&mut self, line: &Line<'_>, text: impl FnOnce() -> String) {
        if !self.json {
            return self.plain(text);
        }
        if let Ok(json) = serde_json::to_string(line) {
            write(&format!("{json}\n"));
        }
    }

    fn plain(&mut self, text: impl FnOnce() -> String) {
        let text = if self.json { String::new() } else { text() };
        if !text.is_empty() {
            self.close_line();
            write(&format!("{text}\n"));
        }
    }

    fn close_line(&mut self) {
        if std::mem::take(&mut self.open_line) {
            write("\n");
        }
    }
}

fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    // The broadcast goes on when nobody reads what is said.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn away_line(away: &StudioAway) -> String {
    let heard = if away.keep_sound { "the audience still hears you" } else { "the microphone is closed too" };
    match away.step {
        AwayStep::Closing => format!("Away: nothing of the picture is sent any more, and {heard}. SIGUSR2 comes back."),
        AwayStep::Closed => "Away: the camera is closed.".into(),
        AwayStep::Opening | AwayStep::SelfView { .. } => "Coming back ...".into(),
    }
}

fn uplink_line(uplink: &Uplink) -> String {
    let kbps = uplink.carries_kbps.map_or_else(String::new, |kbps| format!(" (about {kbps} kbit/s)"));
    match uplink.why {
        None => "The line is good: the picture has all its bits.".into(),
        Some(UplinkWhy::Narrow) => format!(
            "The line is weak: it carries less than was chosen{kbps}, so the picture is coarser for now. A cable instead of Wi-Fi, or a smaller --preset, helps."
        ),
        Some(UplinkWhy::Late) => {
            format!("The line is weak: what is sent comes {} ms late. Close what else uploads.", uplink.behind_ms)
        }
        Some(UplinkWhy::Dropping) => format!(
            "The line is bad: it carries too little{kbps}, so pictures are left out. The sound goes on. Close what else uploads, or choose a smaller --preset."
        ),
        Some(UplinkWhy::Stalled) => {
            "The line is bad: nothing comes through at the moment. Look at the network; the stream goes on by itself."
                .into()
        }
    }
}

/// What is said when a remark no longer holds; empty where the rest says it.
fn over_line(code: NoticeCode) -> &'static str {
    match code {
        NoticeCode::CameraLost => "The camera is back.",
        NoticeCode::ScreenLost => "The screen is back.",
        NoticeCode::WindowLost => "The window is back.",
        NoticeCode::MicrophoneLost => "The microphone is back.",
        NoticeCode::OutputLost => "The computer's sound is back.",
        _ => "",
    }
}

fn recording_line(recording: &LocalRecording) -> String {
    let LocalRecording { path, bytes, seconds, running } = recording;
    if *running {
        return format!("Recording to {path}.");
    }
    format!("Recorded {} ({} MB) in {path}.", clock(*seconds as u64), bytes.div_ceil(1_000_000))
}

/// What is lost, for the status line.
fn missing(notices: &[Notice]) -> String {
    let word = |n: &Notice| match n.code {
        NoticeCode::CameraLost => Some("  NO CAMERA"),
        NoticeCode::ScreenLost => Some("  NO SCREEN"),
        NoticeCode::WindowLost => Some("  NO WINDOW"),
        NoticeCode::MicrophoneLost => Some("  NO MICROPHONE"),
        NoticeCode::OutputLost => Some("  NO COMPUTER SOUND"),
        _ => None,
    };
    notices.iter().filter_map(word).collect()
}

fn word(level: UplinkLevel) -> &'static str {
    match level {
        UplinkLevel::Good => "good",
        UplinkLevel::Weak => "weak",
        UplinkLevel::Bad => "bad",
    }
}

fn status_line(state: &str, on_air: Duration, stats: &BroadcastStats, encoder: Option<&EncoderReport>) -> String {
    let name = encoder.map_or("", |e| e.name.as_str());
    format!(
        "{state} {}  {:.0} kbit/s  {:.1} fps  {} dropped  line {}  {name}",
        clock(on_air.as_secs()),
        stats.bitrate_kbps,
        stats.fps,
        stats.dropped_frames,
        word(stats.uplink.level)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_line_holds_the_figures() {
        let stats = BroadcastStats { bitrate_kbps: 2512.4, fps: 30.0, dropped_frames: 3, ..BroadcastStats::default() };
        assert_eq!(
            status_line("LIVE", Duration::from_secs(3725), &stats, None),
            "LIVE 01:02:05  2512 kbit/s  30.0 fps  3 dropped  line good  "
        );
    }

    #[test]
    fn what_is_lost_stands_in_the_status_line_until_it_is_back() {
        let notice = |code| Notice::new(code, "gone");
        let lost =
            [notice(NoticeCode::EncoderFallback), notice(NoticeCode::CameraLost), notice(NoticeCode::MicrophoneLost)];
        assert_eq!(missing(&lost), "  NO CAMERA  NO MICROPHONE");
        assert_eq!(missing(&lost[..1]), "");
        assert_eq!(over_line(NoticeCode::MicrophoneLost), "The microphone is back.");
        let line = serde_json::to_string(&Line::NoticeOver { code: NoticeCode::ScreenLost }).unwrap();
        assert_eq!(line, r#"{"type":"notice_over","code":"screen_lost"}"#);
    }

    #[test]
    fn lines_are_typed() {
        let line = Line::Error { code: ErrorCode::WrongStreamKey, message: "no" };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"type":"error","code":"wrong_stream_key","message":"no"}"#
        );
        let stats = BroadcastStats::default();
        let line = serde_json::to_value(Line::Stats { stats: &stats, encoder: Some("libx264") }).unwrap();
        assert_eq!(line["type"], "stats");
        assert_eq!(line["dropped_frames"], 0);
        assert_eq!(line["encoder"], "libx264");
        assert_eq!(line["uplink"]["level"], "good");
        let uplink = Uplink { level: UplinkLevel::Weak, why: Some(UplinkWhy::Narrow), ..Uplink::default() };
        let line = serde_json::to_value(Line::Uplink { uplink: &uplink }).unwrap();
        assert_eq!((&line["type"], &line["level"], &line["why"]), (&"uplink".into(), &"weak".into(), &"narrow".into()));
    }

    #[test]
    fn what_is_wrong_with_the_line_is_a_sentence() {
        let uplink = Uplink { carries_kbps: Some(612), behind_ms: 480, ..Uplink::default() };
        let say = |why| uplink_line(&Uplink { why, ..uplink });
        assert!(say(Some(UplinkWhy::Narrow)).contains("(about 612 kbit/s)"));
        assert!(say(Some(UplinkWhy::Late)).contains("480 ms"));
        assert!(say(Some(UplinkWhy::Dropping)).contains("The sound goes on."));
        assert!(say(None).contains("good") && say(Some(UplinkWhy::Stalled)).contains("bad"));
    }
}
