//! Roads to a server, which lead through this process and can be bad: closed, stuck, long, narrow; by hand, or by
//! weather that comes from a seed.
//!
//! Time is real here, and waiting is what a bad road does. Nobody takes it for a sign that something else is done.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::dice::Dice;
use crate::server::Server;

/// Bytes that go on as one.
const PIECE: usize = 4 << 10;
/// Pieces that wait on the road, as in a router; more stay with whoever sends.
const WAITING: usize = 64;
/// A narrow road makes up for so much of what this process was late.
const MADE_UP: Duration = Duration::from_millis(200);
/// Nothing came for so long: a pause, see [`Link::pauses`].
const PAUSE: Duration = Duration::from_millis(100);

/// How a road is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// What comes goes on at once.
    Clear,
    /// What comes goes on after the first time and at most the second besides.
    Long(Duration, Duration),
    /// So many bytes a second go on.
    Narrow(u32),
    /// Nothing passes, and nobody is told, as where packets are lost; what waits goes on when it is over.
    Stuck,
    /// Whoever is connected is cut off, and so is whoever connects.
    Cut,
}

/// A link to a server.
pub struct Link {
    /// Where it begins.
    pub at: SocketAddr,
    road: watch::Sender<Road>,
    came: Arc<Mutex<Came>>,
    task: JoinHandle<()>,
}

/// When bytes came for the server.
#[derive(Default)]
struct Came {
    last: Option<Instant>,
    pauses: Vec<(Instant, Instant)>,
}

impl Link {
    /// Makes one that leads to `server`.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        Self::between((Ipv4Addr::LOCALHOST, 0).into(), server).await
    }

    async fn between(at: SocketAddr, server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(at).await.with_context(|| format!("no link can begin at {at}"))?;
        let at = listener.local_addr()?;
        let road = watch::Sender::new(Road::Clear);
        let came = Arc::<Mutex<Came>>::default();
        let task = tokio::spawn(accept(listener, server, road.subscribe(), Arc::clone(&came)));
        Ok(Self { at, road, came, task })
    }

    /// From now on it is like this.
    pub fn is(&self, road: Road) {
        self.road.send_replace(road);
    }

    /// Nothing passes any more.
    pub fn cut(&self) {
        self.is(Road::Cut);
    }

    /// New connections pass again.
    pub fn mend(&self) {
        self.is(Road::Clear);
    }

    /// From when to when nothing came for the server for more than a tenth of a second.
    #[must_use]
    pub fn pauses(&self) -> Vec<(Instant, Instant)> {
        let now = Instant::now();
        self.came.lock().map_or_else(
            |_| Vec::new(),
            |came| {
                let still = came.last.filter(|last| now - *last > PAUSE).map(|last| (last, now));
                came.pauses.iter().copied().chain(still).collect()
            },
        )
    }

    /// Bad weather on it until that is dropped: what comes, and for how long, comes from the seed.
    #[must_use]
    pub fn weather(&self, seed: u64) -> Weather {
        let road = self.road.clone();
        let task = tokio::spawn({
            let road = road.clone();
            async move {
                let mut dice = Dice::new(seed);
                loop {
                    for (next, time) in bad_then_better(&mut dice) {
                        road.send_replace(next);
                        tokio::time::sleep(time).await;
                    }
                }
            }
        });
        Weather { road, task }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Bad weather.
pub struct Weather {
    road: watch::Sender<Road>,
    task: JoinHandle<()>,
}

impl Drop for Weather {
    fn drop(&mut self) {
        self.task.abort();
        self.road.send_replace(Road::Clear);
    }
}

/// One bad stretch, and one on which what waited gets through.
fn bad_then_better(dice: &mut Dice) -> [(Road, Duration); 2] {
    let bad = match dice.below(16) {
        0 => (Road::Cut, dice.millis(50, 500)),
        1..=5 => (Road::Stuck, dice.millis(100, 900)),
        // A third of what the smallest broadcast sends, and more.
        6..=9 => (Road::Narrow(40_000 + dice.below(80_000) as u32), dice.millis(200, 1000)),
        _ => (Road::Long(dice.millis(20, 120), dice.millis(0, 80)), dice.millis(500, 2000)),
    };
    let better = if dice.below(2) == 0 { Road::Clear } else { Road::Long(dice.millis(10, 60), dice.millis(0, 30)) };
    [bad, (better, dice.millis(200, 1200))]
}

/// The two roads from a broadcaster to its server: what it calls and hears, and what it publishes.
pub struct Roads {
    /// To the API and the rooms' sockets.
    pub control: Link,
    /// To where publishers are taken.
    pub media: Link,
}

impl Roads {
    /// Makes them. A broadcaster finds the second by the first one's host and the port that the server tells, so both
    /// begin at an address of their own.
    ///
    /// # Errors
    ///
    /// The port is taken there.
    pub async fn to(server: &Server) -> Result<Self> {
        static COUNT: AtomicU16 = AtomicU16::new(1);
        let [high, low] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let host = Ipv4Addr::new(127, 1, high, low);
        let media = Link::between((host, server.rtmp.port()).into(), server.rtmp).await?;
        let control = Link::between((host, 0).into(), server.http).await?;
        Ok(Self { control, media })
    }

    /// Where the server seems to be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.control.at)
    }

    /// Both are like this from now on.
    pub fn are(&self, road: Road) {
        self.control.is(road);
        self.media.is(road);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, road: watch::Receiver<Road>, came: Arc<Mutex<Came>>) {
    let mut connections = JoinSet::new();
    let mut count = 0;
    while let Ok((near, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        count += 1;
        let (mut cut, road, came) = (road.clone(), road.clone(), Arc::clone(&came));
        connections.spawn(async move {
            tokio::select! {
                biased;
                _ = cut.wait_for(|road| *road == Road::Cut) => {}
                _ = connect(near, server, &road, &came, count) => {}
            }
        });
    }
}

async fn connect(
    near: TcpStream,
    server: SocketAddr,
    road: &watch::Receiver<Road>,
    came: &Mutex<Came>,
    seed: u64,
) -> io::Result<()> {
    let far = TcpStream::connect(server).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
    let note = || {
        let now = Instant::now();
        let Ok(mut came) = came.lock() else { return };
        if let Some(last) = came.last.replace(now).filter(|last| now - *last > PAUSE) {
            came.pauses.push((last, now));
        }
    };
    tokio::try_join!(
        carry(from_near, to_far, road.clone(), Dice::new(2 * seed), note),
        carry(from_far, to_near, road.clone(), Dice::new(2 * seed + 1), || {}),
    )?;
    Ok(())
}

/// One way of a connection.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut road: watch::Receiver<Road>,
    mut dice: Dice,
    note: impl Fn(),
) -> io::Result<()> {
    let (sender, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(WAITING);
    // The sender goes with the reading, and the writing ends with what waits.
    let reading = async move {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            if from.read_buf(&mut piece).await? == 0 {
                return io::Result::Ok(());
            }
            note();
            if sender.send((Instant::now(), piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        let mut free = Instant::now();
        while let Some((came, piece)) = waiting.recv().await {
            free = passes(&mut road, came, free, piece.len(), &mut dice).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing)?;
    Ok(())
}

/// Waits until a piece has passed the road, however that changes meanwhile. A narrow road is busy until it is `free`; the
/// answer is when it is again.
async fn passes(
    road: &mut watch::Receiver<Road>,
    came: Instant,
    mut free: Instant,
    bytes: usize,
    dice: &mut Dice,
) -> Instant {
    let share = dice.below(1000) as u32;
    loop {
        let until = match *road.borrow_and_update() {
            Road::Clear => return Instant::now(),
            Road::Long(least, more) => Some(came + least + more * share / 1000),
            Road::Narrow(rate) => {
                let late = Instant::now().checked_sub(MADE_UP).unwrap_or(came);
                Some(came.max(free).max(late) + Duration::from_secs_f64(bytes as f64 / f64::from(rate)))
            }
            Road::Stuck | Road::Cut => None,
        };
        let there = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = there => return until.unwrap_or(came),
            changed = road.changed() => {
                free = Instant::now();
                if changed.is_err() {
                    return free;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::patient;

    /// A link, and the ends of a connection over it.
    async fn linked() -> (Link, TcpStream, TcpStream) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let link = Link::to(server.local_addr().unwrap()).await.unwrap();
        let near = TcpStream::connect(link.at).await.unwrap();
        let (far, _) = server.accept().await.unwrap();
        (link, near, far)
    }

    #[tokio::test]
    async fn whatever_the_road_is_like_every_byte_comes_in_order() {
        let (link, mut near, mut far) = linked().await;
        let sent: Vec<u8> = (0..150_000u32).map(|n| (n % 251) as u8).collect();
        let ms = Duration::from_millis;
        for road in [Road::Clear, Road::Narrow(500_000), Road::Long(ms(5), ms(9)), Road::Clear] {
            link.is(road);
            let mut got = vec![0; sent.len()];
            tokio::try_join!(near.write_all(&sent), far.read_exact(&mut got)).unwrap();
            assert!(got == sent, "{road:?}");
            tokio::try_join!(far.write_all(&sent), near.read_exact(&mut got)).unwrap();
            assert!(got == sent, "back, {road:?}");
        }
        near.shutdown().await.unwrap();
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0, "the end comes through as well");
    }

    #[tokio::test]
    async fn what_is_stuck_comes_later_and_a_cut_ends_it() {
        let (link, mut near, mut far) = linked().await;
        link.is(Road::Stuck);
        near.write_all(b"later").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(150), far.read_u8()).await.is_err(), "it passed");
        link.mend();
        let mut got = [0; 5];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"later");
        assert_eq!(link.pauses().len(), 1, "nothing came since");
        near.write_all(b"!").await.unwrap();
        far.read_u8().await.unwrap();
        let pauses = link.pauses();
        assert!(pauses.len() == 1 && pauses[0].1 - pauses[0].0 > Duration::from_millis(140), "{pauses:?}");
        link.cut();
        assert!(matches!(far.read(&mut [0]).await, Ok(0) | Err(_)));
        let mut refused = TcpStream::connect(link.at).await.unwrap();
        assert!(matches!(refused.read(&mut [0]).await, Ok(0) | Err(_)));
    }

    /// However late this process is woken for a piece: what passes is the rate.
    #[tokio::test]
    async fn a_narrow_road_lets_its_rate_pass() {
        let (link, mut near, mut far) = linked().await;
        link.is(Road::Narrow(400_000));
        let began = Instant::now();
        let sent = vec![7; 200_000];
        let mut got = vec![0; sent.len()];
        tokio::try_join!(near.write_all(&sent), far.read_exact(&mut got)).unwrap();
        let took = began.elapsed();
        assert!(took > Duration::from_millis(450), "{took:?}");
        assert!(took < patient(Duration::from_millis(500)), "{took:?}");
    }

    #[test]
    fn the_weather_comes_from_its_seed_and_every_kind_of_it_comes() {
        let days = |seed| {
            let mut dice = Dice::new(seed);
            (0..200).flat_map(|_| bad_then_better(&mut dice)).collect::<Vec<_>>()
        };
        let all = days(1);
        assert!(all == days(1) && all != days(2));
        let there = |kind: fn(&Road) -> bool| all.iter().any(|(road, _)| kind(road));
        assert!(there(|r| *r == Road::Cut) && there(|r| *r == Road::Stuck) && there(|r| *r == Road::Clear));
        assert!(there(|r| matches!(r, Road::Long(..))) && there(|r| matches!(r, Road::Narrow(_))));
        assert!(all.iter().all(|(_, time)| *time <= Duration::from_secs(2)), "nothing lasts");
    }
}
