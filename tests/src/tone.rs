//! Is there a tone in these samples? By the Goertzel algorithm (one bin of a Fourier transform).

/// How much of the samples' power lies at `frequency`: 0 to 1. Silence gives 0.
#[must_use]
pub fn share(samples: &[f32], sample_rate: f32, frequency: f32) -> f32 {
    let power: f32 = samples.iter().map(|s| s * s).sum();
    if samples.is_empty() || power < 1e-9 * samples.len() as f32 {
        return 0.0;
    }
    let coefficient = 2.0 * (std::f32::consts::TAU * frequency / sample_rate).cos();
    let (mut s1, mut s2) = (0.0f32, 0.0f32);
    for sample in samples {
        let s0 = sample + coefficient * s1 - s2;
        s2 = s1;
        s1 = s0;
    }
    let at = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
    (2.0 * at / (power * samples.len() as f32)).clamp(0.0, 1.0)
}

/// The share of a sound, by fiftieths of a second, that is this tone and nothing else, 0 to 1.
///
/// A busy machine holds up a sound card that is made of software, which tears a tone to pieces; [`share`] of a longer
/// stretch would not know it again. How sound goes through without a hole is a matter of other measures.
#[must_use]
pub fn heard(samples: &[f32], sample_rate: f32, frequency: f32) -> f32 {
    let pieces: Vec<f32> =
        samples.chunks_exact((sample_rate / 50.0) as usize).map(|piece| share(piece, sample_rate, frequency)).collect();
    pieces.iter().filter(|share| **share > 0.9).count() as f32 / pieces.len().max(1) as f32
}

/// Root mean square, 0 to 1.
#[must_use]
pub fn rms(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32).sqrt()
}

/// Where sound above `threshold` (0 to 1) begins after at least `quiet` samples below it: indices of samples.
#[must_use]
pub fn onsets(samples: &[f32], threshold: f32, quiet: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut silent = quiet;
    for (at, sample) in samples.iter().enumerate() {
        if sample.abs() >= threshold {
            if silent >= quiet {
                found.push(at);
            }
            silent = 0;
        } else {
            silent += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(frequency: f32, seconds: f32) -> Vec<f32> {
        (0..(48_000.0 * seconds) as usize)
            .map(|n| 0.3 * (std::f32::consts::TAU * frequency * n as f32 / 48_000.0).sin())
            .collect()
    }

    #[test]
    fn a_tone_is_told_from_another_and_from_silence() {
        assert!(share(&sine(1000.0, 0.1), 48_000.0, 1000.0) > 0.95);
        assert!(share(&sine(1400.0, 0.1), 48_000.0, 1000.0) < 0.05);
        assert!(share(&vec![0.0; 4800], 48_000.0, 1000.0) == 0.0);
    }

    #[test]
    fn a_beep_is_found_where_it_begins() {
        let mut samples = vec![0.0; 4800];
        samples.extend(sine(1000.0, 0.05));
        samples.extend(vec![0.0; 4800]);
        let found = onsets(&samples, 0.1, 480);
        assert_eq!(found.len(), 1);
        assert!((4800..4820).contains(&found[0]));
    }
}
