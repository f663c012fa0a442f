//! The line to the server becomes too narrow for what is broadcast, and wide again (row A6): sound goes on without a gap, the
//! picture is back soon and in time, and the streamer hears of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use mujian_tests::measure::uplink::{Plan, over_the_kernels_line};
use mujian_tests::wait::patient;

/// `make bench` has it with 720p30, and with limits that a busy machine would not keep. Where this machine gives us no network
/// of our own, it says why, and a road of our own is made as narrow.
#[tokio::test]
async fn a_line_that_becomes_narrow_costs_sharpness_and_no_sound() -> Result<()> {
    let late = patient(Duration::from_secs(2));
    let plan = Plan { preset: "540p30", wide: 3000, narrow: 600, stays: Duration::from_secs(15), late };
    let found = over_the_kernels_line(&plan).await?;
    eprintln!("{found:#?}");
    ensure!(found.sent > f64::from(plan.narrow) * 1.5, "too little was sent for a narrow line to matter");
    let ms = |limit: Duration| limit.as_secs_f64() * 1000.0;
    ensure!(found.back < ms(patient(Duration::from_secs(3))), "the picture was back after {} ms", found.back);
    ensure!(found.narrow_age < ms(late) && found.wide_age < ms(late), "pictures came too late");
    // Programs that are given no time fall silent too, but not for a second in half a minute.
    ensure!(found.silences.len() < 47 && found.tone > 0.9, "the sound has gaps");
    ensure!(found.video.0 < u64::from(plan.narrow) && found.video.1 > found.video.0, "the picture's bits");
    let heard = found.said.iter().any(|line| line.contains(r#""level":"weak","why":"narrow""#));
    ensure!(heard, "the streamer did not hear of it");
    Ok(())
}
