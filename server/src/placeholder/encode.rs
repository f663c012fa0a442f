//! Making a placeholder: decoded, put together, encoded to the form of a room's stream. Runs in a
//! worker, which has little memory, little time and nothing to lose.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ffmpeg_next::frame;
use image_webp::WebPDecoder;
use mujian_av::decode::{Decoded, Reader};
use mujian_av::encode::aac::AacEncoder;
use mujian_av::encode::jpeg::JpegEncoder;
use mujian_av::encode::video::{VideoEncoder, VideoSettings};
use mujian_av::open::Watch;
use mujian_av::scale::{Quality, Scaler};
use mujian_av::{AvError, Picture, Pixel};
use mujian_media::frame::{FeedItem, VideoConfig};
use mujian_media::time::MediaTime;
use mujian_protocol::placeholder::{PLACEHOLDER_SECONDS_MAX, PlaceholderKind, RefusalCode};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};
use serde::{Deserialize, Serialize};

use super::sniff::{self, Format};
use super::{Refusal, svg, words};
use crate::slate::make::board_picture;
use crate::slate::tape::TapeWriter;
use crate::slate::{SOUND_RATE, SlateRequest, Theme};

/// Most pictures of an animation.
const PICTURES_MAX: u32 = 9000;
/// Pixels of all pictures of an animation together: what it may cost to decode.
const ANIMATION_PIXELS_MAX: u64 = 12_000_000_000;
/// Pictures a second where nothing moves.
const STILL_FPS: u32 = 15;
/// Shortest loop.
const SECONDS_MIN: u32 = 2;
const SOUND_BITRATE: u32 = 128_000;

/// What is to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The file of pictures, or of pictures and sound, or of sound alone.
    pub file: Option<PathBuf>,
    /// Sound that is played in place of the file's own.
    pub sound: Option<PathBuf>,
    /// Words on it.
    pub text: String,
    /// The streamer's name, for where nothing is but sound.
    pub owner: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// Where the result goes.
    pub out: PathBuf,
    /// Where a still picture of it goes.
    pub poster: PathBuf,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// What it shows.
    pub kind: PlaceholderKind,
    /// How long it is.
    pub duration_ms: u32,
    /// Whether it has sound.
    pub sound: bool,
}

impl From<AvError> for Refusal {
    fn from(error: AvError) -> Self {
        match error {
            AvError::MissingEncoder { .. } | AvError::Encoder { .. } => {
                Self::new(RefusalCode::NoWorkshop, format!("The server cannot encode it: {error}."))
            }
            _ => Self::damaged(),
        }
    }
}

fn disk(error: &std::io::Error) -> Refusal {
    match error.kind() {
        std::io::ErrorKind::FileTooLarge => too_long(),
        _ => Refusal::new(
            RefusalCode::NoWorkshop,
            "The server's disk cannot hold it; its operator must free some space.",
        ),
    }
}

fn too_long() -> Refusal {
    let minutes = PLACEHOLDER_SECONDS_MAX / 60;
    Refusal::new(RefusalCode::TooLong, format!("It is longer than {minutes} minutes. Cut it and upload it again."))
}

/// Where pictures come from, one after the other.
enum Source {
    Still(Option<Picture>),
    Reader { path: PathBuf, format: Format, reader: Box<Reader> },
    WebP { decoder: Box<WebPDecoder<BufReader<std::fs::File>>>, at: u64, left: u32 },
}

struct Visual {
    source: Source,
    kind: PlaceholderKind,
    seen: u32,
    pixels: u64,
    /// Where the picture after the last one would stand.
    end: MediaTime,
    last: MediaTime,
}

impl Visual {
    fn still(picture: Picture, kind: PlaceholderKind) -> Self {
        Self {
            source: Source::Still(Some(picture)),
            kind,
            seen: 0,
            pixels: 0,
            end: MediaTime::ZERO,
            last: MediaTime::ZERO,
        }
    }

    /// The next picture, its time from the beginning; none at the end.
    fn next(&mut self) -> Result<Option<Picture>, Refusal> {
        let picture = match &mut self.source {
            Source::Still(picture) => picture.take(),
            Source::Reader { reader, .. } => loop {
                match reader.read()? {
                    Some(Decoded::Picture(p)) => break Some(p),
                    Some(Decoded::Sound { .. }) => {}
                    None => break None,
                }
            },
            Source::WebP { decoder, at, left } => match left.checked_sub(1) {
                None => None,
                Some(rest) => {
                    *left = rest;
                    let (width, height) = decoder.dimensions();
                    let bytes = decoder.output_buffer_size().ok_or_else(Refusal::damaged)?;
                    let mut data = vec![0; bytes];
                    let stands = if decoder.is_animated() {
                        decoder.read_frame(&mut data).map_err(|_| Refusal::damaged())?
                    } else {
                        decoder.read_image(&mut data).map_err(|_| Refusal::damaged())?;
                        0
                    };
                    let picture = rgba(&data, if decoder.has_alpha() { 4 } else { 3 }, width, height);
                    let placed = picture.at(MediaTime::from_millis(i64::try_from(*at).unwrap_or(i64::MAX)));
                    // As browsers do: no picture stands shorter than this.
                    *at += u64::from(stands).max(20);
                    self.end = MediaTime::from_millis(i64::try_from(*at).unwrap_or(i64::MAX));
                    Some(placed)
                }
            },
        };
        let Some(picture) = picture else { return Ok(None) };
        sniff::check_size(picture.width(), picture.height())?;
        self.seen += 1;
        self.pixels += u64::from(picture.width()) * u64::from(picture.height());
        if self.kind != PlaceholderKind::Video && (self.seen > PICTURES_MAX || self.pixels > ANIMATION_PIXELS_MAX) {
            return Err(Refusal::new(
                RefusalCode::TooManyPictures,
                format!(
                    "The animation has too many pictures, or too large ones: {PICTURES_MAX} at most. Save it as a video."
                ),
            ));
        }
        if !matches!(self.source, Source::WebP { .. }) {
            let step = picture.at.saturating_sub(self.last).max(MediaTime::from_millis(20));
            self.end = picture.at.saturating_add(if self.seen > 1 { step } else { MediaTime::from_millis(100) });
            self.last = picture.at;
        }
        let longest = MediaTime::from_millis(PLACEHOLDER_SECONDS_MAX as i64 * 1000 + 500);
        if picture.at > longest { Err(too_long()) } else { Ok(Some(picture)) }
    }

    /// Begins again.
    fn rewind(&mut self) -> Result<(), Refusal> {
        match &mut self.source {
            Source::Still(_) => {}
            Source::Reader { path, format, reader } => **reader = open(path, *format)?,
            Source::WebP { decoder, at, left } => {
                decoder.reset_animation();
                (*at, *left) = (0, decoder.num_frames());
            }
        }
        self.last = MediaTime::ZERO;
        Ok(())
    }
}

fn open(path: &Path, format: Format) -> Result<Reader, Refusal> {
    let reader = Reader::open(path, Arc::new(Watch::default()))?;
    // Its first bytes said one thing; whoever reads it must say the same.
    if format.readers().contains(&reader.format_name().as_str()) { Ok(reader) } else { Err(Refusal::damaged()) }
}

/// Looks through a container without decoding: what is too long is refused before work is put into it. How long it
/// is, in seconds.
fn bounded(path: &Path) -> Result<u64, Refusal> {
    let format = sniff::check(&head(path)?, "")?;
    if matches!(format, Format::Svg | Format::WebP) {
        return Ok(0);
    }
    let longest = MediaTime::from_millis(PLACEHOLDER_SECONDS_MAX as i64 * 1000 + 500);
    let length = open(path, format)?.length_within(longest)?.ok_or_else(too_long)?;
    Ok(u64::try_from(length.to_scale(1)).unwrap_or(0) + 1)
}

/// Processor time that a placeholder of so many seconds may take, in seconds: at a sixth of its speed on one core,
/// and what a still picture of the largest size takes.
#[must_use]
pub fn processor_seconds(length: u64) -> u64 {
    120 + 3 * length
}

fn head(path: &Path) -> Result<Vec<u8>, Refusal> {
    use std::io::Read;
    let mut head = Vec::new();
    let file = std::fs::File::open(path).map_err(|_| Refusal::damaged())?;
    file.take(sniff::HEAD as u64).read_to_end(&mut head).map_err(|_| Refusal::damaged())?;
    Ok(head)
}

/// An opaque picture of pixels with or without transparency, over the house's ink.
fn rgba(data: &[u8], channels: usize, width: u32, height: u32) -> Picture {
    const INK: [u32; 3] = [13, 12, 11];
    let mut video = frame::Video::new(Pixel::RGBA, width, height);
    let (stride, row) = (video.stride(0), width as usize * channels);
    for (from, to) in data.chunks_exact(row.max(1)).zip(video.data_mut(0).chunks_mut(stride)) {
        for (p, to) in from.chunks_exact(channels).zip(to.chunks_exact_mut(4)) {
            let alpha = if channels == 4 { u32::from(p[3]) } else { 255 };
            for c in 0..3 {
                to[c] = ((u32::from(p[c]) * alpha + INK[c] * (255 - alpha)) / 255) as u8;
            }
            to[3] = 255;
        }
    }
    Picture::new(video, MediaTime::ZERO)
}

fn from_pixmap(pixmap: &Pixmap) -> Picture {
    // Premultiplied: over ink it is the colour plus what shows through.
    let mut data = pixmap.data().to_vec();
    for p in data.chunks_exact_mut(4) {
        let through = 255 - u32::from(p[3]);
        for (c, ink) in p.iter_mut().zip([13u32, 12, 11]) {
            *c = (u32::from(*c) + ink * through / 255).min(255) as u8;
        }
        p[3] = 255;
    }
    rgba(&data, 4, pixmap.width(), pixmap.height())
}

fn has_alpha(format: Pixel) -> bool {
    matches!(
        format,
        Pixel::RGBA
            | Pixel::BGRA
            | Pixel::ARGB
            | Pixel::ABGR
            | Pixel::PAL8
            | Pixel::YA8
            | Pixel::RGBA64BE
            | Pixel::RGBA64LE
            | Pixel::YA16BE
            | Pixel::YA16LE
            | Pixel::YUVA420P
            | Pixel::GBRAP
    )
}

/// Turns pictures of any kind into what the encoder takes, with the words on them.
struct Press {
    scaler: Scaler,
    flat: Option<Scaler>,
    overlay: Option<Overlay>,
}

struct Overlay {
    alpha: Vec<u8>,
    /// Luma already multiplied.
    y: Vec<u8>,
    width: usize,
}

impl Press {
    fn run(&mut self, picture: &Picture) -> Result<Picture, Refusal> {
        let flat = if has_alpha(picture.format()) {
            let (w, h) = ((picture.width() + 1) & !1, (picture.height() + 1) & !1);
            let scaler = self.flat.get_or_insert_with(|| Scaler::new(Pixel::RGBA, w, h, Quality::Stream));
            let wide = scaler.run(picture)?;
            let (stride, row) = (wide.stride(0), wide.width() as usize * 4);
            let data: Vec<u8> = wide.plane(0).chunks(stride).flat_map(|r| &r[..row]).copied().collect();
            Some(rgba(&data, 4, wide.width(), wide.height()))
        } else {
            None
        };
        let scaled = self.scaler.run(flat.as_ref().unwrap_or(picture))?;
        match &self.overlay {
            Some(overlay) => Ok(overlay.over(&scaled)),
            None => Ok(scaled),
        }
    }
}

impl Overlay {
    fn new(pixmap: &Pixmap) -> Self {
        let (mut alpha, mut y) = (Vec::new(), Vec::new());
        for p in pixmap.data().chunks_exact(4) {
            // BT.709, limited range; the colours of words are near grey, so chroma only fades.
            let luma = 0.2126 * f32::from(p[0]) + 0.7152 * f32::from(p[1]) + 0.0722 * f32::from(p[2]);
            alpha.push(p[3]);
            y.push((luma * 219.0 / 255.0 + 16.0 * f32::from(p[3]) / 255.0) as u8);
        }
        Self { alpha, y, width: pixmap.width() as usize }
    }

    fn over(&self, picture: &Picture) -> Picture {
        let (w, h) = (picture.width(), picture.height());
        let mut out = frame::Video::new(Pixel::YUV420P, w, h);
        for plane in 0..3 {
            let half = usize::from(plane > 0);
            let (pw, ph) = (w as usize >> half, h as usize >> half);
            let (from, to) = (picture.stride(plane), out.stride(plane));
            for row in 0..ph {
                let source = &picture.plane(plane)[row * from..row * from + pw];
                let target = &mut out.data_mut(plane)[row * to..row * to + pw];
                let line = (row << half) * self.width;
                for (x, (s, t)) in source.iter().zip(target).enumerate() {
                    let at = line + (x << half);
                    let through = 255 - u32::from(self.alpha[at]);
                    let own = if plane == 0 { u32::from(self.y[at]) } else { 128 * (255 - through) / 255 };
                    *t = (own + u32::from(*s) * through / 255).min(255) as u8;
                }
            }
        }
        Picture::new(out, picture.at)
    }
}

/// Sound from a file, 1024 samples at a time, holes in it silent.
struct Sound {
    reader: Reader,
    buffer: std::collections::VecDeque<[f32; 2]>,
    taken: i64,
    ended: bool,
}

impl Sound {
    fn open(path: &Path, format: Format) -> Result<Option<Self>, Refusal> {
        let reader = open(path, format)?;
        if !reader.has_audio() {
            return Ok(None);
        }
        Ok(Some(Self { reader: reader.without_video(), buffer: Default::default(), taken: 0, ended: false }))
    }

    fn next(&mut self, out: &mut [[f32; 2]; 1024]) -> Result<bool, Refusal> {
        let longest = PLACEHOLDER_SECONDS_MAX as i64 * i64::from(SOUND_RATE);
        while self.buffer.len() < 1024 && !self.ended {
            match self.reader.read()? {
                Some(Decoded::Sound { at, samples }) => {
                    let (at, end) = (at.to_scale(SOUND_RATE), self.taken + self.buffer.len() as i64);
                    if at > longest {
                        return Err(too_long());
                    }
                    let hole = usize::try_from((at - end).max(0)).unwrap_or(0);
                    self.buffer.extend(std::iter::repeat_n([0.0; 2], hole));
                    self.buffer.extend(samples);
                }
                Some(Decoded::Picture(_)) => {}
                None => self.ended = true,
            }
        }
        if self.taken > longest + i64::from(SOUND_RATE) {
            return Err(too_long());
        }
        let there = !self.buffer.is_empty();
        for to in out.iter_mut() {
            *to = self.buffer.pop_front().unwrap_or_default();
        }
        self.taken += 1024;
        Ok(there)
    }
}

fn visual(order: &Order, format: Option<Format>, has_picture: bool) -> Result<Visual, Refusal> {
    let (width, height) = (order.width, order.height);
    let curtain = |theme, name: &str| board_picture(theme, name, width, height).map_err(|_| Refusal::damaged());
    let (Some(path), Some(format)) = (&order.file, format) else {
        return Ok(Visual::still(plain(order)?, PlaceholderKind::Text));
    };
    match format {
        Format::Svg => {
            let size = std::fs::metadata(path).map_err(|_| Refusal::damaged())?.len();
            if size > svg::BYTES_MAX {
                return Err(Refusal::new(RefusalCode::TooCostly, "The SVG is larger than 4 MB. Save it as PNG."));
            }
            let text = std::fs::read_to_string(path).map_err(|_| Refusal::damaged())?;
            svg::check(&text)?;
            let mut options = Options::default();
            options.fontdb_mut().load_system_fonts();
            let tree = Tree::from_str(&text, &options).map_err(|_| Refusal::damaged())?;
            let (w, h) = (tree.size().width(), tree.size().height());
            let scale = (width as f32 / w).min(height as f32 / h);
            let (pw, ph) = ((w * scale).ceil().max(1.0) as u32, (h * scale).ceil().max(1.0) as u32);
            let mut pixmap = Pixmap::new(pw.min(width), ph.min(height)).ok_or_else(Refusal::damaged)?;
            resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
            Ok(Visual::still(from_pixmap(&pixmap), PlaceholderKind::Picture))
        }
        Format::WebP => {
            let file = BufReader::new(std::fs::File::open(path).map_err(|_| Refusal::damaged())?);
            let mut decoder = WebPDecoder::new(file).map_err(|_| Refusal::damaged())?;
            decoder.set_memory_limit(512 * 1024 * 1024);
            let (w, h) = decoder.dimensions();
            sniff::check_size(w, h)?;
            let moves = decoder.is_animated();
            let left = if moves { decoder.num_frames() } else { 1 };
            let kind = if moves { PlaceholderKind::Animation } else { PlaceholderKind::Picture };
            let source = Source::WebP { decoder: Box::new(decoder), at: 0, left };
            Ok(Visual { source, kind, seen: 0, pixels: 0, end: MediaTime::ZERO, last: MediaTime::ZERO })
        }
        _ if !has_picture => Ok(Visual::still(curtain(Theme::Music, &order.owner)?, PlaceholderKind::Audio)),
        _ => {
            let reader = Box::new(open(path, format)?);
            let kind = match format {
                Format::Gif | Format::Png => PlaceholderKind::Animation,
                Format::Jpeg => PlaceholderKind::Picture,
                _ => PlaceholderKind::Video,
            };
            let source = Source::Reader { path: path.clone(), format, reader };
            Ok(Visual { source, kind, seen: 0, pixels: 0, end: MediaTime::ZERO, last: MediaTime::ZERO })
        }
    }
}

/// The curtain without anything on it.
fn plain(order: &Order) -> Result<Picture, Refusal> {
    crate::slate::make::curtain_picture(order.width, order.height).map_err(|_| Refusal::damaged())
}

/// Makes it. `allow` is told how much processor time it may take, once that is known.
///
/// # Errors
/// Says why it cannot be a placeholder.
pub fn make(order: &Order, allow: impl Fn(u64)) -> Result<Made, Refusal> {
    let SlateRequest { width, height, fps } = SlateRequest { width: order.width, height: order.height, fps: order.fps };
    let format = match &order.file {
        Some(path) => Some(sniff::check(&head(path)?, "")?),
        None => None,
    };
    let text = order.text.trim();
    if format.is_none() && text.is_empty() {
        return Err(Refusal::new(
            RefusalCode::Unknown,
            "There is nothing on it: give it words, a picture, sound or a video.",
        ));
    }
    let mut length = 0;
    for path in order.file.iter().chain(&order.sound) {
        length = length.max(bounded(path)?);
    }
    allow(processor_seconds(length));
    // Whether there are pictures in a container is known to its reader alone.
    let has_picture = match (format, &order.file) {
        (Some(f), _) if f.is_picture() => true,
        (Some(f), Some(path)) => open(path, f)?.has_video(),
        _ => false,
    };
    let mut sound = match (&order.sound, format, &order.file) {
        (Some(path), ..) => {
            let format = sniff::check(&head(path)?, "")?;
            let opened = if format.is_picture() { None } else { Sound::open(path, format)? };
            Some(opened.ok_or_else(|| {
                Refusal::new(RefusalCode::Unknown, "There is no sound in the file that was added as its sound.")
            })?)
        }
        (None, Some(f), Some(path)) if !f.is_picture() => Sound::open(path, f)?,
        _ => None,
    };
    let has_sound = sound.is_some();
    let mut visual = visual(order, format, has_picture)?;
    let mut encoder_settings =
        VideoSettings { width, height, fps, bitrate: bitrate(width, height), key_interval: fps * 2 };
    let first = visual.next()?.ok_or_else(Refusal::damaged)?;
    let mut upcoming = visual.next()?;
    let moves = upcoming.is_some();
    if !moves {
        if visual.kind == PlaceholderKind::Animation {
            visual.kind = PlaceholderKind::Picture;
        }
        // Nothing moves: fewer pictures say the same.
        let still = if fps.is_multiple_of(STILL_FPS) { STILL_FPS } else { fps };
        encoder_settings = VideoSettings { fps: still, key_interval: still * 2, ..encoder_settings };
    }
    let fps = encoder_settings.fps;
    let mut encoder = VideoEncoder::open("libx264", encoder_settings)?;
    let overlay = match text {
        "" => None,
        text => Some(Overlay::new(&words::draw(text, width, height, format.is_none())?)),
    };
    let scaler = Scaler::new(encoder.input_format(), width, height, Quality::Stream);
    let mut press = Press { scaler, flat: None, overlay };
    let mut shown = press.run(&first)?;
    let mut out = Output::create(order)?;
    let mut aac = if has_sound { Some(AacEncoder::open(SOUND_BITRATE)?) } else { None };
    let mut sound_there = has_sound;
    // Where the present round of an animation began.
    let mut round = MediaTime::ZERO;
    let mut k = 0u32;
    loop {
        let t = MediaTime::from_scale(i64::from(k), fps);
        // The newest picture that is due.
        while let Some(next) = &upcoming {
            if round.saturating_add(next.at) > t {
                break;
            }
            shown = press.run(next)?;
            upcoming = visual.next()?;
        }
        let past_the_end = upcoming.is_none() && t >= round.saturating_add(visual.end);
        let long_enough = k >= SECONDS_MIN * fps;
        match visual.kind {
            PlaceholderKind::Video if past_the_end && k > 0 => break,
            PlaceholderKind::Video => {}
            // With sound, as long as the sound is.
            _ if has_sound && !sound_there && long_enough => break,
            _ if has_sound => {}
            PlaceholderKind::Animation if past_the_end && long_enough => break,
            PlaceholderKind::Animation => {}
            _ if long_enough => break,
            _ => {}
        }
        if moves && past_the_end && visual.kind == PlaceholderKind::Animation {
            round = t;
            let so_far = (visual.seen, visual.pixels);
            visual.rewind()?;
            if let Some(again) = visual.next()? {
                shown = press.run(&again)?;
            }
            upcoming = visual.next()?;
            // What was counted once is known to be bounded.
            (visual.seen, visual.pixels) = so_far;
        }
        if k >= PLACEHOLDER_SECONDS_MAX as u32 * fps + fps {
            return Err(too_long());
        }
        if k == fps / 2 {
            out.poster(&shown)?;
        }
        encoder.encode(&shown, t, k.is_multiple_of(fps * 2), &mut out.items)?;
        out.write_pictures()?;
        let until = MediaTime::from_scale(i64::from(k) + 1, fps).to_scale(SOUND_RATE);
        if let (Some(sound), Some(aac)) = (&mut sound, &mut aac) {
            while sound.taken < until && sound_there {
                let mut samples = [[0.0; 2]; 1024];
                let index = sound.taken;
                sound_there = sound.next(&mut samples)?;
                if sound_there {
                    aac.encode(index, &samples, &mut out.items)?;
                }
            }
            out.write_sound()?;
        }
        k += 1;
    }
    encoder.finish(&mut out.items)?;
    out.write_pictures()?;
    if let Some(aac) = aac {
        aac.finish(&mut out.items)?;
        out.write_sound()?;
    }
    out.poster(&shown)?;
    out.finish(fps)?;
    Ok(Made {
        kind: visual.kind,
        duration_ms: u32::try_from(u64::from(k) * 1000 / u64::from(fps)).unwrap_or(u32::MAX),
        sound: has_sound,
    })
}

fn bitrate(width: u32, height: u32) -> u32 {
    u32::try_from(u64::from(width) * u64::from(height) * 27 / 10).unwrap_or(u32::MAX).clamp(300_000, 8_000_000)
}

/// The file that is being written.
struct Output {
    tape: TapeWriter,
    config: Option<Arc<VideoConfig>>,
    items: Vec<FeedItem>,
    poster: Option<PathBuf>,
}

impl Output {
    fn create(order: &Order) -> Result<Self, Refusal> {
        let tape = TapeWriter::create(&order.out).map_err(|e| disk(&e))?;
        Ok(Self { tape, config: None, items: Vec::new(), poster: Some(order.poster.clone()) })
    }

    fn write_pictures(&mut self) -> Result<(), Refusal> {
        for item in self.items.drain(..) {
            match item {
                FeedItem::VideoConfig(config) => {
                    self.config.get_or_insert(config);
                }
                FeedItem::Video(v) => self.tape.picture(v.key, &v.data).map_err(|e| disk(&e))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn write_sound(&mut self) -> Result<(), Refusal> {
        for item in self.items.drain(..) {
            if let FeedItem::Audio(a) = item {
                self.tape.sound(&a.data).map_err(|e| disk(&e))?;
            }
        }
        Ok(())
    }

    /// Keeps the first picture that it is given.
    fn poster(&mut self, picture: &Picture) -> Result<(), Refusal> {
        if let Some(path) = self.poster.take() {
            let (w, h) = if picture.width() >= picture.height() { (640, 360) } else { (360, 640) };
            let jpeg = JpegEncoder::open(w, h, 4)?.encode(picture)?;
            std::fs::write(path, &jpeg).map_err(|e| disk(&e))?;
        }
        Ok(())
    }

    fn finish(self, fps: u32) -> Result<(), Refusal> {
        let config = self.config.ok_or_else(Refusal::damaged)?;
        self.tape.finish(&config, fps).map_err(|e| disk(&e))
    }
}
