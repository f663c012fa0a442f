//! `onMetaData`: what a publisher says about its stream. For display only; the headers decide.

use crate::amf::Value;

/// Longest text that is kept of an encoder's name, in characters.
const NAME_MAX: usize = 100;

/// What `onMetaData` said, as far as it is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// The encoder's name.
    pub encoder: Option<String>,
    /// Width in pixels.
    pub width: Option<f64>,
    /// Height in pixels.
    pub height: Option<f64>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// Video, in kbit/s.
    pub video_kbps: Option<f64>,
    /// Sound, in kbit/s.
    pub audio_kbps: Option<f64>,
    /// Samples a second.
    pub sample_rate: Option<f64>,
    /// Two channels.
    pub stereo: Option<bool>,
}

impl Metadata {
    /// Reads the object or array behind `onMetaData`.
    #[must_use]
    pub fn from_amf(v: &Value) -> Self {
        let number = |name| v.get(name).and_then(Value::as_number).filter(|n| n.is_finite() && *n >= 0.0);
        Self {
            encoder: v.get("encoder").and_then(Value::as_str).map(|s| s.chars().take(NAME_MAX).collect()),
            width: number("width"),
            height: number("height"),
            frame_rate: number("framerate"),
            video_kbps: number("videodatarate"),
            audio_kbps: number("audiodatarate"),
            sample_rate: number("audiosamplerate"),
            stereo: match v.get("stereo") {
                Some(Value::Boolean(b)) => Some(*b),
                _ => None,
            },
        }
    }

    /// The array behind `onMetaData`, with the codec ids of H.264 and AAC.
    #[must_use]
    pub fn to_amf(&self) -> Value {
        let mut p: Vec<(String, Value)> = Vec::new();
        let mut number = |name: &str, v: Option<f64>| p.extend(v.map(|v| (name.to_owned(), Value::Number(v))));
        number("duration", Some(0.0));
        number("width", self.width);
        number("height", self.height);
        number("framerate", self.frame_rate);
        number("videocodecid", Some(7.0));
        number("videodatarate", self.video_kbps);
        number("audiocodecid", Some(10.0));
        number("audiodatarate", self.audio_kbps);
        number("audiosamplerate", self.sample_rate);
        p.extend(self.stereo.map(|b| ("stereo".to_owned(), Value::Boolean(b))));
        p.extend(self.encoder.clone().map(|s| ("encoder".to_owned(), Value::String(s))));
        Value::EcmaArray(p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_nonsense() {
        let m = Metadata { encoder: Some("x".into()), width: Some(1280.0), stereo: Some(true), ..Metadata::default() };
        assert_eq!(Metadata::from_amf(&m.to_amf()), m);
        let odd = Value::object([("width", Value::Number(f64::NAN)), ("height", Value::string("tall"))]);
        assert_eq!(Metadata::from_amf(&odd), Metadata::default());
    }
}
