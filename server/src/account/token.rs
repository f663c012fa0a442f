//! Session tokens: 256 random bits. The server keeps only their SHA-256.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const BYTES: usize = 32;

/// A new token, before it is shown to its owner.
pub struct SecretToken(Zeroizing<[u8; BYTES]>);

/// What the server keeps of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl SecretToken {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let mut bytes = Zeroizing::new([0; BYTES]);
        rand::fill(&mut bytes[..]);
        Self(bytes)
    }

    /// What the server keeps.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(&self.0[..]).into())
    }

    /// What its owner gets.
    #[must_use]
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0[..])
    }
}

impl Default for SecretToken {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenHash {
    /// The hash of a token as it travels. None: it cannot be one.
    #[must_use]
    pub fn of(token: &str) -> Option<Self> {
        if token.len() > 2 * BYTES {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(token).ok()?);
        (bytes.len() == BYTES).then(|| Self(Sha256::digest(&bytes[..]).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_again_by_its_hash() {
        let (a, b) = (SecretToken::new(), SecretToken::new());
        assert_eq!(TokenHash::of(&a.reveal()), Some(a.hash()));
        assert_ne!(a.hash(), b.hash());
        for bad in ["", "short", &"A".repeat(44), &"=".repeat(43), &"A".repeat(1_000_000)] {
            assert_eq!(TokenHash::of(bad), None);
        }
    }
}
