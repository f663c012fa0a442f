//! Comparing pictures.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

/// Mean difference of two grey pictures of the same size, 0 (same) to 1.
#[must_use]
pub fn difference(a: &[u8], b: &[u8]) -> f32 {
    if a.is_empty() || a.len() != b.len() {
        return 1.0;
    }
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f32 / (255.0 * a.len() as f32)
}

/// Mean brightness of a grey picture, 0 to 1.
#[must_use]
pub fn brightness(picture: &[u8]) -> f32 {
    if picture.is_empty() {
        return 0.0;
    }
    picture.iter().map(|&b| u64::from(b)).sum::<u64>() as f32 / (255.0 * picture.len() as f32)
}

/// The share of a picture of `r, g, b, a` at which nothing is painted.
#[must_use]
pub fn empty(picture: &[u8]) -> f32 {
    let pixels = picture.len() / 4;
    if pixels == 0 {
        return 0.0;
    }
    picture.chunks_exact(4).filter(|p| p[3] == 0).count() as f32 / pixels as f32
}

/// The pictures of a file as `r, g, b` of 32 x 18 places.
///
/// # Errors
///
/// ffmpeg cannot decode it.
pub async fn colours(file: &Path) -> Result<Vec<Vec<u8>>> {
    let file = file.to_string_lossy();
    let filter = "scale=32:18:flags=area";
    let format = ["-pix_fmt", "rgb24", "-fps_mode", "passthrough", "-f", "rawvideo", "-"];
    let args = ["-v", "error", "-i", &file, "-an", "-vf", filter].into_iter().chain(format);
    let out = crate::process::run("ffmpeg", args, Duration::from_secs(60)).await?;
    Ok(out.chunks_exact(32 * 18 * 3).map(<[u8]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_compared() {
        assert_eq!(difference(&[0, 255], &[0, 255]), 0.0);
        assert_eq!(difference(&[0, 0], &[255, 255]), 1.0);
        assert_eq!(difference(&[0, 0], &[0]), 1.0);
        assert!((brightness(&[0, 255]) - 0.5).abs() < 0.01);
        assert_eq!(empty(&[9, 9, 9, 0, 9, 9, 9, 1]), 0.5);
    }
}
