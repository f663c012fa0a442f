//! The app behind its window, and without one: server, account, studio, and what was going on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mujian_media::rtmp::Secret;
use mujian_protocol::api::{AccountView, Credentials, RoomView, ServerInfo};
use mujian_protocol::app::{ApiRequest, ApiResponse, AppHome, AppInfo, Withheld};
use mujian_protocol::room::Away;
use mujian_protocol::studio::{Broadcast, LineSpeed, Notice, NoticeCode, Share, StudioSettings, StudioState};
use mujian_protocol::{ApiError, ErrorCode, Problem, WallTime};
use parking_lot::Mutex;
use reqwest::Method;
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use zeroize::Zeroizing;

use crate::api::Api;
use crate::cache::{Cache, Intent};
use crate::encode;
use crate::home;
use crate::host::client::{HostOptions, Hosted};
use crate::host::control::Request;
use crate::host::info::HostInfo;
use crate::host::share;
use crate::instance::Only;
use crate::keychain;
use crate::login::{Login, Remembered};
use crate::own_room;
use crate::problem::on_air;
use crate::shelf::Shelf;
use crate::studio::absence;
use crate::studio::rig::Rig;
use crate::studio::{Start, Studio, Target};
use crate::telling::Telling;
use crate::unattended;

/// How often the number of viewers is asked for while on air.
const VIEWERS: Duration = Duration::from_secs(2);
/// How long the hosted server lives on after the app is gone without a word.
pub const GRACE: Duration = Duration::from_secs(90);
/// What the cache calls the hosted server: its address changes, its rooms do not.
pub(crate) const HOSTED: &str = "hosted";
/// The cache's name for this installation's own name.
const PROGRAM: &str = "program_id";
/// The cache's name for the keys that are heard everywhere.
const HOTKEYS: &str = "hotkeys";
/// The cache's name for the hosted server's addresses.
const PORTS: &str = "host_ports";

/// How long the line is measured: a connection needs a moment to get going.
const MEASURE: Duration = Duration::from_secs(4);

/// How the app is started.
#[derive(Clone, Debug)]
pub struct AppOptions {
    /// The data folder.
    pub data: PathBuf,
    /// A server to use instead of a hosted one.
    pub server: Option<Url>,
    /// The program that hosts: this one.
    pub program: PathBuf,
    /// See [`GRACE`].
    pub grace: Duration,
}

/// The app.
#[derive(Debug)]
pub struct App {
    api: Api,
    cache: Cache,
    hosted: Option<Hosted>,
    studio: Arc<Studio>,
    shelf: Arc<Shelf>,
    server: String,
    login: Arc<Login>,
    /// Why the keychain did not give the log-in, unless somebody logged in since.
    withheld: Mutex<Option<Withheld>>,
    program: String,
    resumed: bool,
    /// Which server, from the next start of the window on.
    home: Mutex<AppHome>,
    /// What is stored as meant to run.
    intended: Mutex<Option<Intent>>,
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
    only: Only,
}

impl App {
    /// Opens the data in a folder that is this process's ([`instance::take`](crate::instance::take)), finds or starts the server, and goes on with a broadcast that was cut off.
    ///
    /// # Errors
    /// A sentence for a person: the data folder, the server.
    pub async fn start(options: AppOptions, only: Only, rig: Box<dyn Rig>) -> Result<Arc<Self>, ApiError> {
        let cache = Cache::open(&options.data)?;
        let home = match &options.server {
            Some(_) => AppHome::Named,
            None => home::stored(&cache, cache.setting(PROGRAM)?.is_none())?,
        };
        let joined = match &home {
            AppHome::Join { server } => Url::parse(server).ok(),
            _ => None,
        };
        let (api, hosted, server) = match options.server.or(joined) {
            Some(url) => {
                let server = url.origin().ascii_serialization();
                (Api::new(url)?, None, server)
            }
            None => {
                let (data, host, grace) = (options.data.clone(), options.program, options.grace);
                let last = cache.setting(PORTS)?.and_then(|p| serde_json::from_str(&p).ok());
                let hosted = Hosted::start(HostOptions { data, program: host, grace, last }).await?;
                let info = hosted.info();
                if let Ok(ports) = serde_json::to_string(&(info.http, info.rtmp)) {
                    cache.set_setting(PORTS, &ports)?;
                }
                let api = Api::new(base_of(&hosted.info())?)?;
                follow(&api, &hosted.info());
                (api, Some(hosted), HOSTED.to_owned())
            }
        };
        let program = program_id(&cache)?;
        let login = Arc::new(Login::new(cache.clone(), Arc::new(keychain::System), &server, &program));
        let mut withheld = None::<Withheld>;
        if hosted.is_none() {
            match login.remembered().await? {
                Remembered::Session(token, account) => api.set_session(Some(token), Some(account)),
                Remembered::Withheld(why) => withheld = Some(why),
                Remembered::Nothing => {}
            }
        }
        let studio = Arc::new(Studio::start(rig, cache.settings()?));
        let intent = cache.intent()?.filter(|intent| intent.server == server);
        let resumed = intent.is_some();
        let (intended, tasks) = (Mutex::default(), Mutex::default());
        let shelf = Arc::new(Shelf::open(&options.data, api.clone(), cache.clone(), server.clone()));
        let home = Mutex::new(home);
        let app = Arc::new(Self {
            api,
            cache,
            hosted,
            studio,
            shelf,
            server,
            login,
            withheld: Mutex::new(withheld),
            program,
            resumed,
            home,
            intended,
            tasks,
            only,
        });
        app.settle_login();
        app.spawn(Shelf::mirror(Arc::downgrade(&app.shelf)));
        app.spawn(watch_broadcast(Arc::downgrade(&app), app.studio.watch()));
        app.spawn(watch_viewers(app.api.clone(), Arc::clone(&app.studio)));
        app.spawn(keep_telling(app.api.clone(), Arc::clone(&app.studio)));
        app.spawn(leave_unattended(Arc::downgrade(&app), app.studio.watch()));
        if let Some(hosted) = &app.hosted {
            app.spawn(watch_host(app.api.clone(), hosted.watch()));
        }
        if let Some(intent) = intent {
            app.resume(intent).await;
        }
        Ok(app)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(AbortOnDropHandle::new(tokio::spawn(task)));
    }

    /// The calls of the server.
    #[must_use]
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// The right to the data folder: who else wants it asks there.
    #[must_use]
    pub const fn only(&self) -> &Only {
        &self.only
    }

    /// The broadcaster's session.
    #[must_use]
    pub fn studio(&self) -> &Studio {
        &self.studio
    }

    /// The app, as it started.
    #[must_use]
    pub fn info(&self) -> AppInfo {
        AppInfo {
            server_url: self.api.base().origin().ascii_serialization(),
            locale: locale(|name| std::env::var(name).ok()),
            account: self.api.account(),
            withheld: *self.withheld.lock(),
            hosting: self.hosted.is_some(),
            version: env!("CARGO_PKG_VERSION").into(),
            resumed: self.resumed,
            home: self.home.lock().clone(),
            hotkeys: self.wants_hotkeys(),
        }
    }

    /// Chooses the server that is used from the next start of the window on: the one at an address, or one that is hosted
    /// here. True: that is another one than now.
    ///
    /// # Errors
    /// `Conflict` on air, or when the command line named the server; as [`home::find`]; as the cache says.
    pub async fn choose_home(&self, address: Option<&str>) -> Result<bool, ApiError> {
        if is_on_air(&self.studio.state().broadcast) {
            return Err(on_air("You are on air. End the broadcast first."));
        }
        if *self.home.lock() == AppHome::Named {
            let sentence = "The command line named the server. Start Mujian without --server to choose one here.";
            return Err(ApiError::new(ErrorCode::Conflict, sentence).about(Problem::ServerNamed));
        }
        let home = match address {
            Some(address) => AppHome::Join { server: home::find(address).await?.origin().ascii_serialization() },
            None => AppHome::Host,
        };
        home::store(&self.cache, &home)?;
        let other = match &home {
            AppHome::Join { server } => *server != self.server,
            _ => self.hosted.is_none(),
        };
        *self.home.lock() = home;
        Ok(other)
    }

    /// Whether keys are to be heard while another program is in front.
    #[must_use]
    pub fn wants_hotkeys(&self) -> bool {
        matches!(self.cache.setting(HOTKEYS), Ok(Some(on)) if on == "on")
    }

    /// Remembers it.
    ///
    /// # Errors
    /// As the cache says.
    pub fn remember_hotkeys(&self, on: bool) -> Result<(), ApiError> {
        Ok(self.cache.set_setting(HOTKEYS, if on { "on" } else { "off" })?)
    }

    /// Passes a call of the window on.
    ///
    /// # Errors
    /// As [`Api::pass`].
    pub async fn request(&self, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        if is_about_the_token(request) {
            return Err(ApiError::new(ErrorCode::InvalidRequest, "Logging in has a command of its own."));
        }
        if let Some(answer) = self.shelf.request(request).await {
            return answer;
        }
        let token = self.api.token();
        let answer = self.api.pass(request).await?;
        if answer.status == 401 && answer.body["code"] == serde_json::json!(ErrorCode::Unauthenticated) {
            self.expired(token)?;
        }
        if (request.method.as_str(), request.path.as_str()) == ("PATCH", "/me")
            && let Ok(account) = serde_json::from_value::<AccountView>(answer.body.clone())
        {
            self.renamed(account)?;
        }
        Ok(answer)
    }

    /// Takes a file of the window's: the shelf keeps its own, others go to the server.
    ///
    /// # Errors
    /// As [`Api::upload`]; as the shelf says.
    pub async fn upload(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        file: &[u8],
    ) -> Result<ApiResponse, ApiError> {
        match self.shelf.upload(method, path, content_type, file).await {
            Some(answer) => answer,
            None => self.api.upload(method, path, content_type, file.to_vec()).await,
        }
    }

    /// A picture or a film that only who is logged in may see.
    ///
    /// # Errors
    /// As [`Api::media`].
    pub async fn media(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        match self.shelf.media(path).await {
            Some(answer) => answer,
            None => self.api.media(path).await,
        }
    }

    /// The server does not know this session any more: it was ended elsewhere.
    fn expired(&self, token: Option<Zeroizing<String>>) -> Result<(), ApiError> {
        // Somebody may have logged in again meanwhile; and the hosted server's owner has no other way in.
        if token.is_none() || self.api.token() != token || self.hosted.is_some() {
            return Ok(());
        }
        self.api.set_session(None, None);
        self.shelf.session_changed();
        self.login.forget()?;
        self.settle_login();
        Ok(())
    }

    /// What was known of the account is known by its new name.
    fn renamed(&self, account: AccountView) -> Result<(), ApiError> {
        let Some(token) = self.api.token() else { return Ok(()) };
        if self.hosted.is_none() {
            self.login.renamed(&account)?;
        }
        self.api.set_session(Some(token), Some(account));
        Ok(())
    }

    /// The log-in goes where the system keeps such things, or leaves it; nobody waits for that.
    fn settle_login(&self) {
        if self.hosted.is_none() {
            let login = Arc::clone(&self.login);
            self.spawn(async move { login.settle().await });
        }
    }

    /// Makes an account, or logs in, and remembers the session.
    ///
    /// # Errors
    /// As the server says; `Conflict` on a hosted server, whose owner is always logged in.
    pub async fn open_session(&self, create: bool, credentials: &Credentials) -> Result<AccountView, ApiError> {
        self.own_session()?;
        let account = self.api.open_session(create, credentials).await?;
        if let Some(token) = self.api.token() {
            self.login.remember(&token, &account)?;
            self.withheld.lock().take();
            self.settle_login();
        }
        self.shelf.session_changed();
        Ok(account)
    }

    /// Logs out, here and at the server.
    ///
    /// # Errors
    /// `Conflict` on a hosted server or on air. A server that cannot be reached does not keep anybody in.
    pub async fn close_session(&self) -> Result<(), ApiError> {
        self.own_session()?;
        if is_on_air(&self.studio.state().broadcast) {
            return Err(on_air("You are on air. End the broadcast first."));
        }
        let told = self.api.call::<serde_json::Value>(Method::DELETE, "/sessions/current", None::<&()>).await;
        if let Err(error) = told {
            tracing::debug!(%error, "the server was not told of the log-out");
        }
        self.api.set_session(None, None);
        self.shelf.session_changed();
        self.login.forget()?;
        self.settle_login();
        Ok(())
    }

    fn own_session(&self) -> Result<(), ApiError> {
        if self.hosted.is_none() {
            return Ok(());
        }
        let sentence = "This is your own server: you are always logged in to it.";
        Err(ApiError::new(ErrorCode::Conflict, sentence).about(Problem::OwnServer))
    }

    /// Changes the studio's settings and remembers them. On air, the room's words change at once.
    ///
    /// # Errors
    /// As the studio, the cache or the server says.
    pub async fn set(&self, settings: StudioSettings) -> Result<Arc<StudioState>, ApiError> {
        let before = self.studio.state();
        self.studio.set(settings.clone()).await?;
        self.cache.set_settings(&settings)?;
        let intended = self.intended.lock().clone();
        if let Some(intent) = intended {
            self.store_intent(Some(&Intent { settings: settings.clone(), ..intent }));
        }
        let words = |s: &StudioSettings| (s.title.clone(), s.category.clone(), s.tags.clone());
        if is_on_air(&before.broadcast)
            && words(&settings) != words(&before.settings)
            && let Some(room) = &before.room
        {
            own_room::describe(&self.api, room, &(&settings).into()).await?;
        }
        Ok(self.studio.state())
    }

    /// Goes on air in the account's room.
    ///
    /// # Errors
    /// As the server says, `Conflict` when it is on air. What comes after is in the studio's state.
    pub async fn go_live(&self) -> Result<(), ApiError> {
        if is_on_air(&self.studio.state().broadcast) {
            return Err(on_air("You are on air already."));
        }
        let settings = self.studio.state().settings.clone();
        let room = own_room::prepare(&self.api, &self.cache, &self.server, &settings).await?;
        let target = self.target(&room).await?;
        self.studio.update({
            let id = room.id.clone();
            move |state| state.room = Some(id)
        });
        let away = room.away.clone();
        self.studio.go_live(target, Start { resume: false, away: away.clone() }).await?;
        // A crash from here on is gone on from.
        self.intend(&Intent {
            server: self.server.clone(),
            room: room.id,
            settings,
            encoder: None,
            since: WallTime::now(),
            away,
        });
        Ok(())
    }

    /// The streamer leaves for a while, pressed so long `ago`. Nothing captured since goes out any more;
    /// it is stored, so that a crash does not change it, and the server is told.
    ///
    /// # Errors
    /// `Conflict` when nothing is on air.
    pub fn leave(&self, ago: Duration) -> Result<(), ApiError> {
        let away = self.studio.leave(ago)?;
        self.remember_away(Some(away));
        Ok(())
    }

    /// The streamer comes back; see [`Studio::back`].
    pub fn back(&self) {
        self.studio.back();
    }

    fn remember_away(&self, away: Option<Away>) {
        let Some(intent) = self.intended.lock().clone().filter(|intent| intent.away != away) else { return };
        self.store_intent(Some(&Intent { away, ..intent }));
    }

    /// Stores what is to be gone on with, unless the broadcast has ended in this moment.
    fn intend(&self, intent: &Intent) {
        self.store_intent(Some(intent));
        if !is_on_air(&self.studio.state().broadcast) {
            self.store_intent(None);
        }
    }

    /// A size or encoder that was refused on air is not what the next broadcast, or this one after a crash, begins with.
    fn keep_quality(&self, now: &StudioState) {
        let of = |s: &StudioSettings| (s.preset, s.encoder.clone());
        let holds = of(&now.settings);
        let intended = self.intended.lock().clone();
        let Some(mut intent) = intended.filter(|intent| of(&intent.settings) != holds) else { return };
        if !now.notices.iter().any(|n| n.code == NoticeCode::QualityRefused) {
            return;
        }
        (intent.settings.preset, intent.settings.encoder) = holds;
        if let Err(error) = self.cache.set_settings(&intent.settings) {
            tracing::warn!(%error, "the settings are not stored");
        }
        self.store_intent(Some(&intent));
    }

    /// A broadcast that was gone on with named its encoder; the next one chooses as the streamer said.
    async fn forget_encoder(&self) {
        let settings = self.studio.state().settings.clone();
        let chosen = self.cache.settings().map(|s| s.encoder).unwrap_or_else(|_| settings.encoder.clone());
        if chosen != settings.encoder
            && let Err(error) = self.studio.set(StudioSettings { encoder: chosen, ..settings }).await
        {
            tracing::debug!(%error, "the encoder stays as it was");
        }
    }

    /// A full disk does not keep anybody off air; it only makes a crash final.
    fn store_intent(&self, intent: Option<&Intent>) {
        *self.intended.lock() = intent.cloned();
        if let Err(error) = self.cache.set_intent(intent) {
            tracing::warn!(%error, "the intent could not be stored");
        }
    }

    /// Goes on with a broadcast that ran when an earlier process died.
    async fn resume(&self, intent: Intent) {
        tracing::info!(room = %intent.room, "a broadcast was cut off; it goes on");
        let resumed = async {
            // The encoder that ran is tried first: testing all of them again takes seconds.
            let encoder = intent.settings.encoder.clone().or(intent.encoder.clone());
            self.studio.set(StudioSettings { encoder, ..intent.settings.clone() }).await?;
            let room = own_room::prepare(&self.api, &self.cache, &self.server, &intent.settings).await?;
            let target = self.target(&room).await?;
            // Left elsewhere while this app was gone, or so shortly before that it was not stored.
            let away = intent.away.clone().or(room.away);
            self.studio.update(move |state| state.room = Some(room.id));
            self.studio.go_live(target, Start { resume: true, away: away.clone() }).await?;
            Ok::<_, ApiError>(away)
        };
        let notice = match resumed.await {
            Ok(away) => {
                let (code, goes_on) = match away {
                    Some(_) => (NoticeCode::ResumedAway, "You are still away, and your camera is off."),
                    None => (NoticeCode::Resumed, "The broadcast goes on."),
                };
                self.intend(&Intent { away, ..intent });
                let message = format!("Mujian was ended by a crash while you were on air. {goes_on}");
                Notice::new(code, message)
            }
            Err(error) => {
                self.store_intent(None);
                let message = format!(
                    "Mujian was ended by a crash while you were on air, and the broadcast cannot go on: {error}"
                );
                Notice { message, ..Notice::of(NoticeCode::NotResumed, error) }
            }
        };
        self.studio.update(move |state| state.notices.push(notice));
    }

    async fn target(&self, room: &own_room::OwnRoom) -> Result<Target, ApiError> {
        let info: ServerInfo = self.api.call(Method::GET, "/server", None::<&()>).await?;
        let base = self.api.base();
        let key = Secret::new(room.key.as_str());
        let target = target(&base, &info, room.id.clone(), key, self.program.clone())?;
        Ok(Target { keys: Some(own_room::keys(&self.api)), ..target })
    }

    /// What the line to the server carries, and the preset that fits.
    ///
    /// # Errors
    /// `Conflict` on air: measuring would take what the stream needs; as [`Api::measure_line`].
    pub async fn measure_line(&self) -> Result<LineSpeed, ApiError> {
        if is_on_air(&self.studio.state().broadcast) {
            return Err(on_air("The line is not measured while you are live: that would take what your stream needs."));
        }
        let mut state = self.studio.watch();
        let found = tokio::select! {
            found = self.api.measure_line(MEASURE) => found?,
            _ = state.wait_for(|state| is_on_air(&state.broadcast)) => {
                return Err(on_air("You went live, so the line is measured no more."));
            }
        };
        tracing::info!(bits_per_second = found.bits_per_second, "The line to the server was measured.");
        Ok(LineSpeed { bits_per_second: found.bits_per_second, preset: encode::fits(found.bits_per_second) })
    }

    /// Lets others reach the hosted server, or no longer.
    ///
    /// # Errors
    /// `Conflict` when no server is hosted; else the server's sentence.
    pub async fn share(&self, on: bool) -> Result<Share, ApiError> {
        let hosted = self.hosted.as_ref().ok_or_else(|| {
            let sentence = "The server is not hosted by this app; its own address can be shared.";
            ApiError::new(ErrorCode::Conflict, sentence).about(Problem::NotHosting)
        })?;
        let room = match self.studio.state().room.clone() {
            None if on && self.api.account().is_some() => {
                let settings = self.studio.state().settings.clone();
                Some(own_room::prepare(&self.api, &self.cache, &self.server, &settings).await?.id)
            }
            room => room,
        };
        let answer = hosted.ask(if on { Request::Share } else { Request::Unshare }).await?;
        let share = answer.shared.map(|at| share::share(room.as_ref(), at, &share::addresses())).unwrap_or_default();
        let told = share.clone();
        self.studio.update(move |state| {
            state.room = room;
            state.share = told;
        });
        Ok(share)
    }

    /// Ends the broadcast properly and lets the hosted server go.
    pub async fn shut_down(&self) {
        self.studio.end_and_wait().await;
        self.store_intent(None);
        if let Some(hosted) = &self.hosted
            && let Err(error) = hosted.ask(Request::Stop).await
        {
            tracing::debug!(%error, "the hosted server was gone already");
        }
    }
}

/// Where a room of a server is published to: the server's host, at the port that it says; by RTMPS where it takes that and its
/// address is one of HTTPS, so that its name is one that a certificate can be for. Where it takes none, the target says so.
///
/// # Errors
/// `InvalidRequest` when the address names no host.
pub fn target(
    base: &Url,
    info: &ServerInfo,
    room: mujian_protocol::RoomId,
    key: Secret,
    program: String,
) -> Result<Target, ApiError> {
    let (address, port) = match info.rtmps_port.filter(|_| base.scheme() == "https") {
        Some(port) => ("rtmps://host/live", port),
        None => ("rtmp://host/live", info.rtmp_port),
    };
    let mut url = Url::parse(address).map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))?;
    let no_host = || ApiError::new(ErrorCode::InvalidRequest, "The server's address names no host.");
    url.set_host(base.host_str()).map_err(|_| no_host())?;
    url.set_port(Some(port)).map_err(|()| no_host())?;
    let target = Target::from_url(&url, room, key, program)?;
    Ok(Target { openly: base.scheme() == "https" && !target.secure, ..target })
}

/// Whether a broadcast is meant to run.
#[must_use]
pub const fn is_on_air(broadcast: &Broadcast) -> bool {
    !matches!(broadcast, Broadcast::Idle | Broadcast::Failed { .. })
}

fn base_of(info: &HostInfo) -> Result<Url, ApiError> {
    Url::parse(&format!("http://{}/", info.http)).map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))
}

fn follow(api: &Api, info: &HostInfo) {
    if let Ok(base) = base_of(info) {
        api.set_base(base);
    }
    api.set_session(Some(Zeroizing::new(info.token.clone())), Some(info.account.clone()));
}

/// This installation's own name towards servers, the same for good.
fn program_id(cache: &Cache) -> Result<String, ApiError> {
    if let Some(id) = cache.setting(PROGRAM)? {
        return Ok(id);
    }
    let id = uuid::Uuid::new_v4().to_string();
    cache.set_setting(PROGRAM, &id)?;
    Ok(id)
}

async fn watch_host(api: Api, mut host: tokio::sync::watch::Receiver<HostInfo>) {
    while host.changed().await.is_ok() {
        let info = host.borrow_and_update().clone();
        follow(&api, &info);
    }
}

/// Leaves by itself when the computer says that nobody sits here.
async fn leave_unattended(app: std::sync::Weak<App>, state: tokio::sync::watch::Receiver<Arc<StudioState>>) {
    let leave = move |why| {
        let Some(app) = app.upgrade() else { return };
        // Off air there is nothing to leave.
        if let Ok(away) = app.studio.leave_unattended(why) {
            app.remember_away(Some(away));
        }
    };
    unattended::listen(leave, state).await;
}

/// An end or a failure takes the intent back: nothing is to be gone on with.
async fn watch_broadcast(app: std::sync::Weak<App>, mut state: tokio::sync::watch::Receiver<Arc<StudioState>>) {
    while state.changed().await.is_ok() {
        let now = state.borrow_and_update().clone();
        let Some(app) = app.upgrade() else { return };
        if app.intended.lock().is_none() {
            continue;
        }
        let encoder = now.encoder.as_ref().map(|e| e.name.clone());
        if !is_on_air(&now.broadcast) {
            app.store_intent(None);
            app.forget_encoder().await;
            continue;
        }
        app.keep_quality(&now);
        let Some(intent) = app.intended.lock().clone() else { continue };
        let encoder = encoder.or(intent.encoder.clone());
        let away = now.away.as_ref().map(absence::fact);
        // A state of before the press does not undo what the press stored.
        let away = if away.is_none() && app.studio.is_away() { intent.away.clone() } else { away };
        if (&encoder, &away) != (&intent.encoder, &intent.away) {
            app.store_intent(Some(&Intent { encoder, away, ..intent }));
        }
    }
}

/// On air, the server is told of leaving and coming back, and followed in it.
async fn keep_telling(api: Api, studio: Arc<Studio>) {
    let mut state = studio.watch();
    loop {
        let on_air = |s: &Arc<StudioState>| is_on_air(&s.broadcast).then(|| s.room.clone()).flatten();
        // The studio being gone is the end of this task.
        let Ok(room) = state.wait_for(|s| on_air(s).is_some()).await.map(|s| on_air(&s)) else { return };
        let telling = room.as_ref().map(|room| Telling::start(&api, room, &studio, true));
        if state.wait_for(|s| on_air(s) != room).await.is_err() {
            return;
        }
        drop(telling);
    }
}

async fn watch_viewers(api: Api, studio: Arc<Studio>) {
    let mut state = studio.watch();
    loop {
        // The studio being gone is the end of this task.
        let Ok(room) = state.wait_for(|s| is_on_air(&s.broadcast) && s.room.is_some()).await.map(|s| s.room.clone())
        else {
            return;
        };
        if let Some(room) = room
            && let Ok(view) = api.call::<RoomView>(Method::GET, &format!("/rooms/{room}"), None::<&()>).await
        {
            studio.update(move |s| s.viewers = view.viewers);
        }
        tokio::time::sleep(VIEWERS).await;
    }
}

/// The language of the system as a BCP 47 tag.
fn locale(var: impl Fn(&str) -> Option<String>) -> String {
    let set = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| var(name).filter(|v| !v.is_empty()));
    let plain = set.as_deref().unwrap_or_default().split(['.', '@']).next().unwrap_or_default();
    if plain.is_empty() || plain == "C" || plain == "POSIX" { "en".into() } else { plain.replace('_', "-") }
}

/// Whether a call gives or ends the session's token, which this process keeps: such calls have commands of their own.
fn is_about_the_token(request: &ApiRequest) -> bool {
    let path = request.path.split(['?', '#']).next().unwrap_or_default();
    match path.trim_end_matches('/') {
        "/sessions" | "/sessions/current" => true,
        "/accounts" => request.method != "GET",
        // What is not written plainly might be one of them.
        path => path.contains("..") || path.contains("//") || path.contains('%'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_never_gets_the_sessions_token() {
        let kept = |method: &str, path: &str| {
            let body = serde_json::Value::Null;
            is_about_the_token(&ApiRequest { method: method.into(), path: path.into(), body })
        };
        for path in
            ["/sessions", "/accounts", "/sessions?a=b", "/accounts/", "/x/../sessions", "//sessions", "/%73essions"]
        {
            assert!(kept("POST", path), "{path}");
        }
        assert!(kept("DELETE", "/sessions/current"));
        // What the operator does to others, and logging out elsewhere, give no token.
        for (method, path) in [
            ("GET", "/accounts?name=%E5%B0%8F"),
            ("POST", "/accounts/018f/recovery"),
            ("DELETE", "/sessions/others"),
            ("PUT", "/me/password"),
            ("POST", "/recovery"),
        ] {
            assert!(!kept(method, path), "{method} {path}");
        }
    }

    #[test]
    fn locales_become_tags() {
        let of = |value: &str| locale(|name| (name == "LANG").then(|| value.to_owned()));
        assert_eq!(of("zh_CN.UTF-8"), "zh-CN");
        assert_eq!(of("C.UTF-8"), "en");
        assert_eq!(of(""), "en");
        assert_eq!(of("de_AT@euro"), "de-AT");
    }

    #[test]
    fn the_target_is_at_the_servers_host() {
        let mut info = ServerInfo {
            version: String::new(),
            registration_open: true,
            setup_needed: false,
            rtmp_port: 19350,
            rtmps_port: None,
        };
        let safe = "https://live.example.org:8443/";
        let of = |base: &str, info: &ServerInfo| {
            let base = base.parse().unwrap();
            let target = target(&base, info, "demo".parse().unwrap(), Secret::new("k"), "p".into()).unwrap();
            (target.tc_url(), target.openly)
        };
        assert_eq!(of(safe, &info), ("rtmp://live.example.org:19350/live".into(), true));
        info.rtmps_port = Some(443);
        assert_eq!(of(safe, &info), ("rtmps://live.example.org:443/live".into(), false));
        // There nobody was promised anything.
        assert_eq!(of("http://10.0.0.1:8080/", &info), ("rtmp://10.0.0.1:19350/live".into(), false));
    }
}
