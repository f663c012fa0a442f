//! The commands that the page may call. `capabilities/main.json` grants each by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mujian_protocol::api::{AccountView, Credentials};
use mujian_protocol::app::{ApiRequest, ApiResponse, AppInfo, MediaState, RoomChannelMessage, TrayWords};
use mujian_protocol::room::ClientMessage;
use mujian_protocol::studio::{Devices, EncoderReport, LineSpeed, Share, StudioEvent, StudioSettings, StudioState};
use mujian_protocol::{ApiError, ErrorCode, Problem, RoomId};
use parking_lot::Mutex;
use tauri::State;
use tauri::ipc::{Channel, InvokeBody, InvokeResponseBody, Request, Response};
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

use super::closing::{self, Closing};
use super::hotkeys;
use super::pipes::Pipes;
use super::small::{self, Small};
use super::tray::Tray;
use super::window;
use crate::app::App;
use crate::notices::{self, Notice};
use crate::viewer::media::{Media, Piece};
use crate::viewer::room::Room;

/// Notices that wait for a press at a time.
const NOTICES: usize = 16;
/// Longest title of a dialog, in characters.
const TITLE: usize = 80;

/// What commands work on: the app, once it has started, or why it could not.
pub(super) struct Shell {
    pub(super) app: watch::Receiver<Option<Result<Arc<App>, ApiError>>>,
    pub(super) pipes: Arc<Pipes>,
    /// None where the desktop has none.
    pub(super) tray: Mutex<Option<Arc<Tray>>>,
    pub(super) closing: Closing,
    pub(super) small: Small,
}

impl Shell {
    /// Waits until the app has started.
    pub(super) async fn app(&self) -> Result<Arc<App>, ApiError> {
        let mut app = self.app.clone();
        let started = app.wait_for(Option::is_some).await.map(|a| a.clone());
        let crashed = || ApiError::new(ErrorCode::Internal, "Mujian could not start. Start it again.");
        started.ok().flatten().unwrap_or_else(|| Err(crashed()))
    }
}

type Answer<T> = Result<T, ApiError>;

#[tauri::command]
pub(super) async fn app_info(shell: State<'_, Shell>) -> Answer<AppInfo> {
    Ok(shell.app().await?.info())
}

#[tauri::command]
pub(super) async fn api_request(
    shell: State<'_, Shell>,
    method: String,
    path: String,
    body: Option<serde_json::Value>,
) -> Answer<ApiResponse> {
    let body = body.unwrap_or_default();
    shell.app().await?.request(&ApiRequest { method, path, body }).await
}

/// A file of the page's, as the call's raw body; what to do with it stands in the headers.
#[tauri::command]
pub(super) async fn api_upload(shell: State<'_, Shell>, request: Request<'_>) -> Answer<ApiResponse> {
    let InvokeBody::Raw(file) = request.body() else {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "A file is sent as bytes."));
    };
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let path = header("x-path");
    if !path.starts_with("/rooms/") {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "Files are sent to rooms."));
    }
    shell.app().await?.upload(header("x-method"), path, header("x-type"), file).await
}

#[tauri::command]
pub(super) async fn api_media(shell: State<'_, Shell>, path: String) -> Answer<Response> {
    Ok(Response::new(shell.app().await?.media(&path).await?))
}

#[tauri::command]
pub(super) async fn session_open(
    shell: State<'_, Shell>,
    create: bool,
    name: String,
    password: String,
) -> Answer<AccountView> {
    let account = shell.app().await?.open_session(create, &Credentials { name, password }).await?;
    shell.pipes.rooms.each(Room::renew);
    Ok(account)
}

#[tauri::command]
pub(super) async fn session_close(shell: State<'_, Shell>) -> Answer<()> {
    shell.app().await?.close_session().await?;
    shell.pipes.rooms.each(Room::renew);
    Ok(())
}

#[tauri::command]
pub(super) async fn room_open(
    shell: State<'_, Shell>,
    room: RoomId,
    watching: bool,
    on_message: Channel<RoomChannelMessage>,
) -> Answer<u32> {
    let app = shell.app().await?;
    let deliver = move |message| on_message.send(message).is_ok();
    shell.pipes.rooms.add(|| Room::join(app.api().clone(), &room, watching, deliver))
}

#[tauri::command]
pub(super) async fn room_send(shell: State<'_, Shell>, id: u32, message: ClientMessage) -> Answer<()> {
    // The greeting, with the token in it, is said by this process.
    if matches!(message, ClientMessage::Hello { .. }) {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "The greeting is said already."));
    }
    let sent = shell.pipes.rooms.with(id, |room| room.send(message));
    sent.unwrap_or_else(|| Err(ApiError::new(ErrorCode::NotFound, "This room is not open.")))
}

#[tauri::command]
pub(super) async fn room_close(shell: State<'_, Shell>, id: u32) -> Answer<()> {
    shell.pipes.rooms.remove(id);
    Ok(())
}

#[tauri::command]
pub(super) async fn media_open(
    shell: State<'_, Shell>,
    room: RoomId,
    on_data: Channel<InvokeResponseBody>,
    on_state: Channel<MediaState>,
) -> Answer<u32> {
    let app = shell.app().await?;
    let deliver = move |piece| match piece {
        Piece::Data(bytes) => on_data.send(InvokeResponseBody::Raw(bytes.into())).is_ok(),
        Piece::State(state) => on_state.send(state).is_ok(),
    };
    shell.pipes.media.add(|| Media::watch(app.api().clone(), &room, deliver))
}

#[tauri::command]
pub(super) async fn media_close(shell: State<'_, Shell>, id: u32) -> Answer<()> {
    shell.pipes.media.remove(id);
    Ok(())
}

#[tauri::command]
pub(super) async fn studio_devices() -> Answer<Devices> {
    crate::studio::devices().await
}

#[tauri::command]
pub(super) async fn studio_encoders() -> Answer<Vec<EncoderReport>> {
    crate::studio::encoders().await
}

/// Lets the person choose a media file, with the system's own dialog; none: they did not. The page gets the
/// path of what was chosen, and no way to look around by itself.
#[tauri::command]
pub(super) async fn studio_pick_file(window: tauri::WebviewWindow, title: String) -> Answer<Option<String>> {
    let title: String = title.chars().take(TITLE).collect();
    let picked = one_dialog(rfd::AsyncFileDialog::new().set_title(title).set_parent(&window).pick_file()).await?;
    Ok(picked.map(|file| file.path().to_string_lossy().into_owned()))
}

/// Lets the person choose a folder for recordings; none: they did not.
#[tauri::command]
pub(super) async fn studio_pick_folder(window: tauri::WebviewWindow, title: String) -> Answer<Option<String>> {
    let title: String = title.chars().take(TITLE).collect();
    let picked = one_dialog(rfd::AsyncFileDialog::new().set_title(title).set_parent(&window).pick_folder()).await?;
    Ok(picked.map(|folder| folder.path().to_string_lossy().into_owned()))
}

/// Shows the folder of the recordings in the system's own window for files. Which one it is the page does not say.
#[tauri::command]
pub(super) async fn studio_show_recordings(shell: State<'_, Shell>) -> Answer<()> {
    let app = shell.app().await?;
    let state = app.studio().state();
    let recorded = state.recording.as_ref().and_then(|r| Path::new(&r.path).parent().map(Path::to_owned));
    let chosen = state.settings.record_folder.clone().map(PathBuf::from).or_else(crate::record::default_folder);
    let folder = recorded.or(chosen).ok_or_else(|| {
        ApiError::new(ErrorCode::Storage, "No folder for recordings is known.").about(Problem::FolderUnknown)
    })?;
    let refused = |error: std::io::Error| {
        let path = folder.display().to_string();
        ApiError::new(ErrorCode::Storage, format!("The folder {path} cannot be shown ({error})."))
            .about(Problem::RecordingRefused { path: path.clone(), reason: error.to_string() })
    };
    std::fs::create_dir_all(&folder).map_err(refused)?;
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let mut shown = tokio::process::Command::new(program).arg(&folder).spawn().map_err(refused)?;
    // Some stay for as long as their window does.
    tokio::spawn(async move { shown.wait().await });
    Ok(())
}

/// One dialog of the system's at a time.
async fn one_dialog<T>(dialog: impl Future<Output = T>) -> Answer<T> {
    static OPEN: AtomicBool = AtomicBool::new(false);
    if OPEN.swap(true, Ordering::Relaxed) {
        let sentence = "A dialog to choose a file or a folder is open already.";
        return Err(ApiError::new(ErrorCode::Conflict, sentence).about(Problem::DialogOpen));
    }
    let picked = dialog.await;
    OPEN.store(false, Ordering::Relaxed);
    Ok(picked)
}

#[tauri::command]
pub(super) async fn studio_measure_line(shell: State<'_, Shell>) -> Answer<LineSpeed> {
    shell.app().await?.measure_line().await
}

#[tauri::command]
pub(super) async fn studio_get(shell: State<'_, Shell>) -> Answer<Arc<StudioState>> {
    Ok(shell.app().await?.studio().state())
}

#[tauri::command]
pub(super) async fn studio_set(shell: State<'_, Shell>, settings: StudioSettings) -> Answer<Arc<StudioState>> {
    shell.app().await?.set(settings).await
}

#[tauri::command]
pub(super) async fn studio_go_live(shell: State<'_, Shell>) -> Answer<()> {
    shell.app().await?.go_live().await
}

#[tauri::command]
pub(super) async fn studio_end(shell: State<'_, Shell>) -> Answer<()> {
    shell.app().await?.studio().end();
    Ok(())
}

/// `ago_ms`: how long ago the page saw the press.
#[tauri::command]
pub(super) async fn studio_leave(shell: State<'_, Shell>, ago_ms: f64) -> Answer<()> {
    let ago = Duration::try_from_secs_f64(ago_ms / 1000.0).unwrap_or_default();
    shell.app().await?.leave(ago)
}

#[tauri::command]
pub(super) async fn studio_retake(shell: State<'_, Shell>) -> Answer<()> {
    shell.app().await?.studio().retake();
    Ok(())
}

#[tauri::command]
pub(super) async fn studio_back(shell: State<'_, Shell>) -> Answer<()> {
    shell.app().await?.back();
    Ok(())
}

#[tauri::command]
pub(super) async fn window_close(handle: tauri::AppHandle, end: bool) -> Answer<()> {
    closing::answered(&handle, end);
    Ok(())
}

/// Chooses the server; no address: one that is hosted here. Another than now: the window is opened again.
#[tauri::command]
pub(super) async fn home_choose(
    handle: tauri::AppHandle,
    shell: State<'_, Shell>,
    address: Option<String>,
) -> Answer<bool> {
    let other = shell.app().await?.choose_home(address.as_deref()).await?;
    if other {
        closing::again(&handle);
    }
    Ok(other)
}

/// Hears keys while another program is in front, or not; remembered.
#[tauri::command]
pub(super) async fn hotkeys_set(handle: tauri::AppHandle, shell: State<'_, Shell>, on: bool) -> Answer<()> {
    let app = shell.app().await?;
    hotkeys::set(&handle, on).await?;
    app.remember_hotkeys(on)
}

#[tauri::command]
pub(super) async fn window_small(handle: tauri::AppHandle, small: bool) -> Answer<()> {
    small::set(&handle, small)
        .map_err(|error| ApiError::new(ErrorCode::Internal, format!("The window cannot be changed: {error}.")))
}

/// Shows a notice of the desktop's. A press on it shows the window, and is told to the page.
#[tauri::command]
pub(super) async fn notify(
    handle: tauri::AppHandle,
    title: String,
    body: String,
    open: String,
    on_open: Channel<()>,
) -> Answer<()> {
    static WAITING: Semaphore = Semaphore::const_new(NOTICES);
    // A page that asks for so many has lost its way; the oldest are forgotten with time.
    let Ok(place) = WAITING.try_acquire() else { return Ok(()) };
    let notice = Notice::new(&title, &body, &open);
    tauri::async_runtime::spawn(async move {
        let _place = place;
        match notices::show(&notice).await {
            Ok(true) => {
                window::show(&handle);
                if on_open.send(()).is_err() {
                    tracing::debug!("the page that asked for a notice is gone");
                }
            }
            Ok(false) => {}
            // Usual on a computer without a desktop.
            Err(error) => tracing::info!(%error, "a notice is not shown"),
        }
    });
    Ok(())
}

#[tauri::command]
pub(super) async fn tray_words(shell: State<'_, Shell>, words: TrayWords) -> Answer<()> {
    let tray = shell.tray.lock().clone();
    if let Some(tray) = tray {
        tray.say(words);
    }
    Ok(())
}

#[tauri::command]
pub(super) async fn studio_subscribe(shell: State<'_, Shell>, on_event: Channel<StudioEvent>) -> Answer<()> {
    let app = shell.app().await?;
    let mut events = app.studio().subscribe();
    let now = app.studio().watch();
    let whole = move || StudioEvent::State(Box::new(StudioState::clone(&now.borrow())));
    drop(app);
    let telling = async move {
        let mut next = Some(whole());
        loop {
            if let Some(event) = next.take()
                && on_event.send(event).is_err()
            {
                return;
            }
            next = match events.recv().await {
                Ok(event) => Some(event),
                // What was lost may have been the last change for a long time.
                Err(broadcast::error::RecvError::Lagged(_)) => Some(whole()),
                Err(broadcast::error::RecvError::Closed) => return,
            };
        }
    };
    shell.pipes.events.lock().replace(AbortOnDropHandle::new(tokio::spawn(telling)));
    Ok(())
}

#[tauri::command]
pub(super) async fn studio_preview(shell: State<'_, Shell>, on_frame: Channel<InvokeResponseBody>) -> Answer<()> {
    let app = shell.app().await?;
    let mut frames = app.studio().preview();
    let over = PreviewOver(Arc::clone(&app));
    let showing = async move {
        let _over = over;
        while frames.changed().await.is_ok() {
            let jpeg = frames.borrow_and_update().clone();
            if !jpeg.is_empty() && on_frame.send(InvokeResponseBody::Raw(jpeg.into())).is_err() {
                return;
            }
        }
    };
    shell.pipes.preview.lock().replace(AbortOnDropHandle::new(tokio::spawn(showing)));
    Ok(())
}

/// Tells the studio, however the showing ends.
struct PreviewOver(Arc<App>);

impl Drop for PreviewOver {
    fn drop(&mut self) {
        self.0.studio().preview_over();
    }
}

#[tauri::command]
pub(super) async fn studio_preview_stop(shell: State<'_, Shell>) -> Answer<()> {
    shell.pipes.preview.lock().take();
    Ok(())
}

#[tauri::command]
pub(super) async fn share_start(shell: State<'_, Shell>) -> Answer<Share> {
    shell.app().await?.share(true).await
}

#[tauri::command]
pub(super) async fn share_stop(shell: State<'_, Shell>) -> Answer<Share> {
    shell.app().await?.share(false).await
}
