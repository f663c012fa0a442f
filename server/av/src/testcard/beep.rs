//! The tone of the test card.

use crate::sound::RATE;

/// Frequency in hertz.
pub const FREQUENCY: f64 = 1000.0;
/// Highest sample; -12 dB below full scale.
pub const AMPLITUDE: f64 = 0.25;
/// Length of the fades at both ends, in seconds, so that it does not click.
const RAMP: f64 = 0.002;

/// Fills `out` with what sounds from `wall_us` on (microseconds of the wall clock): a tone in the
/// first 100 ms of every second, silence else.
pub fn fill(wall_us: i64, out: &mut [[f32; 2]]) {
    let length = super::PULSE_MS as f64 / 1000.0;
    let start = wall_us.rem_euclid(1_000_000) as f64 / 1e6;
    for (i, sample) in out.iter_mut().enumerate() {
        let t = (start + i as f64 / f64::from(RATE)).fract();
        let value = if t < length {
            let edge = (t / RAMP).min((length - t) / RAMP).min(1.0);
            ((std::f64::consts::TAU * FREQUENCY * t).sin() * AMPLITUDE * edge) as f32
        } else {
            0.0
        };
        *sample = [value; 2];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sounds_in_the_first_tenth_of_a_second() {
        let mut out = vec![[0.0; 2]; 48_000];
        fill(999_990, &mut out);
        // 10 microseconds before the second is less than one sample.
        assert!(out[1..4799].iter().any(|s| s[0] > 0.24));
        assert!(out[4810..].iter().all(|s| s[0] == 0.0));
        let largest_step = out.windows(2).map(|w| (w[1][0] - w[0][0]).abs()).fold(0.0, f32::max);
        assert!(largest_step < 0.034, "{largest_step}");
    }
}
