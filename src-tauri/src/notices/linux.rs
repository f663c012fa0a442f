//! Over D-Bus: `org.freedesktop.Notifications` on the session's bus.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use zbus::Connection;
use zbus::zvariant::Value;

use super::{Notice, NoticeError};

/// A press on a notice is waited for so long; desktops put it into a list long before.
const WAITED: Duration = Duration::from_secs(15 * 60);
/// What is pressed when the notice itself is, by the specification's name.
const DEFAULT: &str = "default";

#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications",
    gen_blocking = false
)]
trait Notifications {
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;
    #[allow(clippy::too_many_arguments, reason = "the specification has that many")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: HashMap<&str, Value<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;
    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: String) -> zbus::Result<()>;
    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// Shows a notice, and waits until it is gone, a quarter of an hour at most. True: it was pressed.
///
/// # Errors
/// There is no session's bus, no such service, or it refused.
pub async fn show(notice: &Notice) -> Result<bool, NoticeError> {
    let bus = Connection::session().await?;
    let desktop = NotificationsProxy::new(&bus).await?;
    // Listened for before it is shown: a press must not be missed.
    let mut pressed = desktop.receive_action_invoked().await?;
    let mut closed = desktop.receive_notification_closed().await?;
    // Where the text is read as markup, what people wrote must not be.
    let markup = desktop.get_capabilities().await?.iter().any(|c| c == "body-markup");
    let body = if markup { escaped(&notice.body) } else { notice.body.clone() };
    let hints = HashMap::from([("desktop-entry", Value::from("mujian")), ("category", Value::from("presence.online"))]);
    let actions = [DEFAULT, &*notice.open];
    let id = desktop.notify("Mujian", 0, "mujian", &notice.title, &body, &actions, hints, -1).await?;
    let gone = async {
        loop {
            match select(pressed.next(), closed.next()).await {
                Either::Left((Some(signal), _)) => match signal.args() {
                    Ok(args) if *args.id() == id => return args.action_key() == DEFAULT,
                    _ => {}
                },
                Either::Right((Some(signal), _)) => match signal.args() {
                    Ok(args) if *args.id() == id => return false,
                    _ => {}
                },
                // The bus is gone.
                Either::Left((None, _)) | Either::Right((None, _)) => return false,
            }
        }
    };
    Ok(tokio::time::timeout(WAITED, gone).await.unwrap_or(false))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_no_markup() {
        assert_eq!(escaped("<b>R&B</b> 晚上好"), "&lt;b&gt;R&amp;B&lt;/b&gt; 晚上好");
    }
}
