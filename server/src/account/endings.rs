//! Sessions that end before their time: whoever speaks with somebody over a connection that lasts is told.

use mujian_protocol::AccountId;
use tokio::sync::broadcast;

use super::TokenHash;

/// Endings that a listener may be behind; one that is further behind asks the store.
const BEHIND: usize = 256;

/// Sessions have ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// One.
    One(TokenHash),
    /// All of an account, but this one if it is told.
    All(AccountId, Option<TokenHash>),
}

impl Ending {
    /// Whether a session is among them.
    #[must_use]
    pub fn concerns(&self, account: &AccountId, session: TokenHash) -> bool {
        match self {
            Self::One(ended) => *ended == session,
            Self::All(of, but) => of == account && *but != Some(session),
        }
    }
}

/// Where endings are told.
#[derive(Debug)]
pub(super) struct Endings(broadcast::Sender<Ending>);

impl Endings {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    pub(super) fn tell(&self, ending: Ending) {
        // Nobody listening is as good as everybody told.
        let _ = self.0.send(ending);
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Ending> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_concerns_its_own_sessions_only() {
        let (me, other) = (AccountId::new(), AccountId::new());
        let (a, b) = (TokenHash([1; 32]), TokenHash([2; 32]));
        assert!(Ending::One(a).concerns(&me, a) && !Ending::One(a).concerns(&me, b));
        assert!(Ending::All(me.clone(), None).concerns(&me, a) && !Ending::All(me.clone(), None).concerns(&other, a));
        let but = Ending::All(me.clone(), Some(a));
        assert!(!but.concerns(&me, a) && but.concerns(&me, b));
    }
}
