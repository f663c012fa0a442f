//! AAC-LC: the decoder's configuration and silence (ISO/IEC 14496-3).

use bytes::Bytes;
use mujian_protocol::Problem;
use thiserror::Error;

use crate::avc::BitWriter;
use crate::frame::AudioConfig;

/// Why a publisher's AAC was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AacError {
    /// The configuration ends early or is longer than any can be.
    #[error(
        "The sound's AAC configuration is damaged or cut off. Stop the stream and start it again; if this comes back, choose another encoder."
    )]
    Malformed,
    /// An object type other than AAC-LC.
    #[error("The sound is coded as {}, but only AAC-LC is taken. Choose AAC-LC (in OBS: the encoder \"AAC\").", object_name(*.0))]
    ObjectType(u8),
    /// 960 samples a frame.
    #[error("The sound's AAC frames have 960 samples, but only the usual 1024 are taken. Choose another AAC encoder.")]
    ShortFrames,
    /// Neither 44.1 nor 48 kHz.
    #[error("The sound has {0} samples a second, but only 44100 and 48000 are taken. Choose 48 kHz.")]
    SampleRate(u32),
    /// Neither mono nor stereo.
    #[error("The sound has {}, but only mono and stereo are taken. Choose stereo.", channel_name(*.0))]
    Channels(u8),
}

impl AacError {
    /// The same, for the interface.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match *self {
            Self::Malformed => Problem::SoundDamaged,
            Self::ObjectType(_) | Self::ShortFrames => Problem::SoundForm,
            Self::SampleRate(rate) => Problem::SoundRate { rate },
            Self::Channels(_) => Problem::SoundChannels,
        }
    }
}

fn object_name(object: u8) -> String {
    match object {
        1 => "AAC Main".into(),
        3 => "AAC SSR".into(),
        4 => "AAC LTP".into(),
        5 => "HE-AAC".into(),
        23 => "AAC-LD".into(),
        29 => "HE-AAC v2".into(),
        39 => "AAC-ELD".into(),
        42 => "xHE-AAC".into(),
        other => format!("MPEG-4 audio of type {other}"),
    }
}

fn channel_name(configuration: u8) -> String {
    match configuration {
        0 => "a channel layout of its own".into(),
        7 => "8 channels".into(),
        n => format!("{n} channels"),
    }
}

const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
const OBJECT_LC: u8 = 2;
const OBJECT_SBR: u8 = 5;
/// Longer configurations do not occur for what is taken.
const MAX_LENGTH: usize = 64;

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn get(&mut self, count: usize) -> Result<u32, AacError> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.at / 8).ok_or(AacError::Malformed)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(value)
    }

    fn object(&mut self) -> Result<u8, AacError> {
        Ok(match self.get(5)? {
            31 => 32 + self.get(6)? as u8,
            object => object as u8,
        })
    }

    fn rate(&mut self) -> Result<u32, AacError> {
        match self.get(4)? {
            15 => self.get(24),
            index => RATES.get(index as usize).copied().ok_or(AacError::Malformed),
        }
    }
}

/// Reads the AudioSpecificConfig (1.6.2.1) that a publisher sends, and writes it anew in its
/// shortest form, so that equal sound has equal configurations.
///
/// # Errors
/// It is damaged, or asks for anything other than AAC-LC of 1024 samples a frame at 44.1 or
/// 48 kHz in mono or stereo. Spectral band replication that is signalled in any of the explicit ways
/// is refused; where the configuration says that there is none, it is taken.
pub fn parse_asc(asc: Bytes) -> Result<AudioConfig, AacError> {
    if asc.len() > MAX_LENGTH {
        return Err(AacError::Malformed);
    }
    let mut bits = Bits { data: &asc, at: 0 };
    let object = bits.object()?;
    let rate = bits.rate()?;
    let channels = bits.get(4)? as u8;
    if object != OBJECT_LC {
        return Err(AacError::ObjectType(object));
    }
    if !matches!(channels, 1 | 2) {
        return Err(AacError::Channels(channels));
    }
    // GASpecificConfig (4.4.1).
    if bits.get(1)? == 1 {
        return Err(AacError::ShortFrames);
    }
    if bits.get(1)? == 1 {
        let _core_coder_delay = bits.get(14)?;
    }
    let _extension = bits.get(1)?;
    // The extension that old decoders overlook; what ends early has none.
    if bits.get(11) == Ok(0x2b7) && bits.object() == Ok(OBJECT_SBR) && bits.get(1) == Ok(1) {
        return Err(AacError::ObjectType(OBJECT_SBR));
    }
    if !matches!(rate, 44_100 | 48_000) {
        return Err(AacError::SampleRate(rate));
    }
    Ok(make_asc(rate, channels))
}

/// The configuration of AAC-LC at this rate, 44,100 or 48,000 (anything else counts as 48,000), and
/// with this many channels, 1 or 2 (anything else counts as 2).
#[must_use]
pub fn make_asc(rate: u32, channels: u8) -> AudioConfig {
    let (sample_rate, index) = if rate == 44_100 { (44_100, 4) } else { (48_000, 3) };
    let channels = if channels == 1 { 1 } else { 2 };
    let mut w = BitWriter::new();
    w.bits(OBJECT_LC.into(), 5);
    w.bits(index, 4);
    w.bits(channels.into(), 4);
    w.bits(0, 3);
    AudioConfig { asc: w.into_bytes().into(), sample_rate, channels }
}

/// A frame of 1024 samples of digital silence, for 1 channel or (anything else) 2.
///
/// It is a raw data block (4.4.2.1) without a single coded scale factor band.
#[must_use]
pub fn silent_frame(channels: u8) -> Bytes {
    const SINGLE_CHANNEL: u32 = 0;
    const CHANNEL_PAIR: u32 = 1;
    const END: u32 = 7;
    // One long window of the sine shape, no band, no prediction.
    let ics_info = |w: &mut BitWriter| w.bits(0, 1 + 2 + 1 + 6 + 1);
    // No pulses, no noise shaping, no gain control.
    let no_tools = |w: &mut BitWriter| w.bits(0, 3);
    const GAIN: u32 = 100;
    let mut w = BitWriter::new();
    if channels == 1 {
        w.bits(SINGLE_CHANNEL, 3);
        w.bits(0, 4);
        w.bits(GAIN, 8);
        ics_info(&mut w);
        no_tools(&mut w);
    } else {
        w.bits(CHANNEL_PAIR, 3);
        w.bits(0, 4);
        w.flag(true);
        ics_info(&mut w);
        let no_mid_side = 0;
        w.bits(no_mid_side, 2);
        for _ in 0..2 {
            w.bits(GAIN, 8);
            no_tools(&mut w);
        }
    }
    w.bits(END, 3);
    w.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &'static [u8]) -> Result<AudioConfig, AacError> {
        parse_asc(Bytes::from_static(bytes))
    }

    #[test]
    fn takes_low_complexity_and_says_it_shortest() {
        assert_eq!(parse(&[0x11, 0x90]), Ok(make_asc(48_000, 2)));
        assert_eq!(parse(&[0x12, 0x08]), Ok(make_asc(44_100, 1)));
        // ffmpeg says that there is no spectral band replication.
        assert_eq!(parse(&[0x11, 0x90, 0x56, 0xe5, 0x00]), Ok(make_asc(48_000, 2)));
        // The rate in full: object 2, index 15, 24 bits of 48000, 2 channels, no options.
        assert_eq!(parse(&[0x17, 0x80, 0x5d, 0xc0, 0x10]), Ok(make_asc(48_000, 2)));
        assert_eq!(&make_asc(48_000, 2).asc[..], [0x11, 0x90]);
        assert_eq!(&make_asc(44_100, 1).asc[..], [0x12, 0x08]);
    }

    #[test]
    fn refuses_the_rest_with_a_sentence() {
        assert_eq!(parse(&[]), Err(AacError::Malformed));
        assert_eq!(parse(&[0x11]), Err(AacError::Malformed));
        assert_eq!(parse(&[0x11, 0x90, 0x56, 0xe5, 0xa0]), Err(AacError::ObjectType(5)));
        assert_eq!(parse(&[0x2b, 0x11, 0x88, 0x00]), Err(AacError::ObjectType(5)));
        assert_eq!(parse(&[0xeb, 0x09, 0x88, 0x00]), Err(AacError::ObjectType(29)));
        assert_eq!(parse(&[0x11, 0xb0]), Err(AacError::Channels(6)));
        assert_eq!(parse(&[0x11, 0x80]), Err(AacError::Channels(0)));
        assert_eq!(parse(&[0x11, 0x94]), Err(AacError::ShortFrames));
        assert_eq!(parse(&[0x13, 0x10]), Err(AacError::SampleRate(24_000)));
        assert_eq!(parse(&[0x0a, 0x90]), Err(AacError::ObjectType(1)));
        for error in [AacError::Channels(6), AacError::ObjectType(29), AacError::SampleRate(24_000)] {
            assert!(error.to_string().contains("Choose"));
        }
    }
}
