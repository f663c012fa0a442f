//! What a streamer may choose: what is out of bounds is refused in a sentence, and nothing of it is taken.

use mujian_av::sound::THRESHOLDS;
use mujian_protocol::studio::{Inset, Scene, StudioSettings};
use mujian_protocol::{ApiError, ErrorCode};

/// Looks at everything that has bounds.
pub(super) fn check(settings: &StudioSettings) -> Result<(), ApiError> {
    let refused = |why: &str| Err(ApiError::new(ErrorCode::InvalidRequest, why));
    if ![settings.gain_db, settings.output_gain_db].iter().all(|db| (-40.0..=20.0).contains(db)) {
        return refused("The gain is a number of decibels from -40 to 20.");
    }
    if settings.noise_gate_db.is_some_and(|db| !THRESHOLDS.contains(&db)) {
        return refused("The noise gate's threshold is a number of decibels from -70 to -20.");
    }
    let mut insets = settings.inset.iter().chain(settings.scenes.iter().flat_map(|scene| &scene.inset));
    if !insets.all(Inset::is_valid) {
        return refused(
            "A small picture shows a camera, a screen, a window or the test card, is a tenth to half as wide as the large \
             one, and lies inside it.",
        );
    }
    if settings.scenes.len() > Scene::MOST {
        return refused("At most 20 scenes are kept. Delete one first.");
    }
    let mut names: Vec<&str> = settings.scenes.iter().map(|scene| scene.name.trim()).collect();
    if names.iter().any(|name| name.is_empty() || name.chars().count() > Scene::NAME) {
        return refused("A scene has a name of at most 40 characters.");
    }
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return refused("Another scene has this name. Choose another.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mujian_protocol::studio::VideoSource;

    use super::*;

    fn scene(name: &str) -> Scene {
        Scene { name: name.into(), source: VideoSource::TestCard, inset: None }
    }

    fn why(settings: &StudioSettings) -> String {
        check(settings).unwrap_err().message
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let good = StudioSettings::default();
        check(&good).unwrap();
        assert!(why(&StudioSettings { gain_db: f32::NAN, ..good.clone() }).contains("gain"));
        assert!(why(&StudioSettings { output_gain_db: 30.0, ..good.clone() }).contains("gain"));
        assert!(why(&StudioSettings { noise_gate_db: Some(0.0), ..good.clone() }).contains("threshold"));
        let inset = Inset { source: VideoSource::TestCard, width: 0.25, x: 1.0, y: 0.0 };
        check(&StudioSettings { inset: Some(inset.clone()), ..good.clone() }).unwrap();
        for bad in [
            Inset { width: 0.6, ..inset.clone() },
            Inset { x: -0.1, ..inset.clone() },
            Inset { y: f32::NAN, ..inset.clone() },
            Inset { source: VideoSource::File { path: "a.mp4".into(), looped: false }, ..inset },
        ] {
            assert!(why(&StudioSettings { inset: Some(bad.clone()), ..good.clone() }).contains("small picture"));
            let scenes = vec![Scene { inset: Some(bad), ..scene("a") }];
            assert!(why(&StudioSettings { scenes, ..good.clone() }).contains("small picture"));
        }
    }

    #[test]
    fn scenes_are_few_and_each_has_a_name_of_its_own() {
        let with = |scenes| StudioSettings { scenes, ..StudioSettings::default() };
        check(&with(vec![scene("Game"), scene("游戏")])).unwrap();
        assert!(why(&with(vec![scene("Game"), scene(" Game ")])).contains("Another scene"));
        assert!(why(&with(vec![scene("  ")])).contains("name"));
        assert!(why(&with(vec![scene(&"长".repeat(41))])).contains("40"));
        assert!(why(&with((0..21).map(|n| scene(&n.to_string())).collect())).contains("20"));
    }
}
