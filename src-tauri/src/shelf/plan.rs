//! What makes the shelf on this computer and a room's shelf the same: decided here, done elsewhere.
//!
//! Both sides remember what was deleted. Here it is also known what both agreed on last, the *base*: so it is known
//! who changed something, and the clocks, which may differ, count only where both did; then the later change wins.
//! What is missing on one side and was not deleted there is put there again: a server that lost its data deletes
//! nothing here.

use std::collections::{BTreeMap, BTreeSet};

/// What is said of a placeholder.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Words {
    /// Its name.
    pub(crate) name: String,
    /// What it is about.
    pub(crate) keywords: Vec<String>,
    /// The words on it.
    pub(crate) text: String,
}

/// One on this computer, deleted ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    /// Its name for programs, the same at every server.
    pub(crate) key: String,
    /// As it is here.
    pub(crate) words: Words,
    /// Digest of the sound that was added to it.
    pub(crate) sound: Option<String>,
    /// When words or sound last changed, in milliseconds.
    pub(crate) changed_at: i64,
    /// When it was deleted, if it was.
    pub(crate) removed_at: Option<i64>,
    /// Its files are on this computer.
    pub(crate) here: bool,
    /// What this room and this computer agreed on last.
    pub(crate) base: Option<Base>,
}

/// See [`Local::base`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// What the room calls it.
    pub(crate) id: String,
    /// The words of that time.
    pub(crate) words: Words,
    /// The sound of that time.
    pub(crate) sound: Option<String>,
}

/// One on the room's shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// What the room calls it.
    pub(crate) id: String,
    /// Whose copy it is, if a program put it there.
    pub(crate) key: Option<String>,
    /// As it is there.
    pub(crate) words: Words,
    /// Digest of its added sound.
    pub(crate) sound: Option<String>,
    /// By the server's clock.
    pub(crate) changed_at: i64,
}

impl Remote {
    /// What it is called on this computer once it is there.
    #[must_use]
    pub(crate) fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.id)
    }
}

/// One that was deleted from the room's shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    /// What the room called it.
    pub(crate) id: String,
    /// Whose copy it was.
    pub(crate) key: Option<String>,
    /// By the server's clock.
    pub(crate) at: i64,
}

/// The shelf on this computer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalShelf {
    /// In order.
    pub(crate) items: Vec<Local>,
    /// When the order last changed.
    pub(crate) ordered_at: i64,
    /// Keys in the order that both agreed on last.
    pub(crate) base_order: Vec<String>,
}

/// The room's shelf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteShelf {
    /// In order.
    pub(crate) items: Vec<Remote>,
    /// When the order last changed, by the server's clock.
    pub(crate) ordered_at: i64,
    /// What was deleted there.
    pub(crate) removed: Vec<Gone>,
}

/// What is not tried for now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Keys that the server refused.
    pub(crate) push: BTreeSet<String>,
    /// Ids whose files the server does not give.
    pub(crate) pull: BTreeSet<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Put it on the room's shelf.
    Upload { key: String },
    /// Give the room's its sound.
    SendSound { key: String, id: String },
    /// Make the room's words these.
    SendWords { key: String, id: String },
    /// Delete the room's.
    Delete { key: String, id: String },
    /// Put the room's at another place.
    Move { id: String, position: usize },
    /// Take one in that is only there.
    Pull { id: String },
    /// Its files vanished here: bring them again.
    Fetch { key: String, id: String },
    /// Take the room's words.
    TakeWords { key: String, id: String },
    /// Take the room's sound.
    TakeSound { key: String, id: String },
    /// Deleted here, and changed there later: it is back.
    Revive { key: String, id: String },
    /// It was deleted there.
    Remove { key: String, at: i64 },
    /// Both are the same; note it.
    Agree { key: String, id: String },
    /// Take the room's order.
    TakeOrder { keys: Vec<String> },
    /// Both are in this order; note it.
    AgreeOrder { keys: Vec<String> },
}

/// Which of the room's each one here is: as it was agreed, else by its key.
#[must_use]
pub(crate) fn matches<'a>(local: &'a LocalShelf, remote: &'a RemoteShelf) -> BTreeMap<&'a str, &'a Remote> {
    let mut found: BTreeMap<&str, &Remote> = BTreeMap::new();
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    let by_base = |item: &Local, there: &Remote| item.base.as_ref().is_some_and(|b| b.id == there.id);
    let by_key = |item: &Local, there: &Remote| item.key == there.key();
    for is in [&by_base as &dyn Fn(&Local, &Remote) -> bool, &by_key] {
        for item in &local.items {
            if found.contains_key(item.key.as_str()) {
                continue;
            }
            if let Some(there) = remote.items.iter().find(|r| !taken.contains(r.id.as_str()) && is(item, r)) {
                found.insert(&item.key, there);
                taken.insert(&there.id);
            }
        }
    }
    found
}

/// What is to be done, in this order. Nothing: they are the same, but for what is held.
#[must_use]
pub(crate) fn plan(local: &LocalShelf, remote: &RemoteShelf, held: &Held) -> Vec<Action> {
    let matched = matches(local, remote);
    let mut actions = Vec::new();
    for item in &local.items {
        match (matched.get(item.key.as_str()), item.removed_at) {
            (Some(there), None) => both(item, there, held, &mut actions),
            (Some(there), Some(at)) => actions.push(deleted_here(item, there, at)),
            (None, None) => actions.push(only_here(item, &remote.removed)),
            (None, Some(_)) => {}
        }
    }
    let known: BTreeSet<&str> = matched.values().map(|r| r.id.as_str()).collect();
    let keys: BTreeSet<&str> = local.items.iter().map(|i| i.key.as_str()).collect();
    for there in remote.items.iter().filter(|r| !known.contains(r.id.as_str()) && !keys.contains(r.key())) {
        actions.push(Action::Pull { id: there.id.clone() });
    }
    actions.retain(|action| match action {
        Action::Upload { key } | Action::SendSound { key, .. } | Action::SendWords { key, .. } => {
            !held.push.contains(key)
        }
        Action::Pull { id } | Action::Fetch { id, .. } | Action::TakeSound { id, .. } => !held.pull.contains(id),
        _ => true,
    });
    // Whoever is deleted makes room for the others.
    actions.sort_by_key(|action| !matches!(action, Action::Delete { .. }));
    // The order is compared when there is nothing else: who is not there has no place.
    if actions.iter().all(|a| matches!(a, Action::Agree { .. })) {
        actions.extend(order(local, remote, &matched));
    }
    actions
}

fn both(item: &Local, there: &Remote, held: &Held, actions: &mut Vec<Action>) {
    let (key, id) = (item.key.clone(), there.id.clone());
    let before = actions.len();
    let base = item.base.as_ref().filter(|b| b.id == there.id);
    let later_here = item.changed_at >= there.changed_at;
    if !item.here && !held.pull.contains(&id) {
        actions.push(Action::Fetch { key: key.clone(), id: id.clone() });
    }
    if item.words != there.words {
        let changed_there = base.is_none_or(|b| b.words != there.words);
        let changed_here = base.is_none_or(|b| b.words != item.words);
        let (key, id) = (key.clone(), id.clone());
        actions.push(if !changed_there || changed_here && later_here {
            Action::SendWords { key, id }
        } else {
            Action::TakeWords { key, id }
        });
    }
    if item.sound != there.sound {
        let (key, id) = (key.clone(), id.clone());
        let send = match (&item.sound, &there.sound, base.and_then(|b| b.sound.as_ref())) {
            // Sound is never taken off one: what has none there has not got it yet.
            (Some(_), None, _) => true,
            (Some(_), Some(there), Some(base)) if there == base => true,
            (Some(here), Some(_), Some(base)) if here == base => false,
            (Some(_), Some(_), _) => later_here,
            (None, ..) => false,
        };
        actions.push(if send { Action::SendSound { key, id } } else { Action::TakeSound { key, id } });
    }
    let noted = base.is_some_and(|b| b.words == item.words && b.sound == item.sound);
    if actions.len() == before && !noted {
        actions.push(Action::Agree { key, id });
    }
}

fn deleted_here(item: &Local, there: &Remote, at: i64) -> Action {
    let (key, id) = (item.key.clone(), there.id.clone());
    let unchanged = match item.base.as_ref().filter(|b| b.id == there.id) {
        Some(base) => base.words == there.words && base.sound == there.sound,
        None => item.words == there.words && (item.sound == there.sound || there.sound.is_none()),
    };
    if unchanged || at >= there.changed_at { Action::Delete { key, id } } else { Action::Revive { key, id } }
}

fn only_here(item: &Local, removed: &[Gone]) -> Action {
    let key = item.key.clone();
    let was = |gone: &&Gone| {
        item.base.as_ref().is_some_and(|b| b.id == gone.id)
            || item.key == gone.key.as_deref().unwrap_or(gone.id.as_str())
    };
    let changed = match &item.base {
        Some(base) => base.words != item.words || base.sound != item.sound,
        None => true,
    };
    match removed.iter().filter(was).map(|g| g.at).max() {
        Some(at) if !changed || at >= item.changed_at => Action::Remove { key, at },
        _ => Action::Upload { key },
    }
}

fn order(local: &LocalShelf, remote: &RemoteShelf, matched: &BTreeMap<&str, &Remote>) -> Vec<Action> {
    let key_of: BTreeMap<&str, &str> = matched.iter().map(|(key, there)| (there.id.as_str(), *key)).collect();
    let live = |i: &&Local| i.removed_at.is_none() && matched.contains_key(i.key.as_str());
    let here: Vec<&str> = local.items.iter().filter(live).map(|i| i.key.as_str()).collect();
    let there: Vec<&str> = remote.items.iter().filter_map(|r| key_of.get(r.id.as_str()).copied()).collect();
    let owned = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect::<Vec<_>>();
    if here == there {
        let noted = local.base_order == here;
        return if noted { Vec::new() } else { vec![Action::AgreeOrder { keys: owned(&here) }] };
    }
    let base: Vec<&str> = local.base_order.iter().map(String::as_str).filter(|k| here.contains(k)).collect();
    let moved = |keys: &[&str]| {
        let known: Vec<&str> = keys.iter().copied().filter(|k| base.contains(k)).collect();
        known != base
    };
    let push = match (moved(&here), moved(&there)) {
        (true, false) => true,
        (false, true) => false,
        _ => local.ordered_at >= remote.ordered_at,
    };
    if push {
        return moves(&here, remote, matched, &key_of);
    }
    let mut next = there.iter();
    let all = local.items.iter().filter(|i| i.removed_at.is_none());
    let keys = all.filter_map(|i| if live(&i) { next.next().copied() } else { Some(i.key.as_str()) });
    vec![Action::TakeOrder { keys: owned(&keys.collect::<Vec<_>>()) }]
}

/// Brings the room's into the order from here. Those that are only there keep their places.
fn moves(
    here: &[&str],
    remote: &RemoteShelf,
    matched: &BTreeMap<&str, &Remote>,
    key_of: &BTreeMap<&str, &str>,
) -> Vec<Action> {
    let mut now: Vec<&str> = remote.items.iter().map(|r| r.id.as_str()).collect();
    let mut next = here.iter().filter_map(|key| matched.get(key)).map(|r| r.id.as_str());
    let wanted: Vec<&str> =
        now.iter().filter_map(|id| if key_of.contains_key(id) { next.next() } else { Some(*id) }).collect();
    let mut actions = Vec::new();
    for (position, id) in wanted.into_iter().enumerate() {
        if now.get(position) != Some(&id) {
            now.retain(|other| *other != id);
            now.insert(position.min(now.len()), id);
            actions.push(Action::Move { id: id.to_owned(), position });
        }
    }
    actions
}

#[cfg(test)]
mod tests;
