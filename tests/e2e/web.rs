//! A person with nothing but a browser (row A4): Chromium, driven as a person would use it.

use std::time::Duration;

use anyhow::Result;
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::ffmpeg::Publish;
use mujian_tests::server::{Room, Server};

const SOON: Duration = Duration::from_secs(20);

async fn on_air() -> Result<(Server, Room, mujian_tests::process::Program)> {
    let server = Server::start().await?;
    let room = server.room("owner", "幕间 A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    Ok((server, room, publisher))
}

/// Waits until the page's video has shown `count` more pictures.
pub(crate) async fn pictures(browser: &mut Browser, page: Page, count: u32) -> Result<()> {
    let shown = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames";
    let before = browser.eval(page, shown).await?.as_u64().unwrap_or(0);
    browser.wait(page, &format!("{shown} >= {}", before + u64::from(count)), SOON).await?;
    Ok(())
}

async fn sign_up(browser: &mut Browser, page: Page, name: &str) -> Result<()> {
    browser.click(page, "role=button[name=/log in to comment/i]").await?;
    browser.click(page, "text=No account yet? Sign up").await?;
    browser.fill(page, "role=dialog >> role=textbox[name=/name/i]", name).await?;
    browser.fill(page, "role=dialog >> input[type=password]", "correct horse battery").await?;
    browser.press(page, "role=dialog >> input[type=password]", "Enter").await?;
    browser.visible(page, "[placeholder='Say something…']", SOON).await
}

#[tokio::test]
async fn two_people_watch_in_chromium_and_one_writes_a_danmaku_that_the_other_reads() -> Result<()> {
    let (server, room, _publisher) = on_air().await?;
    // With the browser's own rule: nothing sounds before a person has clicked on the page.
    let mut browser = Browser::start(true).await?;
    let writer = browser.page(&Look::default()).await?;
    browser.goto(writer, &server.watch_url(&room)).await?;
    browser.wait(writer, "document.querySelector('video')?.videoWidth === 640", SOON).await?;
    pictures(&mut browser, writer, 60).await?;
    assert_eq!(browser.eval(writer, "document.querySelector('video').muted").await?, true, "it starts muted");
    browser.click(writer, "role=button[name='Turn the sound on'] >> nth=0").await?;
    browser
        .wait(writer, "!document.querySelector('video').muted && !document.querySelector('video').paused", SOON)
        .await?;
    pictures(&mut browser, writer, 30).await?;
    // Sound is decoded, not only allowed.
    let heard = "document.querySelector('video').webkitAudioDecodedByteCount";
    let before = browser.eval(writer, heard).await?.as_u64().unwrap_or(0);
    browser.wait(writer, &format!("{heard} > {}", before + 4000), SOON).await?;

    let reader = browser.page(&Look { locale: "zh-CN", width: 1000, ..Look::default() }).await?;
    browser.goto(reader, &server.url()).await?;
    browser.click(reader, &format!("a[href$='{}']", room.id)).await?;
    browser.wait(reader, "document.querySelector('video')?.videoWidth === 640", SOON).await?;
    pictures(&mut browser, reader, 15).await?;

    sign_up(&mut browser, writer, "小明").await?;
    let text = "你好 <b>world</b> 👋";
    browser.fill(writer, "[placeholder='Say something…']", text).await?;
    browser.press(writer, "[placeholder='Say something…']", "Enter").await?;
    for page in [writer, reader] {
        browser.visible(page, &format!("text={text}"), SOON).await?;
        // Markup is text: no such element came into being.
        let bold = "[...document.querySelectorAll('b')].some((b) => b.textContent === 'world')";
        assert_eq!(browser.eval(page, bold).await?, false);
    }
    for page in [writer, reader] {
        assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test]
async fn chromium_plays_through_a_killed_publisher_and_its_return() -> Result<()> {
    let (server, room, publisher) = on_air().await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.watch_url(&room)).await?;
    browser.wait(page, "document.querySelector('video')?.videoWidth === 640", SOON).await?;
    pictures(&mut browser, page, 60).await?;
    // The same element plays all along: a new one would not carry this mark.
    browser.eval(page, "(document.querySelector('video').dataset.mark = 'same', true)").await?;

    publisher.signal(libc::SIGKILL);
    server.wait_stage(&room, "lost", SOON).await?;
    pictures(&mut browser, page, 60).await?;
    let back = Publish { picture: "testsrc2=size=854x480:rate=30".into(), ..Publish::default() };
    let _publisher = back.start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    browser.wait(page, "document.querySelector('video').videoWidth === 854", SOON).await?;
    pictures(&mut browser, page, 90).await?;
    assert_eq!(browser.eval(page, "document.querySelector('video').dataset.mark").await?, "same");
    let behind = "(() => { const v = document.querySelector('video'); return v.buffered.end(v.buffered.length - 1) - v.currentTime; })()";
    browser.wait(page, &format!("{behind} < 1.0"), SOON).await?;
    Ok(())
}

/// The page of a room, for somebody who is logged in with this session.
pub(crate) async fn page_of(browser: &mut Browser, server: &Server, room: &Room, token: &str) -> Result<Page> {
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.watch_url(room)).await?;
    let logged_in = format!("(localStorage.setItem('mujian.token', {token:?}), true)");
    browser.eval(page, &logged_in).await?;
    browser.goto(page, &server.watch_url(room)).await?;
    Ok(page)
}

#[tokio::test]
async fn an_owner_who_publishes_with_obs_is_asked_in_the_browser_who_may_publish() -> Result<()> {
    let (server, room, _publisher) = on_air().await?;
    let second = Publish { picture: "testsrc2=size=854x480:rate=30".into(), ..Publish::default() };
    assert!(!second.start(&server.publish_url(&room))?.ended(SOON).await?.success());
    // The page is opened after the refusal, and it is still there.
    let mut browser = Browser::start(false).await?;
    let page = page_of(&mut browser, &server, &room, &room.token).await?;
    browser.visible(page, "text=Another program wants to publish", SOON).await?;
    browser.visible(page, "text=ffmpeg (127.0.0.1) has the right key", SOON).await?;
    // Somebody else in the room is not asked.
    let guest = browser.page(&Look::default()).await?;
    browser.goto(guest, &server.watch_url(&room)).await?;
    browser.wait(guest, "document.querySelector('video')?.videoWidth === 640", SOON).await?;
    let asked = "document.body.innerText.includes('wants to publish')";
    assert_eq!(browser.eval(guest, asked).await?, false);

    browser.click(page, "role=button[name='Let it in']").await?;
    browser.wait(page, &format!("!{asked}"), SOON).await?;
    let _second = second.start(&server.publish_url(&room))?;
    browser.wait(guest, "document.querySelector('video')?.videoWidth === 854", SOON).await?;

    // What is sent away for what it sends is told as well.
    server.call("POST", &format!("/rooms/{}/end", room.id), Some(&room.token), None).await?;
    server.wait_stage(&room, "off", SOON).await?;
    let coding = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 30 -c:a libmp3lame -ar 44100";
    let coding = coding.split_whitespace().map(str::to_owned).collect();
    let mut mp3 = Publish { coding, ..Publish::default() }.start(&server.publish_url(&room))?;
    assert!(!mp3.ended(SOON).await?.success());
    browser.visible(page, "text=The sound is coded as MP3, which is not taken", SOON).await?;
    let later = page_of(&mut browser, &server, &room, &room.token).await?;
    browser.visible(later, "text=The sound is coded as MP3, which is not taken", SOON).await?;
    Ok(())
}

#[tokio::test]
async fn a_room_that_is_off_starts_by_itself_when_it_goes_live() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.watch_url(&room)).await?;
    browser.visible(page, "text=Between acts", SOON).await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    browser.wait(page, "document.querySelector('video')?.currentTime > 1", SOON).await?;
    Ok(())
}

#[tokio::test]
async fn the_pages_are_served_with_a_strict_policy() -> Result<()> {
    let server = Server::start().await?;
    let answer = reqwest::get(format!("{}/watch/somewhere", server.url())).await?;
    assert_eq!(answer.status(), 200);
    let policy = answer.headers().get("content-security-policy").map(|v| v.to_str().unwrap_or_default().to_owned());
    let policy = policy.unwrap_or_default();
    assert!(policy.contains("default-src") && !policy.contains("unsafe-eval"), "{policy}");
    let missing = reqwest::get(format!("{}/api/v1/rooms/nowhere", server.url())).await?;
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.json::<serde_json::Value>().await?["code"], "not_found");
    Ok(())
}

#[tokio::test]
async fn a_browser_that_keeps_nothing_watches_and_writes_all_the_same() -> Result<()> {
    let (server, room, _publisher) = on_air().await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.keep_nothing(page).await?;
    browser.goto(page, &server.watch_url(&room)).await?;
    browser.wait(page, "document.querySelector('video')?.videoWidth === 640", SOON).await?;
    pictures(&mut browser, page, 5).await?;
    browser.key(page, "ArrowDown").await?;
    browser.wait(page, "document.querySelector('video').volume < 0.95", SOON).await?;
    sign_up(&mut browser, page, "小明").await?;
    browser.fill(page, "[placeholder='Say something…']", "nothing is kept").await?;
    browser.key(page, "Enter").await?;
    browser.wait(page, "document.querySelector('[role=log]').innerText.includes('nothing is kept')", SOON).await?;
    assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    Ok(())
}
