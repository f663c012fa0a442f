//! One task for each further address: it drives the state machine, and begins and ends attempts.

use std::sync::Arc;

use mujian_media::rtmp::Secret;
use mujian_media::time::Now;
use mujian_protocol::relay::RelayState;
use mujian_protocol::room::Stage;
use mujian_protocol::{AccountId, ApiError, ErrorCode, Problem, RoomId, StreamId, WallTime};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::machine::{Do, Failure, Input, Machine, State};
use super::publish::{Order, attempt};
use super::{Site, Standing};
use crate::stage::StageStatus;
use crate::stage::programme::Programme;
use crate::store::RelayRow;

/// What an address is now, and how often its owner wanted it tried again.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) row: RelayRow,
    pub(super) tries: u64,
}

/// See the module.
pub(super) struct Task {
    pub(super) site: Site,
    pub(super) room: RoomId,
    pub(super) owner: AccountId,
    pub(super) programme: Arc<Programme>,
    pub(super) status: watch::Receiver<StageStatus>,
    pub(super) wanted: watch::Receiver<Wanted>,
    pub(super) standing: watch::Sender<Standing>,
}

/// What an attempt says, with its number.
enum Said {
    Published,
    Failed(Failure),
}

/// What of the room's status counts here.
#[derive(Default)]
struct Air {
    stream: Option<StreamId>,
    /// What went on the way to here, where the stream itself comes from another server's restreaming.
    way: Option<String>,
}

impl Task {
    /// Runs until the address is taken from the room, the room is put away or the server stops.
    pub(super) async fn run(mut self) {
        let mut machine = Machine::new();
        let mut air = Air::default();
        let mut known = self.wanted.borrow_and_update().clone();
        // Two words of each attempt.
        let (says, mut heard) = mpsc::unbounded_channel::<(u64, Said)>();
        let (mut number, mut farewell) = (0u64, CancellationToken::new());
        let mut inputs = vec![Input::On(known.row.on)];
        self.look(&mut air, &mut inputs);
        loop {
            for input in inputs.drain(..) {
                let now = self.site.clock.now();
                let what = machine.take(input, now, rand::random());
                if what.is_some() {
                    farewell.cancel();
                }
                if what == Some(Do::Connect) {
                    number += 1;
                    farewell = CancellationToken::new();
                    self.begin(&known, &air, number, says.clone(), farewell.clone());
                }
            }
            self.tell(&machine);
            tokio::select! {
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let wanted = self.wanted.borrow_and_update().clone();
                    inputs.extend(news(&known, &wanted));
                    known = wanted;
                }
                changed = self.status.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.look(&mut air, &mut inputs);
                }
                Some((of, said)) = heard.recv() => {
                    if of == number {
                        inputs.push(match said {
                            Said::Published => Input::Published,
                            Said::Failed(failure) => Input::Failed(failure),
                        });
                    }
                }
                () = due(machine.deadline(), self.site.clock.now()) => inputs.push(Input::Tick),
                () = self.site.stop.cancelled() => break,
            }
        }
        farewell.cancel();
    }

    /// What the room's status means here. A stream that follows another at once is a new one all the same.
    fn look(&mut self, air: &mut Air, inputs: &mut Vec<Input>) {
        let status = self.status.borrow_and_update();
        let stream = status.stream.clone().filter(|_| status.stage != Stage::Off);
        if stream != air.stream {
            if air.stream.take().is_some() {
                inputs.push(Input::OnAir(false));
                air.way = None;
            }
            air.stream = stream;
        }
        if let Some(publisher) = &status.publisher {
            air.way.clone_from(&publisher.same_as);
        }
        if air.stream.is_some() {
            inputs.push(Input::OnAir(true));
        }
    }

    fn begin(
        &self,
        wanted: &Wanted,
        air: &Air,
        number: u64,
        says: mpsc::UnboundedSender<(u64, Said)>,
        farewell: CancellationToken,
    ) {
        let row = wanted.row.clone();
        let program_id = self.site.marks.name(row.id.as_str(), air.way.as_deref());
        let (site, owner, programme) = (self.site.clone(), self.owner.clone(), Arc::clone(&self.programme));
        let room = self.room.clone();
        self.site.tasks.spawn(async move {
            let work = async {
                let anywhere = site.may_reach_anything(&owner).await?;
                let address = Address::read(&row.url).ok_or_else(unreadable)?;
                let key = Secret::new(row.key.expose());
                let order = Order { address, key, program_id, anywhere, programme, clock: site.clock };
                // Counted as live for as long as this is held.
                let mut live = None;
                let published = || {
                    live = Some(Live::begin());
                    tracing::info!(%room, relay = %row.id, "The room is restreamed.");
                    // The task has ended: nobody needs to know.
                    let _ = says.send((number, Said::Published));
                };
                attempt(&order, &farewell, published).await
            };
            // Boxed: an attempt is large, and there are few.
            if let Err(failure) = Box::pin(work).await {
                metrics::counter!("mujian_relay_failures_total").increment(1);
                tracing::info!(%room, relay = %row.id, reason = %failure.error.message, again = failure.again, "Restreaming failed.");
                let _ = says.send((number, Said::Failed(failure)));
            }
        });
    }

    /// Tells the owner how it stands.
    fn tell(&self, machine: &Machine) {
        let clock = self.site.clock;
        let state = view(machine.state(), clock.now(), clock.wall());
        self.standing.send_if_modified(|standing| {
            if same(&standing.state, &state) {
                return false;
            }
            *standing = Standing { state, since: clock.wall() };
            true
        });
    }
}

/// What changed by the owner's hand.
fn news(known: &Wanted, wanted: &Wanted) -> Vec<Input> {
    let (old, new) = (&known.row, &wanted.row);
    let mut inputs = vec![Input::On(new.on)];
    if old.on && (old.url != new.url || old.key != new.key || known.tries != wanted.tries) {
        inputs.push(Input::Changed);
    }
    inputs
}

fn view(state: &State, now: Now, wall: WallTime) -> RelayState {
    match state {
        State::Off => RelayState::Off,
        State::Idle => RelayState::Idle,
        State::Connecting => RelayState::Connecting,
        State::Live { .. } => RelayState::Live,
        State::Waiting { error, until } => {
            let left = i64::try_from(until.since(now).as_millis()).unwrap_or(i64::MAX);
            RelayState::Waiting { error: error.clone(), until: WallTime(wall.millis().saturating_add(left)) }
        }
        State::Refused { error } => RelayState::Refused { error: error.clone() },
    }
}

/// The moment of a wait is reckoned from two clocks, and may differ by their tick.
fn same(a: &RelayState, b: &RelayState) -> bool {
    match (a, b) {
        (RelayState::Waiting { error: a, until: x }, RelayState::Waiting { error: b, until: y }) => {
            a == b && x.millis().abs_diff(y.millis()) < 500
        }
        (a, b) => a == b,
    }
}

async fn due(at: Option<Now>, now: Now) {
    match at {
        Some(at) => tokio::time::sleep(at.since(now)).await,
        None => std::future::pending().await,
    }
}

/// What was checked before it was stored is not of its form any more: of a newer version, or damaged.
fn unreadable() -> Failure {
    let error = ApiError::new(ErrorCode::InvalidRequest, "The address cannot be read. Write it again.");
    Failure { error: error.about(Problem::RelayAddress), again: false }
}

/// One address that is published to, in the figures.
struct Live;

impl Live {
    fn begin() -> Self {
        metrics::gauge!("mujian_relays_live").increment(1.0);
        Self
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        metrics::gauge!("mujian_relays_live").decrement(1.0);
    }
}
