//! Proves an encoder: some pictures through it, decoded again, compared with what went in.

use ffmpeg_next::{codec, decoder, format::Pixel, frame, packet::Packet};
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;

use super::{VideoEncoder, VideoSettings};
use crate::scale::{Quality, Scaler};
use crate::{AvError, Fault, Picture};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
const FRAMES: usize = 10;
/// A key frame is asked for at this one.
const FORCED: usize = 6;
/// Below this a picture is not the one that went in. Hardware at 3 Mbit/s is far above it;
/// a black or a green picture is far below.
const LEAST_PSNR: f64 = 24.0;

/// Encodes a moving pattern, decodes it, and compares.
///
/// # Errors
/// What the encoder said, or a sentence about how its pictures differ.
pub fn run(name: &str) -> Result<(), AvError> {
    let settings = VideoSettings::live(WIDTH, HEIGHT, 30, 3_000_000);
    let mut encoder = VideoEncoder::open(name, settings).map_err(|e| hardware(name, e))?;
    let fail = |reason: Fault| AvError::Encoder { name: name.to_owned(), reason };
    let mut to_encoder = Scaler::new(encoder.input_format(), WIDTH, HEIGHT, Quality::Stream);
    let originals: Vec<Picture> = (0..FRAMES).map(pattern).collect();
    let mut items = Vec::new();
    for (i, picture) in originals.iter().enumerate() {
        let picture = to_encoder.run(picture)?;
        encoder.encode(&picture, MediaTime::from_scale(i as i64, 30), i == FORCED, &mut items)?;
    }
    encoder.finish(&mut items)?;
    let keys: Vec<usize> = items
        .iter()
        .filter_map(|i| if let FeedItem::Video(v) = i { Some(v.key) } else { None })
        .enumerate()
        .filter_map(|(n, key)| key.then_some(n))
        .collect();
    let decoded = decode(&items).map_err(|e| fail(e.into()))?;
    if decoded.len() != FRAMES {
        return Err(fail(Fault::Lost { sent: FRAMES as u32, came: decoded.len() as u32 }));
    }
    for (i, (a, b)) in originals.iter().zip(&decoded).enumerate() {
        let psnr = psnr(a, b);
        if psnr < LEAST_PSNR {
            return Err(fail(Fault::Wrong { picture: i as u32, decibels: psnr.round() as u32 }));
        }
    }
    if keys.first() != Some(&0) || !keys.contains(&FORCED) {
        return Err(fail(Fault::NoKeyFrame));
    }
    Ok(())
}

/// Hardware that does not open is, as far as anybody can tell, not there.
fn hardware(name: &str, error: AvError) -> AvError {
    let known = super::candidate::for_this_machine().into_iter().find(|c| c.name == name && c.hardware);
    match (known, error) {
        (Some(c), AvError::Encoder { reason, .. }) => {
            AvError::NoHardware { label: c.label.to_owned(), reason: reason.to_string() }
        }
        (_, e) => e,
    }
}

/// Decodes a stream with FFmpeg's own decoder.
///
/// # Errors
/// What the decoder said.
pub fn decode(items: &[FeedItem]) -> Result<Vec<Picture>, String> {
    let text = |e: ffmpeg_next::Error| crate::error::text(e);
    let codec = decoder::find(codec::Id::H264).ok_or("there is no decoder to check it with")?;
    let mut decoder: Option<decoder::Video> = None;
    let mut out = Vec::new();
    let mut take = |decoder: &mut decoder::Video| {
        let mut frame = frame::Video::empty();
        while decoder.receive_frame(&mut frame).is_ok() {
            let at = MediaTime::from_flicks(frame.timestamp().unwrap_or(0));
            out.push(Picture::new(std::mem::replace(&mut frame, frame::Video::empty()), at));
        }
    };
    for item in items {
        match item {
            FeedItem::VideoConfig(config) => {
                if let Some(mut old) = decoder.take() {
                    old.send_eof().map_err(text)?;
                    take(&mut old);
                }
                let mut context = codec::Context::new_with_codec(codec);
                set_extradata(&mut context, &config.avcc);
                decoder = Some(context.decoder().video().map_err(text)?);
            }
            FeedItem::Video(v) => {
                let mut packet = Packet::copy(&v.data);
                packet.set_pts(Some(v.pts.flicks()));
                packet.set_dts(Some(v.dts.flicks()));
                let decoder = decoder.as_mut().ok_or("a picture came before its configuration")?;
                decoder.send_packet(&packet).map_err(text)?;
                take(decoder);
            }
            _ => {}
        }
    }
    if let Some(mut last) = decoder {
        last.send_eof().map_err(text)?;
        take(&mut last);
    }
    Ok(out)
}

/// Decodes the sound of a stream with FFmpeg's own decoder: each stretch with the time of its first sample.
///
/// # Errors
/// What the decoder said.
pub fn decode_sound(items: &[FeedItem]) -> Result<Vec<(MediaTime, Vec<crate::sound::Sample>)>, String> {
    let text = |e: ffmpeg_next::Error| crate::error::text(e);
    let codec = decoder::find(codec::Id::AAC).ok_or("there is no decoder to check it with")?;
    let mut decoder: Option<decoder::Audio> = None;
    let mut out = Vec::new();
    for item in items {
        match item {
            FeedItem::AudioConfig(config) => {
                let mut context = codec::Context::new_with_codec(codec);
                set_extradata(&mut context, &config.asc);
                decoder = Some(context.decoder().audio().map_err(text)?);
            }
            FeedItem::Audio(a) => {
                let mut packet = Packet::copy(&a.data);
                packet.set_pts(Some(a.pts.flicks()));
                let decoder = decoder.as_mut().ok_or("a sound came before its configuration")?;
                decoder.send_packet(&packet).map_err(text)?;
                let mut frame = frame::Audio::empty();
                while decoder.receive_frame(&mut frame).is_ok() {
                    let at = MediaTime::from_flicks(frame.timestamp().unwrap_or(0));
                    let (left, right) = (frame.plane::<f32>(0), frame.plane::<f32>(frame.planes() - 1));
                    out.push((at, left.iter().zip(right).map(|(l, r)| [*l, *r]).collect()));
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

pub(crate) fn set_extradata(context: &mut codec::Context, bytes: &[u8]) {
    use ffmpeg_next::ffi;
    // SAFETY: the context is ours and not yet open. The buffer is allocated by FFmpeg with the
    // padding that it wants, zeroed, and owned by the context from here on.
    unsafe {
        let raw = context.as_mut_ptr();
        let buffer = ffi::av_mallocz(bytes.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize).cast::<u8>();
        if buffer.is_null() {
            return;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
        (*raw).extradata = buffer;
        (*raw).extradata_size = i32::try_from(bytes.len()).unwrap_or(0);
    }
}

/// A gradient with colour and a bright box that moves.
fn pattern(n: usize) -> Picture {
    let mut frame = frame::Video::new(Pixel::YUV420P, WIDTH, HEIGHT);
    let stride = frame.stride(0);
    for (y, row) in frame.data_mut(0).chunks_mut(stride).enumerate().take(HEIGHT as usize) {
        for (x, v) in row.iter_mut().enumerate().take(WIDTH as usize) {
            let boxed = (x / 2 + 400 - n * 12) % 400 < 60 && (100..220).contains(&y);
            *v = if boxed { 220 } else { (40 + (x + y + 4 * n) / 8) as u8 };
        }
    }
    for (plane, tilt) in [(1, 0), (2, 1)] {
        let stride = frame.stride(plane);
        for (y, row) in frame.data_mut(plane).chunks_mut(stride).enumerate().take(HEIGHT as usize / 2) {
            for (x, v) in row.iter_mut().enumerate().take(WIDTH as usize / 2) {
                *v = if tilt == 0 { 80 + (x / 4) as u8 } else { 180 - (y / 2) as u8 };
            }
        }
    }
    Picture::new(frame, MediaTime::from_scale(n as i64, 30))
}

/// Peak signal-to-noise ratio over all planes of two 4:2:0 pictures, in decibels; 0 if their shapes differ.
#[must_use]
pub fn psnr(a: &Picture, b: &Picture) -> f64 {
    if (a.format(), a.width(), a.height()) != (b.format(), b.width(), b.height()) || a.format() != Pixel::YUV420P {
        return 0.0;
    }
    let (mut sum, mut count) = (0u64, 0u64);
    for plane in 0..3 {
        let shift = usize::from(plane > 0);
        let (w, h) = (a.width() as usize >> shift, a.height() as usize >> shift);
        for y in 0..h {
            let (ra, rb) = (&a.plane(plane)[y * a.stride(plane)..][..w], &b.plane(plane)[y * b.stride(plane)..][..w]);
            sum += ra.iter().zip(rb).map(|(p, q)| u64::from(p.abs_diff(*q)).pow(2)).sum::<u64>();
            count += w as u64;
        }
    }
    let mse = sum as f64 / count.max(1) as f64;
    if mse == 0.0 { 100.0 } else { 10.0 * (255.0 * 255.0 / mse).log10() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x264_passes() {
        run("libx264").unwrap();
    }

    #[test]
    fn what_is_not_there_says_so() {
        assert!(matches!(run("h264_nonsense"), Err(AvError::MissingEncoder { .. })));
        assert!(matches!(run("lib\0x264"), Err(AvError::MissingEncoder { .. })));
    }

    #[test]
    fn black_and_green_pictures_are_noticed() {
        let mut black = frame::Video::new(Pixel::YUV420P, WIDTH, HEIGHT);
        crate::scale::blacken(&mut black, Pixel::YUV420P);
        let mut green = frame::Video::new(Pixel::YUV420P, WIDTH, HEIGHT);
        (0..3).for_each(|p| green.data_mut(p).fill(0));
        for wrong in [black, green] {
            assert!(psnr(&pattern(3), &Picture::new(wrong, MediaTime::ZERO)) < 15.0);
        }
        assert!(psnr(&pattern(3), &pattern(6)) < LEAST_PSNR, "a frozen picture passes");
    }
}
