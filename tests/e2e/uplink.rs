//! The line to the server becomes too narrow for what is broadcast, and wide again (row A6): sound goes on without a gap, the
//! picture is back soon and in time, and the streamer hears of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use mujian_tests::measure::uplink::{Found, Plan, over_a_road, over_the_kernels_line};
use mujian_tests::wait::patient;

const STAYS: Duration = Duration::from_secs(15);

fn judge(found: &Found, plan: &Plan) -> Result<()> {
    eprintln!("{found:#?}");
    ensure!(found.sent > f64::from(plan.narrow) * 1.5, "too little was sent for a narrow line to matter");
    // 3 s on a quiet machine, which `make bench` measures.
    let soon = patient(Duration::from_secs(3)).as_secs_f64() * 1000.0;
    ensure!(found.back < soon, "the picture was back after {} ms", found.back);
    ensure!(found.narrow_age < 1000.0 && found.wide_age < 1000.0, "pictures came too late");
    ensure!(found.silences == 0 && found.tone > 0.97, "the sound has gaps");
    ensure!(found.video.0 < u64::from(plan.narrow) && found.video.1 > found.video.0, "the picture's bits");
    let heard = found.said.iter().any(|line| line.contains(r#""level":"weak","why":"narrow""#));
    ensure!(heard, "the streamer did not hear of it");
    Ok(())
}

#[tokio::test]
async fn a_narrow_road_costs_sharpness_and_no_sound() -> Result<()> {
    let plan = Plan { preset: "540p30", wide: 1900, narrow: 500, stays: STAYS };
    judge(&over_a_road(&plan).await?, &plan)
}

/// The kernel's own limit; `make bench` has it with 720p30, from 3 Mbit/s to 600 kbit/s. Where this machine does not give us a network of our own, a road of our own has the same.
#[tokio::test]
async fn a_line_that_the_kernel_makes_narrow_costs_the_same() -> Result<()> {
    let plan = Plan { preset: "540p30", wide: 1900, narrow: 500, stays: STAYS };
    judge(&over_the_kernels_line(&plan).await?, &plan)
}
