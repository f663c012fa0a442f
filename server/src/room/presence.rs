//! How many people watch.
//!
//! A person has a room socket, reads the programme, or both, perhaps in several windows. An account
//! counts once. People without one are counted by address: where sockets and readers come from the
//! same address, a reader is taken to belong to a socket, so that one page is one person, and a
//! player without a socket is one too. Behind a proxy that is not trusted this still holds.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use mujian_protocol::AccountId;

/// Somebody with a room socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who, if they are logged in.
    pub account: Option<AccountId>,
    /// From where.
    pub address: IpAddr,
    /// False: they run the room, and are none of its audience.
    pub watching: bool,
}

/// Who has a socket in a room.
#[derive(Debug, Default)]
pub struct Presence {
    members: HashMap<u64, Member>,
}

impl Presence {
    /// Somebody came.
    pub fn join(&mut self, socket: u64, member: Member) {
        self.members.insert(socket, member);
    }

    /// Somebody left.
    pub fn leave(&mut self, socket: u64) {
        self.members.remove(&socket);
    }

    /// Sockets now.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.members.len()
    }

    /// People, these readers of the programme included.
    #[must_use]
    pub fn people(&self, readers: &[(Option<AccountId>, IpAddr)]) -> u32 {
        #[derive(Default)]
        struct At<'a> {
            accounts: HashSet<&'a AccountId>,
            sockets: u32,
            readers: u32,
        }
        let mut accounts: HashSet<&AccountId> = HashSet::new();
        let mut places: HashMap<IpAddr, At<'_>> = HashMap::new();
        for member in self.members.values().filter(|m| m.watching) {
            let at = places.entry(member.address).or_default();
            match &member.account {
                Some(account) => {
                    accounts.insert(account);
                    at.accounts.insert(account);
                }
                None => at.sockets += 1,
            }
        }
        for (account, address) in readers {
            match account {
                Some(account) => {
                    accounts.insert(account);
                }
                None => places.entry(*address).or_default().readers += 1,
            }
        }
        let known = u32::try_from(accounts.len()).unwrap_or(u32::MAX);
        places.values().fold(known, |people, at| {
            let with_account = u32::try_from(at.accounts.len()).unwrap_or(u32::MAX);
            people.saturating_add(at.sockets.max(at.readers.saturating_sub(with_account)))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn presence(members: &[(Option<&AccountId>, u8)]) -> Presence {
        let mut presence = Presence::default();
        for (i, (account, address)) in members.iter().enumerate() {
            presence.join(i as u64, Member { account: account.cloned(), address: ip(*address), watching: true });
        }
        presence
    }

    #[test]
    fn one_person_counts_once() {
        let (a, b) = (AccountId::new(), AccountId::new());
        // Two windows of one account, one of them elsewhere.
        assert_eq!(presence(&[(Some(&a), 1), (Some(&a), 2)]).people(&[]), 1);
        // A page: a socket and a reader without a token.
        assert_eq!(presence(&[(Some(&a), 1)]).people(&[(None, ip(1))]), 1);
        assert_eq!(presence(&[(None, 1)]).people(&[(None, ip(1))]), 1);
        // The same, the reader has a token.
        assert_eq!(presence(&[(Some(&a), 1)]).people(&[(Some(a.clone()), ip(1))]), 1);
        // A player without a socket.
        assert_eq!(presence(&[(Some(&a), 1)]).people(&[(None, ip(2))]), 2);
        // Two pages and a player behind one address.
        assert_eq!(presence(&[(None, 1), (None, 1)]).people(&[(None, ip(1)), (None, ip(1)), (None, ip(1))]), 3);
        assert_eq!(
            presence(&[(Some(&a), 1), (Some(&b), 1), (None, 1)]).people(&[(None, ip(1)), (None, ip(1)), (None, ip(1))]),
            3
        );
        // The studio is no audience, and takes no player beside it for its own.
        let mut studio = presence(&[]);
        studio.join(9, Member { account: Some(a.clone()), address: ip(1), watching: false });
        assert_eq!((studio.people(&[]), studio.people(&[(None, ip(1))]), studio.sockets()), (0, 1, 1));
        let mut presence = presence(&[(None, 1)]);
        presence.leave(0);
        assert_eq!((presence.people(&[]), presence.sockets()), (0, 0));
    }

    proptest! {
        #[test]
        fn bounds_hold(sockets in prop::collection::vec((0usize..5, 0u8..4), 0..30), readers in prop::collection::vec((0usize..5, 0u8..4), 0..30)) {
            let ids: Vec<AccountId> = (0..4).map(|_| AccountId::new()).collect();
            let members: Vec<_> = sockets.iter().map(|(a, n)| (ids.get(*a), *n)).collect();
            let readers: Vec<_> = readers.iter().map(|(a, n)| (ids.get(*a).cloned(), ip(*n))).collect();
            let people = presence(&members).people(&readers) as usize;
            prop_assert!(people <= members.len() + readers.len());
            prop_assert!(people >= presence(&members).people(&[]) as usize);
            prop_assert_eq!(people == 0, members.is_empty() && readers.is_empty());
        }
    }
}
