//! Draws the app's icons from the one vector source: `cargo run -p mujian --example icons`.
//!
//! Takes the folder of the repository as its only argument; the present one by default.

use std::path::PathBuf;

use resvg::{tiny_skia, usvg};

fn draw(tree: &usvg::Tree, size: u32) -> anyhow::Result<Vec<u8>> {
    let mut pixels = tiny_skia::Pixmap::new(size, size).ok_or_else(|| anyhow::anyhow!("an icon needs a size"))?;
    let scale = size as f32 / tree.size().width();
    resvg::render(tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixels.as_mut());
    Ok(pixels.encode_png()?)
}

/// An ICO file whose pictures are PNG (allowed since Windows Vista).
fn ico(pictures: &[(u32, Vec<u8>)]) -> anyhow::Result<Vec<u8>> {
    let mut out = vec![0, 0, 1, 0];
    out.extend(u16::try_from(pictures.len())?.to_le_bytes());
    let mut offset = u32::try_from(6 + 16 * pictures.len())?;
    for (size, png) in pictures {
        let side = if *size >= 256 { 0 } else { u8::try_from(*size)? };
        out.extend([side, side, 0, 0, 1, 0, 32, 0]);
        let length = u32::try_from(png.len())?;
        out.extend(length.to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += length;
    }
    pictures.iter().for_each(|(_, png)| out.extend(png));
    Ok(out)
}

fn main() -> anyhow::Result<()> {
    let root = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    let source = std::fs::read_to_string(root.join("icons/mujian.svg"))?;
    let tree = usvg::Tree::from_str(&source, &usvg::Options::default())?;
    let out = root.join("src-tauri/icons");
    std::fs::create_dir_all(&out)?;
    for (name, size) in [("32x32.png", 32), ("128x128.png", 128), ("128x128@2x.png", 256), ("icon.png", 512)] {
        std::fs::write(out.join(name), draw(&tree, size)?)?;
    }
    let pictures =
        [16, 32, 48, 256].into_iter().map(|s| Ok((s, draw(&tree, s)?))).collect::<anyhow::Result<Vec<_>>>()?;
    std::fs::write(out.join("icon.ico"), ico(&pictures)?)?;
    Ok(())
}
