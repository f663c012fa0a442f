//! Digits and a few letters as strokes, so that the card needs no font.

/// A stroke: points that are joined.
pub(super) type Stroke = Vec<(f32, f32)>;

/// Width of a glyph's box; its height is 1.
pub(super) const WIDTH: f32 = 0.56;

fn arc(cx: f32, cy: f32, rx: f32, ry: f32, from: f32, to: f32) -> Stroke {
    let steps = 28;
    (0..=steps)
        .map(|i| {
            let a = (from + (to - from) * i as f32 / steps as f32).to_radians();
            (cx + rx * a.cos(), cy + ry * a.sin())
        })
        .collect()
}

fn curve(a: (f32, f32), control: (f32, f32), b: (f32, f32)) -> Stroke {
    let mix = |p: (f32, f32), q: (f32, f32), t: f32| (p.0 + (q.0 - p.0) * t, p.1 + (q.1 - p.1) * t);
    (0..=16)
        .map(|i| {
            let t = i as f32 / 16.0;
            mix(mix(a, control, t), mix(control, b, t), t)
        })
        .collect()
}

fn joined(parts: &[Stroke]) -> Stroke {
    parts.concat()
}

/// The strokes of a character in a box of [`WIDTH`] x 1, y downwards. What it does not know is empty.
pub(super) fn strokes(c: char) -> Vec<Stroke> {
    let w = WIDTH;
    let m = w / 2.0;
    match c {
        '0' => vec![arc(m, 0.5, m, 0.5, 0.0, 360.0)],
        '1' => vec![vec![(0.08, 0.22), (0.33, 0.0), (0.33, 1.0)]],
        '2' => vec![joined(&[arc(m, 0.29, m, 0.29, 190.0, 385.0), vec![(0.0, 1.0), (w, 1.0)]])],
        '3' => vec![arc(m, 0.24, 0.24, 0.24, 195.0, 450.0), arc(m, 0.74, m, 0.26, -90.0, 165.0)],
        '4' => vec![vec![(0.42, 1.0), (0.42, 0.0), (0.0, 0.7), (w, 0.7)]],
        '5' => vec![joined(&[vec![(0.51, 0.0), (0.08, 0.0), (0.04, 0.45)], arc(m, 0.68, m, 0.32, -145.0, 150.0)])],
        '6' => vec![arc(m, 0.68, m, 0.32, 0.0, 360.0), curve((0.0, 0.68), (0.03, 0.2), (0.45, 0.0))],
        '7' => vec![vec![(0.0, 0.0), (w, 0.0), (0.2, 1.0)]],
        '8' => vec![arc(m, 0.24, 0.23, 0.24, 0.0, 360.0), arc(m, 0.74, m, 0.26, 0.0, 360.0)],
        '9' => vec![arc(m, 0.32, m, 0.32, 0.0, 360.0), curve((w, 0.32), (w - 0.03, 0.8), (w - 0.45, 1.0))],
        ':' => vec![vec![(m, 0.28), (m, 0.281)], vec![(m, 0.76), (m, 0.761)]],
        '.' => vec![vec![(m, 0.98), (m, 0.981)]],
        'M' => vec![vec![(0.0, 1.0), (0.0, 0.0), (m, 0.62), (w, 0.0), (w, 1.0)]],
        'U' => vec![joined(&[vec![(0.0, 0.0)], arc(m, 0.72, m, 0.28, 180.0, 0.0), vec![(w, 0.0)]])],
        'J' => vec![joined(&[vec![(0.44, 0.0)], arc(0.22, 0.76, 0.22, 0.24, 0.0, 160.0)])],
        'I' => vec![vec![(0.12, 0.0), (0.12, 1.0)]],
        'A' => vec![vec![(0.0, 1.0), (m, 0.0), (w, 1.0)], vec![(0.1, 0.66), (w - 0.1, 0.66)]],
        'N' => vec![vec![(0.0, 1.0), (0.0, 0.0), (w, 1.0), (w, 0.0)]],
        'T' => vec![vec![(0.0, 0.0), (w, 0.0)], vec![(m, 0.0), (m, 1.0)]],
        'E' => vec![vec![(0.5, 0.0), (0.04, 0.0), (0.04, 1.0), (0.5, 1.0)], vec![(0.04, 0.48), (0.44, 0.48)]],
        'S' => vec![joined(&[arc(m, 0.25, 0.25, 0.25, -35.0, -270.0), arc(m, 0.75, 0.27, 0.25, -90.0, 145.0)])],
        'C' => vec![arc(0.3, 0.5, 0.3, 0.5, -50.0, -310.0)],
        'R' => vec![
            joined(&[
                vec![(0.04, 1.0), (0.04, 0.0), (0.26, 0.0)],
                arc(0.26, 0.26, 0.25, 0.26, -90.0, 90.0),
                vec![(0.04, 0.52)],
            ]),
            vec![(0.26, 0.52), (0.52, 1.0)],
        ],
        'D' => vec![joined(&[
            vec![(0.03, 0.0), (0.2, 0.0)],
            arc(0.2, 0.5, 0.34, 0.5, -90.0, 90.0),
            vec![(0.03, 1.0), (0.03, 0.0)],
        ])],
        _ => Vec::new(),
    }
}

/// 幕 and 间, each in a box of 1 x 1.
pub(super) fn name() -> [Vec<Stroke>; 2] {
    let mu = vec![
        vec![(0.1, 0.11), (0.9, 0.11)],
        vec![(0.34, 0.01), (0.34, 0.2)],
        vec![(0.66, 0.01), (0.66, 0.2)],
        vec![(0.28, 0.27), (0.72, 0.27), (0.72, 0.5), (0.28, 0.5), (0.28, 0.27)],
        vec![(0.28, 0.385), (0.72, 0.385)],
        vec![(0.06, 0.61), (0.94, 0.61)],
        joined(&[vec![(0.44, 0.5)], curve((0.42, 0.6), (0.32, 0.74), (0.05, 0.84))]),
        curve((0.6, 0.61), (0.7, 0.75), (0.96, 0.83)),
        vec![(0.27, 0.96), (0.27, 0.78), (0.73, 0.78), (0.73, 0.94), (0.66, 0.96)],
        vec![(0.5, 0.69), (0.5, 1.02)],
    ];
    let jian = vec![
        vec![(0.12, 0.02), (0.22, 0.12)],
        vec![(0.1, 0.2), (0.1, 1.0)],
        vec![(0.36, 0.07), (0.9, 0.07), (0.9, 0.96), (0.77, 0.96)],
        vec![(0.32, 0.28), (0.68, 0.28), (0.68, 0.8), (0.32, 0.8), (0.32, 0.28)],
        vec![(0.32, 0.54), (0.68, 0.54)],
    ];
    [mu, jian]
}

/// Strokes moved and scaled: the box's upper left corner, and the size of its unit.
pub(super) fn placed(strokes: Vec<Stroke>, x: f32, y: f32, size: f32) -> Vec<Stroke> {
    strokes.into_iter().map(|s| s.into_iter().map(|(px, py)| (x + px * size, y + py * size)).collect()).collect()
}
