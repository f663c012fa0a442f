//! Restreaming: a room's programme, published to further addresses for as long as the room is on air.
//!
//! What goes there is what every viewer is sent, behind gate, delay and switcher, so leaving, slates and covers hold there
//! too. Each address has a task, a state ([`machine`], pure) and a reader of the programme of its own; none of them can
//! hold up the room or each other. Keys lie in the store and in memory, and go nowhere but to their address.
//!
//! A restream that leads back to its own server would show a room to itself. Each server has a mark, and every restream
//! names the marks of the servers that it went through, so ingest knows its own.

pub mod address;
pub mod machine;
mod publish;
mod task;

use std::sync::Arc;

use mujian_protocol::api::Role;
use mujian_protocol::relay::{RELAYS_MAX, RelayState, RelayView};
use mujian_protocol::{AccountId, ApiError, ErrorCode, Problem, RelayId, RoomId, WallTime};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::stage::StageHandle;
use crate::store::{RelayAdded, RelayChange, RelayRow, RoomRow, Store, StoreError};
use address::Address;
use machine::Failure;
use task::{Task, Wanted};

/// Programs that call themselves so restream.
const PREFIX: &str = "relay:";
/// Most servers on the way that are named.
const WAY_MAX: usize = 7;
/// So many characters of a key are told to its owner, if it has at least [`KEY_TELLS`].
const KEY_END: usize = 4;
/// The shortest key of which anything is told, in bytes.
const KEY_TELLS: usize = 12;

/// By what a server knows its own restreams.
#[derive(Clone, Debug)]
pub(crate) struct Marks(Arc<str>);

impl Marks {
    /// One that no other server has.
    pub(crate) fn new() -> Self {
        let bytes: [u8; 6] = rand::random();
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into())
    }

    /// What a restream calls itself. `way`: what its own publisher calls itself.
    fn name(&self, relay: &str, way: Option<&str>) -> String {
        let way: Vec<&str> = way.and_then(|w| w.strip_prefix(PREFIX)).map_or_else(Vec::new, |w| w.split(',').collect());
        let relay = relay.get(relay.len().saturating_sub(8)..).unwrap_or_default();
        let own = format!("{}.{relay}", self.0);
        let newest = way.iter().copied().skip(way.len().saturating_sub(WAY_MAX));
        format!("{PREFIX}{}", newest.chain([own.as_str()]).collect::<Vec<_>>().join(","))
    }

    /// Whether a program of this name hands on what this server restreams.
    pub(crate) fn are_on(&self, program_id: &str) -> bool {
        let way = program_id.strip_prefix(PREFIX).unwrap_or_default();
        way.split(',').any(|step| step.split('.').next() == Some(&*self.0))
    }
}

/// What all restreams of a server share.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) marks: Marks,
    /// The operator lets every room be restreamed to the server's own network.
    pub(crate) to_private: bool,
}

impl Site {
    /// Whether a person's rooms may be restreamed to the server's own network.
    async fn may_reach_anything(&self, owner: &AccountId) -> Result<bool, Failure> {
        if self.to_private {
            return Ok(true);
        }
        let account = self.store.account(owner.clone()).await.map_err(|error| {
            tracing::warn!(%error, "whose room is restreamed could not be looked up");
            let sentence = "The server's database failed; it is tried again.";
            Failure {
                error: ApiError::new(ErrorCode::Internal, sentence).about(Problem::ServerDataFailed),
                again: true,
            }
        })?;
        Ok(account.is_some_and(|a| a.role == Role::Operator))
    }
}

/// How an address stands.
#[derive(Clone, Debug)]
struct Standing {
    state: RelayState,
    since: WallTime,
}

struct Held {
    wanted: watch::Sender<Wanted>,
    standing: watch::Receiver<Standing>,
}

impl Held {
    fn view(&self) -> RelayView {
        let row = self.wanted.borrow().row.clone();
        let Standing { mut state, since } = self.standing.borrow().clone();
        // The task may not have heard of it yet.
        if !row.on {
            state = RelayState::Off;
        }
        RelayView {
            key_end: key_end(row.key.expose()),
            id: row.id,
            name: row.name,
            url: row.url,
            on: row.on,
            state,
            since,
        }
    }
}

/// The end of a key, where enough of it stays untold.
fn key_end(key: &str) -> String {
    if key.len() < KEY_TELLS {
        return String::new();
    }
    key.get(key.len() - KEY_END..).unwrap_or_default().to_owned()
}

/// What came of adding an address.
#[derive(Debug)]
pub enum Added {
    /// It is there.
    Done(Box<RelayView>),
    /// The room has as many as it may.
    Full,
    /// The room was deleted.
    Gone,
}

/// A room's further addresses.
pub struct Relays {
    site: Site,
    room: RoomId,
    owner: AccountId,
    stage: StageHandle,
    held: Mutex<Vec<Held>>,
    /// Changes on the disk and here are one step for everybody else.
    changes: tokio::sync::Mutex<()>,
}

impl Relays {
    /// The addresses of a room, as they are stored; each has a task from now on.
    pub(crate) fn new(site: Site, room: &RoomRow, stage: StageHandle, rows: Vec<RelayRow>) -> Self {
        let relays = Self {
            site,
            room: room.id.clone(),
            owner: room.owner.id.clone(),
            stage,
            held: Mutex::default(),
            changes: tokio::sync::Mutex::default(),
        };
        let held = rows.into_iter().map(|row| relays.start(row)).collect();
        *relays.held.lock() = held;
        relays
    }

    fn start(&self, row: RelayRow) -> Held {
        let state = if row.on { RelayState::Idle } else { RelayState::Off };
        let (standing, told) = watch::channel(Standing { state, since: self.site.clock.wall() });
        let (wanted, wants) = watch::channel(Wanted { row, tries: 0 });
        let task = Task {
            site: self.site.clone(),
            room: self.room.clone(),
            owner: self.owner.clone(),
            programme: self.stage.programme(),
            status: self.stage.status(),
            wanted: wants,
            standing,
        };
        self.site.tasks.spawn(task.run());
        Held { wanted, standing: told }
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn views(&self) -> Vec<RelayView> {
        self.held.lock().iter().map(Held::view).collect()
    }

    /// Looks whether an address may lead where it says that it leads. A name is looked at when it is connected to.
    ///
    /// # Errors
    /// It is one of the server's own network, and the room is not the operator's.
    pub async fn check(&self, address: &Address) -> Result<(), ApiError> {
        let literal = address.host.parse().ok();
        let private = literal.map_or(address.host == "localhost", |ip| !address::is_public(ip));
        if private && !self.site.may_reach_anything(&self.owner).await.map_err(|f| f.error)? {
            return Err(address::private(&address.host).error);
        }
        Ok(())
    }

    /// Adds an address.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add(&self, row: RelayRow) -> Result<Added, StoreError> {
        let _turn = self.changes.lock().await;
        match self.site.store.add_relay(self.room.clone(), row.clone(), RELAYS_MAX).await? {
            RelayAdded::Done => {}
            RelayAdded::Full => return Ok(Added::Full),
            RelayAdded::NoRoom => return Ok(Added::Gone),
        }
        let held = self.start(row);
        let view = held.view();
        self.held.lock().push(held);
        Ok(Added::Done(Box::new(view)))
    }

    /// Changes an address. None: there is none of this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change(&self, id: &RelayId, change: RelayChange) -> Result<Option<RelayView>, StoreError> {
        let _turn = self.changes.lock().await;
        let again = change.on == Some(true);
        let Some(row) = self.site.store.change_relay(self.room.clone(), id.clone(), change).await? else {
            return Ok(None);
        };
        let held = self.held.lock();
        let Some(one) = held.iter().find(|h| h.wanted.borrow().row.id == *id) else { return Ok(None) };
        one.wanted.send_modify(|wanted| {
            wanted.row = row;
            wanted.tries += u64::from(again);
        });
        Ok(Some(one.view()))
    }

    /// Takes an address away; what goes there ends. False: there was none of this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove(&self, id: &RelayId) -> Result<bool, StoreError> {
        let _turn = self.changes.lock().await;
        let known = self.site.store.remove_relay(self.room.clone(), id.clone()).await?;
        self.held.lock().retain(|h| h.wanted.borrow().row.id != *id);
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_knows_what_comes_from_itself() {
        let (a, b) = (Marks::new(), Marks::new());
        let id = RelayId::new();
        let first = a.name(id.as_str(), Some("OBS"));
        assert!(a.are_on(&first) && !b.are_on(&first), "{first}");
        let second = b.name(id.as_str(), Some(&first));
        assert!(a.are_on(&second) && b.are_on(&second), "{second}");
        let mut long = second;
        for _ in 0..20 {
            long = b.name(id.as_str(), Some(&long));
            // RTMP's side keeps 200 characters of it.
            assert!(long.len() <= 200, "{long}");
        }
        assert!(b.are_on(&long) && !a.are_on("relay:") && !a.are_on("") && !a.are_on(&a.0));
    }

    #[test]
    fn little_is_told_of_a_key() {
        assert_eq!(key_end("live_12345678_abcdef"), "cdef");
        assert_eq!((key_end("short"), key_end("")), (String::new(), String::new()));
    }
}
