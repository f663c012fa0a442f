//! AMF0, the notation of RTMP's commands (Adobe, "Action Message Format -- AMF 0", 2007).
//!
//! Decoding is bounded in depth and in the number of values; the bytes are bounded by the message
//! that carries them. Nothing is allocated by a length that the input merely claims.

use bytes::{BufMut, BytesMut};

/// Deepest nesting of objects and arrays that is taken.
pub const MAX_DEPTH: usize = 8;
/// Most values (properties of objects count too) in one message.
pub const MAX_VALUES: usize = 1024;

/// A value of AMF0.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A double.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Text, short or long. Bytes that are no UTF-8 became U+FFFD.
    String(String),
    /// Named properties, in order; a typed object is one too, without its class.
    Object(Vec<(String, Value)>),
    /// Nothing, said.
    Null,
    /// Nothing, not said.
    Undefined,
    /// An associative array.
    EcmaArray(Vec<(String, Value)>),
    /// A plain array.
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970, UTC.
    Date(f64),
}

/// AMF0 that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmfError {
    /// The input ends inside a value.
    #[error("the AMF data ends in the middle of a value")]
    Truncated,
    /// Nested past [`MAX_DEPTH`].
    #[error("the AMF data is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// More than [`MAX_VALUES`].
    #[error("the AMF data holds more than {MAX_VALUES} values")]
    TooMany,
    /// A type that is not taken: references, movie clips, record sets, AMF3.
    #[error("the AMF data holds a value of type {0:#04x}, which is not taken")]
    UnknownType(u8),
}

impl Value {
    /// The property of an object or associative array, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(p) | Self::EcmaArray(p) => p.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(s) => Some(s),
            _ => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            _ => None,
        }
    }

    /// Text as a value.
    #[must_use]
    pub fn string(s: impl Into<String>) -> Self {
        Self::String(s.into())
    }

    /// An object of these properties.
    #[must_use]
    pub fn object<const N: usize>(properties: [(&str, Value); N]) -> Self {
        Self::Object(properties.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())
    }
}

/// Reads all values of a message body.
///
/// # Errors
/// [`AmfError`] when the input is cut short, nested too deep, too many or of a type not taken.
pub fn decode_all(input: &[u8]) -> Result<Vec<Value>, AmfError> {
    let mut r = Reader { rest: input, values: 0 };
    let mut out = Vec::new();
    while !r.rest.is_empty() {
        out.push(r.value(0)?);
    }
    Ok(out)
}

/// Reads the values of a message body until one cannot be read, and says why it stopped.
///
/// Programs exist that end their metadata badly; what came before is still good.
#[must_use]
pub fn decode_lenient(input: &[u8]) -> (Vec<Value>, Option<AmfError>) {
    let mut r = Reader { rest: input, values: 0 };
    let mut out = Vec::new();
    while !r.rest.is_empty() {
        match r.value(0) {
            Ok(v) => out.push(v),
            Err(e) => return (out, Some(e)),
        }
    }
    (out, None)
}

struct Reader<'a> {
    rest: &'a [u8],
    values: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], AmfError> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(AmfError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(AmfError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    fn u16(&mut self) -> Result<usize, AmfError> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    fn u32(&mut self) -> Result<usize, AmfError> {
        // A length past the address space is past the input too.
        Ok(usize::try_from(u32::from_be_bytes(self.array()?)).unwrap_or(usize::MAX))
    }

    fn f64(&mut self) -> Result<f64, AmfError> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    fn text(&mut self, n: usize) -> Result<String, AmfError> {
        Ok(String::from_utf8_lossy(self.take(n)?).into_owned())
    }

    fn short_text(&mut self) -> Result<String, AmfError> {
        let n = self.u16()?;
        self.text(n)
    }

    fn value(&mut self, depth: usize) -> Result<Value, AmfError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(AmfError::TooMany);
        }
        if depth > MAX_DEPTH {
            return Err(AmfError::TooDeep);
        }
        let [marker] = self.array()?;
        Ok(match marker {
            0x00 => Value::Number(self.f64()?),
            0x01 => Value::Boolean(self.array::<1>()? != [0]),
            0x02 => Value::String(self.short_text()?),
            0x03 => Value::Object(self.properties(depth)?),
            0x05 => Value::Null,
            0x06 => Value::Undefined,
            0x08 => {
                // The count is a hint that writers get wrong; the end marker is what counts.
                self.u32()?;
                Value::EcmaArray(self.properties(depth)?)
            }
            0x0A => {
                let n = self.u32()?;
                let mut items = Vec::new();
                for _ in 0..n {
                    items.push(self.value(depth + 1)?);
                }
                Value::StrictArray(items)
            }
            0x0B => {
                let ms = self.f64()?;
                self.take(2)?; // the time zone, reserved
                Value::Date(ms)
            }
            0x0C | 0x0F => {
                let n = self.u32()?;
                Value::String(self.text(n)?)
            }
            0x10 => {
                self.short_text()?;
                Value::Object(self.properties(depth)?)
            }
            other => return Err(AmfError::UnknownType(other)),
        })
    }

    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, AmfError> {
        let mut out = Vec::new();
        loop {
            if let Some(rest) = self.rest.strip_prefix(&[0, 0, 9]) {
                self.rest = rest;
                return Ok(out);
            }
            let name = self.short_text()?;
            out.push((name, self.value(depth + 1)?));
        }
    }
}

/// Appends a value.
pub fn encode(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Number(n) => {
            out.put_u8(0x00);
            out.put_f64(*n);
        }
        Value::Boolean(b) => {
            out.put_u8(0x01);
            out.put_u8(u8::from(*b));
        }
        Value::String(s) => match u16::try_from(s.len()) {
            Ok(n) => {
                out.put_u8(0x02);
                out.put_u16(n);
                out.put_slice(s.as_bytes());
            }
            Err(_) => {
                let bytes = truncated(s, u32::MAX as usize);
                out.put_u8(0x0C);
                out.put_u32(bytes.len() as u32);
                out.put_slice(bytes);
            }
        },
        Value::Object(p) => {
            out.put_u8(0x03);
            encode_properties(out, p);
        }
        Value::Null => out.put_u8(0x05),
        Value::Undefined => out.put_u8(0x06),
        Value::EcmaArray(p) => {
            out.put_u8(0x08);
            out.put_u32(u32::try_from(p.len()).unwrap_or(u32::MAX));
            encode_properties(out, p);
        }
        Value::StrictArray(items) => {
            out.put_u8(0x0A);
            out.put_u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
            for item in items {
                encode(out, item);
            }
        }
        Value::Date(ms) => {
            out.put_u8(0x0B);
            out.put_f64(*ms);
            out.put_u16(0);
        }
    }
}

/// The bytes of these values, one after the other.
#[must_use]
pub fn encode_all(values: &[Value]) -> BytesMut {
    let mut out = BytesMut::with_capacity(128);
    for v in values {
        encode(&mut out, v);
    }
    out
}

fn encode_properties(out: &mut BytesMut, properties: &[(String, Value)]) {
    for (name, value) in properties {
        let name = truncated(name, usize::from(u16::MAX));
        out.put_u16(name.len() as u16);
        out.put_slice(name);
        encode(out, value);
    }
    out.put_slice(&[0, 0, 9]);
}

fn truncated(s: &str, max: usize) -> &[u8] {
    &s.as_bytes()[..s.len().min(max)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(|n| Value::Number(f64::from(n))),
            any::<bool>().prop_map(Value::Boolean),
            "[a-z观众]{0,20}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
            any::<u32>().prop_map(|n| Value::Date(f64::from(n))),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let properties = prop::collection::vec(("[a-z]{1,6}", inner.clone()), 0..4);
            prop_oneof![
                properties.clone().prop_map(Value::Object),
                properties.prop_map(Value::EcmaArray),
                prop::collection::vec(inner, 0..4).prop_map(Value::StrictArray),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(values in prop::collection::vec(any_value(), 0..5)) {
            prop_assert_eq!(decode_all(&encode_all(&values)), Ok(values));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_all(&bytes);
            let _ = decode_lenient(&bytes);
        }
    }

    #[test]
    fn depth_and_count_are_bounded() {
        let deep: Vec<u8> = [0x0A, 0, 0, 0, 1].repeat(100_000);
        assert_eq!(decode_all(&deep), Err(AmfError::TooDeep));
        assert_eq!(decode_all(&[0x05].repeat(MAX_VALUES + 1)), Err(AmfError::TooMany));
        let mut wide = vec![0x0A, 0xFF, 0xFF, 0xFF, 0xFF];
        wide.extend([0x05; 5000]);
        assert_eq!(decode_all(&wide), Err(AmfError::TooMany));
    }

    #[test]
    fn lies_about_length_are_errors() {
        assert_eq!(decode_all(&[0x02, 0xFF, 0xFF, b'a']), Err(AmfError::Truncated));
        assert_eq!(decode_all(&[0x0C, 0xFF, 0xFF, 0xFF, 0xFF, b'a']), Err(AmfError::Truncated));
        assert_eq!(decode_all(&[0x03, 0, 1, b'a']), Err(AmfError::Truncated));
        assert_eq!(decode_all(&[0x11, 1]), Err(AmfError::UnknownType(0x11)));
    }

    #[test]
    fn a_bad_end_keeps_what_came_before() {
        let (values, error) = decode_lenient(&[0x05, 0x02, 0, 9]);
        assert_eq!(values, [Value::Null]);
        assert_eq!(error, Some(AmfError::Truncated));
    }

    #[test]
    fn long_text_is_written_as_such() {
        let v = vec![Value::String("x".repeat(70_000))];
        assert_eq!(decode_all(&encode_all(&v)), Ok(v));
    }
}
