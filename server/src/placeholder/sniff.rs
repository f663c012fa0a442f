//! What a file is, by its first bytes alone: what it says it is counts for nothing.
//!
//! Nothing is decoded here: a few fields are read, within bounds.

use mujian_protocol::placeholder::RefusalCode;

use super::Refusal;

/// So many bytes from the start are looked at.
pub const HEAD: usize = 256 * 1024;
/// Most pixels of a picture.
pub(crate) const PIXELS_MAX: u64 = 40_000_000;
/// Longest side of a picture.
pub(crate) const SIDE_MAX: u32 = 16_384;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Jpeg,
    Gif,
    WebP,
    Svg,
    /// Containers of pictures, of sound, or of both.
    Mp4,
    Matroska,
    Avi,
    Flv,
    MpegTs,
    MpegPs,
    Ogg,
    Wav,
    Mp3,
    Flac,
    Aac,
}

impl Format {
    /// Its name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Svg => "SVG",
            Self::Mp4 => "MP4",
            Self::Matroska => "Matroska or WebM",
            Self::Avi => "AVI",
            Self::Flv => "FLV",
            Self::MpegTs | Self::MpegPs => "MPEG",
            Self::Ogg => "Ogg",
            Self::Wav => "WAV",
            Self::Mp3 => "MP3",
            Self::Flac => "FLAC",
            Self::Aac => "AAC",
        }
    }

    /// Whether it is a picture.
    pub(crate) fn is_picture(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::Gif | Self::WebP | Self::Svg)
    }

    /// Whether it holds sound alone.
    pub(crate) fn is_sound(self) -> bool {
        matches!(self, Self::Wav | Self::Mp3 | Self::Flac | Self::Aac)
    }

    /// FFmpeg's names of what may read it.
    pub(crate) fn readers(self) -> &'static [&'static str] {
        match self {
            Self::Png => &["png_pipe", "apng"],
            Self::Jpeg => &["jpeg_pipe"],
            Self::Gif => &["gif"],
            Self::WebP | Self::Svg => &[],
            Self::Mp4 => &["mov,mp4,m4a,3gp,3g2,mj2"],
            Self::Matroska => &["matroska,webm"],
            Self::Avi => &["avi"],
            Self::Flv => &["flv"],
            Self::MpegTs => &["mpegts"],
            Self::MpegPs => &["mpeg"],
            Self::Ogg => &["ogg"],
            Self::Wav => &["wav"],
            Self::Mp3 => &["mp3"],
            Self::Flac => &["flac"],
            Self::Aac => &["aac"],
        }
    }

    /// Whether a `Content-Type` tells the truth about it. One that tells nothing is no lie.
    fn fits(self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let Some((kind, sub)) = essence.split_once('/') else { return essence.is_empty() };
        match kind {
            "application" => !matches!(sub, "pdf" | "zip" | "json" | "javascript"),
            "image" => match sub {
                "png" | "apng" | "vnd.mozilla.apng" => self == Self::Png,
                "jpeg" | "jpg" | "pjpeg" => self == Self::Jpeg,
                "gif" => self == Self::Gif,
                "webp" => self == Self::WebP,
                "svg+xml" => self == Self::Svg,
                _ => self.is_picture(),
            },
            "audio" => self.is_sound() || matches!(self, Self::Mp4 | Self::Matroska | Self::Ogg),
            "video" => !self.is_picture() && !self.is_sound(),
            _ => false,
        }
    }
}

/// What the file is that begins with `head`, and the size that it tells, if it tells one.
pub(crate) fn sniff(head: &[u8]) -> Option<(Format, Option<(u32, u32)>)> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    if starts(b"\x89PNG\r\n\x1a\n") {
        let size = if at(12, b"IHDR") { Some((be32(head, 16)?, be32(head, 20)?)) } else { None };
        return Some((Format::Png, size));
    }
    if starts(&[0xff, 0xd8, 0xff]) {
        return Some((Format::Jpeg, jpeg_size(head)));
    }
    if starts(b"GIF87a") || starts(b"GIF89a") {
        let side = |o: usize| Some(u32::from(u16::from_le_bytes(head.get(o..o + 2)?.try_into().ok()?)));
        return Some((Format::Gif, Some((side(6)?, side(8)?))));
    }
    if starts(b"RIFF") && at(8, b"WEBP") {
        return Some((Format::WebP, webp_size(head)));
    }
    if starts(b"RIFF") && at(8, b"WAVE") {
        return Some((Format::Wav, None));
    }
    if starts(b"RIFF") && at(8, b"AVI ") {
        return Some((Format::Avi, None));
    }
    let simple: &[(&[u8], usize, Format)] = &[
        (b"ftyp", 4, Format::Mp4),
        (b"moov", 4, Format::Mp4),
        (b"\x1aE\xdf\xa3", 0, Format::Matroska),
        (b"FLV\x01", 0, Format::Flv),
        (b"OggS", 0, Format::Ogg),
        (b"fLaC", 0, Format::Flac),
        (b"ID3", 0, Format::Mp3),
        (b"\0\0\x01\xba", 0, Format::MpegPs),
    ];
    if let Some((_, _, format)) = simple.iter().find(|(magic, offset, _)| at(*offset, magic)) {
        return Some((*format, None));
    }
    if starts(&[0x47]) && [188, 376].iter().all(|o| head.get(*o) == Some(&0x47)) {
        return Some((Format::MpegTs, None));
    }
    if let [0xff, second, ..] = head {
        // ADTS has layer 0; MPEG audio has another one.
        if second & 0xf6 == 0xf0 {
            return Some((Format::Aac, None));
        }
        if second & 0xe0 == 0xe0 && second & 0x06 != 0 && second & 0x18 != 0x08 {
            return Some((Format::Mp3, None));
        }
    }
    let text = std::str::from_utf8(&head[..head.len().min(4096)])
        .or_else(|e| std::str::from_utf8(&head[..e.valid_up_to()]))
        .unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    (text.starts_with('<') && text.contains("<svg")).then_some((Format::Svg, None))
}

/// What the file is, if it can be a placeholder as far as its first bytes tell.
pub(crate) fn check(head: &[u8], content_type: &str) -> Result<Format, Refusal> {
    let Some((format, size)) = sniff(head) else {
        return Err(Refusal::new(
            RefusalCode::Unknown,
            "This is no picture, sound or video that Mujian knows. Take PNG, JPEG, WebP, SVG, GIF, MP3, MP4, WebM or another common format.",
        ));
    };
    if !format.fits(content_type) {
        let told: String = content_type.chars().filter(|c| c.is_ascii_graphic()).take(60).collect();
        return Err(Refusal::new(
            RefusalCode::Lies,
            format!("The file says that it is {told}, but it is {}. Save it under its own format.", format.name()),
        ));
    }
    if let Some((width, height)) = size {
        check_size(width, height)?;
    }
    Ok(format)
}

/// Whether a picture of this size is taken.
pub(crate) fn check_size(width: u32, height: u32) -> Result<(), Refusal> {
    if width == 0 || height == 0 {
        return Err(Refusal::damaged());
    }
    if width > SIDE_MAX || height > SIDE_MAX || u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(Refusal::new(
            RefusalCode::TooManyPixels,
            format!(
                "The picture is too large: {width} x {height}. Make it smaller than {} million pixels; 1920 x 1080 is enough.",
                PIXELS_MAX / 1_000_000
            ),
        ));
    }
    Ok(())
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn jpeg_size(head: &[u8]) -> Option<(u32, u32)> {
    let be16 = |at: usize| Some(u32::from(u16::from_be_bytes(head.get(at..at + 2)?.try_into().ok()?)));
    let mut at = 2;
    loop {
        if *head.get(at)? != 0xff {
            return None;
        }
        let marker = *head.get(at + 1)?;
        match marker {
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Some((be16(at + 7)?, be16(at + 5)?)),
            _ => at += 2 + be16(at + 2)? as usize,
        }
    }
}

fn webp_size(head: &[u8]) -> Option<(u32, u32)> {
    let le24 = |at: usize| {
        let b = head.get(at..at + 3)?;
        Some(u32::from(b[0]) | u32::from(b[1]) << 8 | u32::from(b[2]) << 16)
    };
    match head.get(12..16)? {
        b"VP8X" => Some((le24(24)? + 1, le24(27)? + 1)),
        b"VP8L" => {
            let bits = u32::from_le_bytes(head.get(21..25)?.try_into().ok()?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8 " => {
            let side = |o: usize| Some(u32::from(u16::from_le_bytes(head.get(o..o + 2)?.try_into().ok()?) & 0x3fff));
            Some((side(26)?, side(28)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut out = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        out.extend(width.to_be_bytes());
        out.extend(height.to_be_bytes());
        out.extend([8, 6, 0, 0, 0]);
        out
    }

    #[test]
    fn what_a_file_is_counts_and_not_what_it_says() {
        assert_eq!(check(&png(100, 50), "image/png").unwrap(), Format::Png);
        assert_eq!(check(&png(100, 50), "").unwrap(), Format::Png);
        assert_eq!(check(&png(100, 50), "application/octet-stream").unwrap(), Format::Png);
        for (head, told, code) in [
            (png(100, 50), "image/jpeg", RefusalCode::Lies),
            (png(100, 50), "video/mp4", RefusalCode::Lies),
            (b"\0\0\0\x20ftypisom".to_vec(), "image/png", RefusalCode::Lies),
            (b"<html><script>".to_vec(), "image/png", RefusalCode::Unknown),
            (b"#EXTM3U\nhttp://x/".to_vec(), "video/mp4", RefusalCode::Unknown),
            (b"PK\x03\x04".to_vec(), "image/png", RefusalCode::Unknown),
            (b"\x7fELF".to_vec(), "", RefusalCode::Unknown),
            (Vec::new(), "", RefusalCode::Unknown),
            (png(20_000, 20_000), "image/png", RefusalCode::TooManyPixels),
            (png(0, 5), "image/png", RefusalCode::Damaged),
            (b"GIF89a\xff\xff\xff\xff".to_vec(), "image/gif", RefusalCode::TooManyPixels),
        ] {
            assert_eq!(check(&head, told).unwrap_err().code, code, "{told} {head:?}");
        }
    }

    #[test]
    fn sizes_are_read_from_headers() {
        let jpeg =
            [&[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc0, 0, 17, 8][..], &[0x4e, 0x20, 0x4e, 0x20, 3]].concat();
        assert_eq!(sniff(&jpeg), Some((Format::Jpeg, Some((20_000, 20_000)))));
        let webp = [&b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"[..], &[0x1f, 0x4e, 0, 0x0f, 0, 0]].concat();
        assert_eq!(sniff(&webp), Some((Format::WebP, Some((20_000, 16)))));
        assert_eq!(sniff(b"\xef\xbb\xbf <?xml version='1.0'?><svg/>"), Some((Format::Svg, None)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_looked_at_without_a_fault(mut bytes in prop::collection::vec(any::<u8>(), 0..64), magic in 0usize..6) {
            let heads: [&[u8]; 6] = [b"", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBPVP8L", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg"];
            let mut all = heads[magic].to_vec();
            all.append(&mut bytes);
            let _ = check(&all, "image/png");
        }
    }
}
