use proptest::prelude::*;

use super::*;

fn words(name: &str) -> Words {
    Words { name: name.into(), keywords: Vec::new(), text: String::new() }
}

/// This computer and a server, whose clock is another one.
#[derive(Clone, Debug, Default)]
struct World {
    local: LocalShelf,
    remote: RemoteShelf,
    now: i64,
    skew: i64,
    made: u32,
    /// What somebody deleted, on either side.
    deleted: BTreeSet<String>,
    /// What was ever there.
    ever: BTreeSet<String>,
}

impl World {
    fn here(&mut self) -> i64 {
        self.now += 1;
        self.now
    }

    fn there(&mut self) -> i64 {
        self.now += 1;
        self.now + self.skew
    }

    fn fresh(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}{}", self.made)
    }

    fn item(&mut self, key: &str) -> &mut Local {
        self.local.items.iter_mut().find(|i| i.key == key).unwrap()
    }

    fn at(&mut self, id: &str) -> &mut Remote {
        self.remote.items.iter_mut().find(|r| r.id == id).unwrap()
    }

    fn delete_there(&mut self, id: &str) {
        let at = self.there();
        let place = self.remote.items.iter().position(|r| r.id == id).unwrap();
        let gone = self.remote.items.remove(place);
        self.remote.removed.push(Gone { id: gone.id, key: gone.key, at });
    }

    /// What the mirror does, done at once.
    fn act(&mut self, action: Action) {
        match action {
            Action::Upload { key } => {
                let (id, at) = (self.fresh("r"), self.there());
                let item = self.item(&key);
                let words = item.words.clone();
                item.base = Some(Base { id: id.clone(), words: words.clone(), sound: None });
                self.remote.removed.retain(|g| g.key.as_ref() != Some(&key));
                self.remote.items.push(Remote { id, key: Some(key), words, sound: None, changed_at: at });
            }
            Action::SendSound { key, id } => {
                let (at, sound, words) = (self.there(), self.item(&key).sound.clone(), self.at(&id).words.clone());
                let there = self.at(&id);
                (there.sound, there.changed_at) = (sound.clone(), at);
                let item = self.item(&key);
                item.base.get_or_insert(Base { id, words, sound: None }).sound = sound;
            }
            Action::SendWords { key, id } => {
                let (at, words, sound) = (self.there(), self.item(&key).words.clone(), self.at(&id).sound.clone());
                let there = self.at(&id);
                (there.words, there.changed_at) = (words.clone(), at);
                let item = self.item(&key);
                item.base.get_or_insert(Base { id, words: Words::default(), sound }).words = words;
            }
            Action::Delete { key, id } => {
                self.item(&key).base = None;
                self.delete_there(&id);
            }
            Action::Move { id, position } => {
                let at = self.there();
                let from = self.remote.items.iter().position(|r| r.id == id).unwrap();
                let moved = self.remote.items.remove(from);
                self.remote.items.insert(position.min(self.remote.items.len()), moved);
                self.remote.ordered_at = at;
            }
            Action::Pull { id } => {
                let there = self.at(&id).clone();
                assert!(self.local.items.iter().all(|i| i.key != there.key()), "one key, one placeholder");
                self.local.items.push(Local {
                    key: there.key().to_owned(),
                    words: there.words.clone(),
                    sound: there.sound.clone(),
                    changed_at: there.changed_at,
                    removed_at: None,
                    here: true,
                    base: Some(Base { id, words: there.words, sound: there.sound }),
                });
            }
            Action::Fetch { key, .. } => self.item(&key).here = true,
            Action::TakeWords { key, id } => {
                let there = self.at(&id).clone();
                let item = self.item(&key);
                item.words = there.words.clone();
                item.changed_at = item.changed_at.max(there.changed_at);
                let sound = item.sound.clone();
                item.base.get_or_insert(Base { id, words: Words::default(), sound }).words = there.words;
            }
            Action::TakeSound { key, id } => {
                let there = self.at(&id).clone();
                let item = self.item(&key);
                item.sound = there.sound.clone();
                let words = item.words.clone();
                item.base.get_or_insert(Base { id, words, sound: None }).sound = there.sound;
            }
            Action::Revive { key, id } => {
                let there = self.at(&id).clone();
                let item = self.item(&key);
                (item.removed_at, item.here) = (None, true);
                (item.words, item.sound) = (there.words.clone(), there.sound.clone());
                item.base = Some(Base { id, words: there.words, sound: there.sound });
            }
            Action::Remove { key, at } => {
                let item = self.item(&key);
                (item.removed_at, item.base) = (Some(at), None);
            }
            Action::Agree { key, id } => {
                let item = self.item(&key);
                item.base = Some(Base { id, words: item.words.clone(), sound: item.sound.clone() });
            }
            Action::TakeOrder { keys } => {
                let place = |key: &str| keys.iter().position(|k| k == key).unwrap_or(usize::MAX);
                self.local.items.sort_by_key(|i| place(&i.key));
                self.local.base_order = keys;
            }
            Action::AgreeOrder { keys } => self.local.base_order = keys,
        }
    }

    /// A round that breaks off after so many steps; whether there was nothing to do.
    fn round(&mut self, steps: usize) -> bool {
        let actions = plan(&self.local, &self.remote, &Held::default());
        let nothing = actions.is_empty();
        for action in actions.into_iter().take(steps) {
            self.act(action);
        }
        nothing
    }

    fn settle(&mut self) {
        for _ in 0..12 {
            if self.round(usize::MAX) {
                return;
            }
        }
        panic!("it does not come to rest: {:#?}", plan(&self.local, &self.remote, &Held::default()));
    }

    fn live(&self) -> Vec<&Local> {
        self.local.items.iter().filter(|i| i.removed_at.is_none()).collect()
    }
}

/// What people and machines do.
#[derive(Clone, Debug)]
enum Step {
    AddHere,
    AddThere,
    EditHere(usize, u8),
    EditThere(usize, u8),
    SoundHere(usize, u8),
    SoundThere(usize, u8),
    DeleteHere(usize),
    DeleteThere(usize),
    MoveHere(usize, usize),
    MoveThere(usize, usize),
    Vanish(usize),
    /// The server lost everything, its memory of deletions too.
    Lost,
    /// This computer lost what it knew of the room: it was at another server for so long.
    Forgot,
    /// So many steps of the mirror, and the connection breaks.
    Round(usize),
}

fn step() -> impl Strategy<Value = Step> {
    use Step::*;
    let at = || 0usize..8;
    prop_oneof![
        3 => Just(AddHere),
        2 => Just(AddThere),
        3 => (at(), 0u8..4).prop_map(|(i, n)| EditHere(i, n)),
        3 => (at(), 0u8..4).prop_map(|(i, n)| EditThere(i, n)),
        1 => (at(), 0u8..3).prop_map(|(i, n)| SoundHere(i, n)),
        1 => (at(), 0u8..3).prop_map(|(i, n)| SoundThere(i, n)),
        1 => at().prop_map(DeleteHere),
        1 => at().prop_map(DeleteThere),
        2 => (at(), at()).prop_map(|(a, b)| MoveHere(a, b)),
        2 => (at(), at()).prop_map(|(a, b)| MoveThere(a, b)),
        1 => at().prop_map(Vanish),
        1 => Just(Lost),
        1 => Just(Forgot),
        6 => (0usize..6).prop_map(Round),
    ]
}

impl World {
    fn take(&mut self, step: &Step) {
        let live: Vec<String> = self.live().iter().map(|i| i.key.clone()).collect();
        let ids: Vec<String> = self.remote.items.iter().map(|r| r.id.clone()).collect();
        let key = |i: usize| live.get(i % live.len().max(1)).cloned();
        let id = |i: usize| ids.get(i % ids.len().max(1)).cloned();
        match *step {
            Step::AddHere => {
                let (key, at) = (self.fresh("l"), self.here());
                self.ever.insert(key.clone());
                let new = Local {
                    words: words(&key),
                    key,
                    sound: None,
                    changed_at: at,
                    removed_at: None,
                    here: true,
                    base: None,
                };
                self.local.items.push(new);
            }
            Step::AddThere => {
                let (id, at) = (self.fresh("r"), self.there());
                self.ever.insert(id.clone());
                let words = words(&id);
                self.remote.items.push(Remote { id, key: None, words, sound: None, changed_at: at });
            }
            Step::EditHere(i, n) => {
                let at = self.here();
                if let Some(key) = key(i) {
                    let item = self.item(&key);
                    (item.words.text, item.changed_at) = (n.to_string(), at);
                }
            }
            Step::EditThere(i, n) => {
                let at = self.there();
                if let Some(id) = id(i) {
                    let item = self.at(&id);
                    (item.words.text, item.changed_at) = (n.to_string(), at);
                }
            }
            Step::SoundHere(i, n) => {
                let at = self.here();
                if let Some(key) = key(i) {
                    let item = self.item(&key);
                    (item.sound, item.changed_at) = (Some(n.to_string()), at);
                }
            }
            Step::SoundThere(i, n) => {
                let at = self.there();
                if let Some(id) = id(i) {
                    let item = self.at(&id);
                    (item.sound, item.changed_at) = (Some(n.to_string()), at);
                }
            }
            Step::DeleteHere(i) => {
                let at = self.here();
                if let Some(key) = key(i) {
                    self.item(&key).removed_at = Some(at);
                    self.deleted.insert(key);
                }
            }
            Step::DeleteThere(i) => {
                if let Some(id) = id(i) {
                    let key = matches(&self.local, &self.remote).iter().find(|(_, r)| r.id == id).map(|(k, _)| *k);
                    let key = key.unwrap_or(self.remote.items.iter().find(|r| r.id == id).unwrap().key()).to_owned();
                    self.deleted.insert(key);
                    self.delete_there(&id);
                }
            }
            Step::MoveHere(a, b) => {
                let at = self.here();
                if !self.local.items.is_empty() {
                    let n = self.local.items.len();
                    let moved = self.local.items.remove(a % n);
                    self.local.items.insert(b % n, moved);
                    self.local.ordered_at = at;
                }
            }
            Step::MoveThere(a, b) => {
                let at = self.there();
                if !self.remote.items.is_empty() {
                    let n = self.remote.items.len();
                    let moved = self.remote.items.remove(a % n);
                    self.remote.items.insert(b % n, moved);
                    self.remote.ordered_at = at;
                }
            }
            Step::Vanish(i) => {
                if let Some(key) = key(i) {
                    self.item(&key).here = false;
                }
            }
            Step::Lost => {
                // Whose only copy was there is lost with it.
                let kept: BTreeSet<String> = self.local.items.iter().map(|i| i.key.clone()).collect();
                self.ever.retain(|key| kept.contains(key));
                self.remote = RemoteShelf::default();
            }
            Step::Forgot => {
                self.local.items.iter_mut().for_each(|i| i.base = None);
                self.local.base_order.clear();
            }
            Step::Round(steps) => {
                self.round(steps);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_become_the_same_and_nothing_is_lost_that_nobody_deleted(
        skew in -6i64..6,
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let mut world = World { skew, now: 100, ..World::default() };
        for step in &steps {
            world.take(step);
        }
        world.settle();
        let matched = matches(&world.local, &world.remote);
        let live = world.live();
        prop_assert_eq!(live.len(), world.remote.items.len(), "{:#?}", world);
        let there: Vec<&str> = world.remote.items.iter().map(|r| r.id.as_str()).collect();
        let here: Vec<&str> = live.iter().map(|i| matched[i.key.as_str()].id.as_str()).collect();
        prop_assert_eq!(here, there, "in the same order");
        for item in &live {
            let there = matched[item.key.as_str()];
            prop_assert_eq!((&item.words, &item.sound), (&there.words, &there.sound));
        }
        let keys: BTreeSet<String> = live.iter().map(|i| i.key.clone()).collect();
        for key in world.ever.difference(&world.deleted) {
            prop_assert!(keys.contains(key), "{} is gone, and nobody deleted it: {:#?}", key, world);
        }
        prop_assert_eq!(keys.len(), live.len(), "and nothing is there twice");
        // Nothing is to be done any more, however often one asks.
        prop_assert_eq!(plan(&world.local, &world.remote, &Held::default()), vec![]);
    }

    /// On clocks that agree, what was done last is what stays, on whichever side.
    #[test]
    fn the_last_change_stays(edits in proptest::collection::vec((any::<bool>(), 0u8..9), 1..6)) {
        let mut world = World::default();
        world.take(&Step::AddHere);
        world.settle();
        for (here, text) in &edits {
            world.take(&if *here { Step::EditHere(0, *text) } else { Step::EditThere(0, *text) });
        }
        world.settle();
        let last = edits.last().unwrap().1.to_string();
        prop_assert_eq!(&world.live()[0].words.text, &last);
        prop_assert_eq!(&world.remote.items[0].words.text, &last);
    }
}

#[test]
fn a_shelf_comes_along_to_another_server_and_a_deletion_too() {
    let mut world = World::default();
    (0..3).for_each(|_| world.take(&Step::AddHere));
    world.settle();
    world.take(&Step::AddThere);
    world.take(&Step::MoveThere(3, 0));
    world.settle();
    let order: Vec<String> = world.live().iter().map(|i| i.key.clone()).collect();
    assert_eq!(order, ["r7", "l1", "l2", "l3"], "what a browser brought stands where it was put");
    world.take(&Step::DeleteThere(1));
    world.settle();
    // Another server knows nothing.
    world.remote = RemoteShelf::default();
    world.take(&Step::Forgot);
    world.settle();
    let names: Vec<&str> = world.remote.items.iter().map(|r| r.words.name.as_str()).collect();
    assert_eq!(names, ["r7", "l2", "l3"]);
}

#[test]
fn a_deletion_against_a_change_the_later_wins() {
    for (last_is_deletion, here) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = World::default();
        world.take(&Step::AddHere);
        world.settle();
        let delete = if here { Step::DeleteHere(0) } else { Step::DeleteThere(0) };
        let edit = if here { Step::EditThere(0, 1) } else { Step::EditHere(0, 1) };
        if last_is_deletion {
            world.take(&edit);
            world.take(&delete);
        } else {
            world.take(&delete);
            world.take(&edit);
        }
        world.settle();
        assert_eq!(world.live().len(), usize::from(!last_is_deletion), "here: {here}");
        assert_eq!(world.remote.items.len(), world.live().len());
    }
}

#[test]
fn what_is_held_is_left_alone() {
    let mut world = World::default();
    world.take(&Step::AddHere);
    world.take(&Step::AddThere);
    let held = Held { push: ["l1".to_owned()].into(), pull: ["r2".to_owned()].into() };
    assert_eq!(plan(&world.local, &world.remote, &held), vec![]);
}

#[test]
fn an_upload_whose_answer_was_lost_is_known_by_its_key_and_keeps_its_music() {
    let mut world = World { skew: 50, ..World::default() };
    world.take(&Step::AddHere);
    world.take(&Step::SoundHere(0, 1));
    world.round(1);
    // The answer did not come, and the server's clock is ahead.
    world.item("l1").base = None;
    world.settle();
    assert_eq!((world.remote.items.len(), world.remote.items[0].sound.as_deref()), (1, Some("1")));
    assert_eq!(world.live()[0].sound.as_deref(), Some("1"));
}
