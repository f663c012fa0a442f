//! Tokens to watch with: for players that cannot send a header. Good for minutes and for one room.
//!
//! They live in memory; a restart ends them, and players ask for new ones.

use std::collections::HashMap;
use std::time::Duration;

use mujian_media::time::Now;
use mujian_protocol::{AccountId, RoomId};
use parking_lot::Mutex;

use crate::account::{SecretToken, TokenHash};

/// Tokens at a time at most; the one that ends first makes room.
const MOST: usize = 20_000;

/// The tokens that are good.
#[derive(Debug, Default)]
pub struct WatchTokens {
    tokens: Mutex<HashMap<TokenHash, Entry>>,
}

#[derive(Debug)]
struct Entry {
    room: RoomId,
    account: AccountId,
    ends: Now,
}

impl WatchTokens {
    /// Makes one.
    #[must_use]
    pub fn issue(&self, room: RoomId, account: AccountId, now: Now, life: Duration) -> String {
        let token = SecretToken::new();
        let mut tokens = self.tokens.lock();
        if tokens.len() >= MOST {
            tokens.retain(|_, e| e.ends > now);
        }
        if tokens.len() >= MOST
            && let Some(first) = tokens.iter().min_by_key(|(_, e)| e.ends).map(|(hash, _)| *hash)
        {
            tokens.remove(&first);
        }
        tokens.insert(token.hash(), Entry { room, account, ends: now.plus(life) });
        token.reveal()
    }

    /// Ends those of an account.
    pub fn revoke(&self, account: &AccountId) {
        self.tokens.lock().retain(|_, e| e.account != *account);
    }

    /// Whose token it is, if it is good for this room now.
    #[must_use]
    pub fn check(&self, token: &str, room: &RoomId, now: Now) -> Option<AccountId> {
        let hash = TokenHash::of(token)?;
        let tokens = self.tokens.lock();
        tokens.get(&hash).filter(|e| e.room == *room && e.ends > now).map(|e| e.account.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_room_and_for_a_while() {
        let tokens = WatchTokens::default();
        let (room, other): (RoomId, RoomId) = ("room".parse().unwrap(), "other".parse().unwrap());
        let account = AccountId::new();
        let at = |s| Now::from_origin(Duration::from_secs(s));
        let token = tokens.issue(room.clone(), account.clone(), at(0), Duration::from_secs(10));
        assert_eq!(tokens.check(&token, &room, at(9)), Some(account));
        assert_eq!(tokens.check(&token, &room, at(10)), None);
        assert_eq!(tokens.check(&token, &other, at(1)), None);
        assert_eq!(tokens.check("nonsense", &room, at(1)), None);
        let (mine, other) = (AccountId::new(), AccountId::new());
        let [a, b] = [&mine, &other].map(|who| tokens.issue(room.clone(), who.clone(), at(0), Duration::from_secs(9)));
        tokens.revoke(&mine);
        assert_eq!((tokens.check(&a, &room, at(1)), tokens.check(&b, &room, at(1))), (None, Some(other)));
    }
}
