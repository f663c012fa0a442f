//! Leaving and coming back where the network is bad or gone (row B3): whatever happens to what the app says, nothing that
//! it captures meanwhile is seen.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::dice::Dice;
use mujian_tests::link::{Road, Roads};
use mujian_tests::live;
use mujian_tests::measure::leave::{self, Cycle, Exits, Press, wall};
use mujian_tests::process::Program;
use mujian_tests::server::{Room, Server};

const SOON: Duration = Duration::from_secs(20);
/// The longest pause between a broadcaster's attempts is 8 s.
const AT_LAST: Duration = Duration::from_secs(60);
/// The smallest that our own broadcaster sends.
const CARD: [&str; 3] = ["--test-card", "--preset", "540p30"];

/// A broadcast over roads of its own, as the room's owner, and a viewer at each exit.
struct OnAir {
    server: Server,
    room: Room,
    roads: Roads,
    program: Program,
    exits: Exits,
}

impl OnAir {
    async fn new(owner: bool) -> Result<Self> {
        let server = Server::start().await?;
        let room = server.room("owner", "A room").await?;
        let roads = Roads::to(&server).await?;
        let command = if owner { live::command_of_owner } else { live::command_over };
        let program = live::begin(&server, &room, &mut command(&roads, &server, &room, &CARD)?).await?;
        let exits = Exits::open(&server, &room).await?;
        Ok(Self { server, room, roads, program, exits })
    }

    async fn away_by(&self) -> Result<String> {
        let (_, view) = self.server.call("GET", &format!("/rooms/{}", self.room.id), None, None).await?;
        view["away"]["leave_id"].as_str().map(str::to_owned).with_context(|| format!("not away: {view}"))
    }

    /// Ends the broadcast; nothing captured while away was seen at any exit, or was recorded. How long the placeholder took.
    async fn ends_clean(mut self, cycles: &[Cycle], marks: bool) -> Result<Vec<f64>> {
        ensure!(self.exits.flv.ended().is_none(), "the viewer's connection is the one of the beginning");
        let watched = self.exits.watched(cycles, marks).await?;
        for (what, found) in &watched.by {
            ensure!(found.leaks.is_empty(), "{what}: captured so long after it held: {:?} ms", found.leaks);
            ensure!(found.no_keys == 0, "{what}: {} returns without a key frame", found.no_keys);
        }
        self.program.signal(libc::SIGINT);
        self.program.ended(SOON).await?;
        for shown in leave::recorded(&self.server, &self.room).await? {
            let leaks = leave::leaks(shown.into_iter().flatten(), cycles, watched.slack);
            ensure!(leaks.is_empty(), "recorded, captured so long after it held: {leaks:?} ms");
        }
        Ok(watched.by.into_iter().flat_map(|(_, found)| found.placeholder).collect())
    }
}

/// The connection that carries calls and the room's news is gone or stuck just when the streamer presses: the mark in the
/// stream says it, and the one of the return as well.
#[tokio::test]
async fn with_the_control_connection_cut_at_the_press_the_mark_in_the_stream_says_it() -> Result<()> {
    let mut on = OnAir::new(true).await?;
    let mut cycles = Vec::new();
    for (bad, mended_while_away) in [(Road::Cut, true), (Road::Stuck, true), (Road::Cut, false), (Road::Stuck, false)] {
        on.roads.control.is(bad);
        let pressed = wall();
        let stay = live::leave(&mut on.program, SOON).await?;
        on.server.wait_stage(&on.room, "away", SOON).await?;
        ensure!(on.away_by().await? == stay.id, "away by another press");
        on.exits.settle().await?;
        if mended_while_away {
            on.roads.control.mend();
            live::told(&mut on.program, &stay, AT_LAST).await?;
            on.exits.settle().await?;
            ensure!(on.server.stage(&on.room).await? == "away", "{bad:?}: it came back by itself");
        }
        let back = wall();
        live::back(&on.program);
        on.server.wait_stage(&on.room, "live", SOON).await?;
        on.roads.control.mend();
        on.exits.settle().await?;
        cycles.push(Cycle { pressed, held: stay.since as f64, back });
    }
    let late = on.ends_clean(&cycles, true).await?;
    // At once, as with both connections; 300 ms are measured by `make bench`.
    ensure!(late.iter().all(|ms| *ms < 1500.0), "{late:?}");
    Ok(())
}

/// Both are: the picture has stopped at the press, the slate covers it, and whichever comes through first says why.
#[tokio::test]
async fn with_both_connections_cut_at_the_press_the_picture_has_stopped_and_stays_off() -> Result<()> {
    let mut on = OnAir::new(true).await?;
    let mut cycles = Vec::new();
    for bad in [Road::Cut, Road::Stuck] {
        on.roads.are(bad);
        let pressed = wall();
        let stay = live::leave(&mut on.program, SOON).await?;
        on.server.wait_stage(&on.room, "lost", SOON).await?;
        on.exits.settle().await?;
        on.roads.are(Road::Clear);
        on.server.wait_stage(&on.room, "away", AT_LAST).await?;
        live::told(&mut on.program, &stay, AT_LAST).await?;
        // Long enough for a picture to come, if one did.
        on.exits.flv.more_pictures(60, SOON).await?;
        ensure!(on.server.stage(&on.room).await? == "away", "{bad:?}: it came back by itself");
        ensure!(on.away_by().await? == stay.id, "away by another press");
        let back = wall();
        live::back(&on.program);
        on.server.wait_stage(&on.room, "live", AT_LAST).await?;
        on.exits.settle().await?;
        cycles.push(Cycle { pressed, held: stay.since as f64, back });
    }
    on.ends_clean(&cycles, true).await.map(drop)
}

/// Away and back in bad weather on both roads; `make soak` has more of it.
async fn in_bad_weather(by_app: bool, seed: u64) -> Result<()> {
    let mut on = OnAir::new(by_app).await?;
    let weather = (on.roads.control.weather(seed), on.roads.media.weather(seed + 1));
    let (mut dice, mut cycles) = (Dice::new(seed), Vec::new());
    for n in 0..6 {
        tokio::time::sleep(dice.millis(0, 500)).await;
        let mut press = if by_app { Press::App(&mut on.program) } else { Press::Api };
        let stay = dice.millis(200, 900);
        let cycle = leave::cycle(&on.server, &on.room, &mut press, stay).await;
        cycles.push(cycle.with_context(|| format!("cycle {n}"))?);
        on.exits.settle().await?;
    }
    drop(weather);
    on.ends_clean(&cycles, by_app).await.map(drop)
}

#[tokio::test]
async fn a_press_in_the_app_holds_in_bad_weather() -> Result<()> {
    in_bad_weather(true, 20).await
}

/// The picture is kept out by the server, whatever the broadcaster hears of it and when.
#[tokio::test]
async fn a_press_elsewhere_holds_in_bad_weather() -> Result<()> {
    in_bad_weather(false, 20).await
}
