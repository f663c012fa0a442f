//! Another size on air (issue 4): viewers' streams go on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::ffmpeg;
use mujian_tests::flv::{SOUND_HOLE, Viewer};
use mujian_tests::measure::{leave, lipsync};

use crate::app::{OnAir, wait_stage};

const SOON: Duration = Duration::from_secs(30);
/// The source is opened anew in the other size; its last picture is repeated meanwhile.
const HOLE: u32 = 100;

/// Chooses another quality in the studio, by what it is called in the list.
fn choose(value: &str) -> String {
    format!(
        "(() => {{
          const select = [...document.querySelectorAll('.setup select')].find((s) => [...s.options].some((o) => o.value === '{value}'));
          select.value = '{value}';
          select.dispatchEvent(new Event('change', {{ bubbles: true }}));
          return !select.disabled;
        }})()"
    )
}

#[tokio::test]
async fn another_size_is_chosen_on_air_and_viewers_play_on() -> Result<()> {
    let on_air = OnAir::begin().await?;
    let OnAir { app, viewer, server, .. } = &on_air;
    let heights = async |viewer: &Viewer| -> Result<Vec<i64>> {
        let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
        viewer.save(file.path())?;
        ffmpeg::heights(file.path()).await
    };
    let first = *heights(viewer).await?.last().context("no picture")?;

    app.click("//label[normalize-space(.) = 'Set-up']").await?;
    for (size, height) in [("540p30", 540), ("1080p30", 1080), ("540p30", 540)] {
        assert_eq!(app.eval(&choose(size)).await?, true, "it can be chosen on air");
        mujian_tests::wait::until(&format!("pictures of {height} lines"), SOON, || async {
            let now = heights(viewer).await?;
            Ok((now.last() == Some(&height)).then_some(()))
        })
        .await?;
        viewer.more_pictures(45, SOON).await?;
    }
    ensure!(viewer.ended().is_none(), "the viewer's stream ended");
    viewer.check_timeline(HOLE, SOUND_HOLE)?;
    wait_stage(server, "live").await?;
    let seen = heights(viewer).await?;
    let mut sizes = seen.clone();
    sizes.dedup();
    let mut wanted = vec![first, 540, 1080, 540];
    wanted.dedup();
    assert_eq!(sizes, wanted);
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    // By the card's own clock: the server fills holes.
    let shown: Vec<f64> = leave::captured(file.path()).await?.into_iter().flatten().collect();
    let still = shown.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
    eprintln!("the longest time from one picture to the next is {still:.0} ms");
    ensure!(shown.len() > 200 && still < 400.0, "a stop of {still:.0} ms");
    let found = lipsync::of_file(file.path()).await?;
    // One beep may fall where a busy machine held the pictures up.
    assert!(found.median.abs() < 45.0, "lip sync {:.1} ms", found.median);
    Ok(())
}
