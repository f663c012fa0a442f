//! What a viewer has in a room (row A2): modes, keys, how danmaku fly, what is hidden, and a list that stands still for
//! who reads. In Chromium, on a real stream.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Page};
use mujian_tests::chat::say;
use mujian_tests::ffmpeg::Publish;
use mujian_tests::process::Program;
use mujian_tests::server::{Room, Server, Setup};

use crate::web::{page_of, pictures};

const SOON: Duration = Duration::from_secs(20);
const LIST: &str = "document.querySelector('[role=log]')";

/// A room on air, in which people may say as much as they like, and the page of somebody who is called 小明.
struct Evening {
    server: Server,
    room: Room,
    _publisher: Program,
    browser: Browser,
    page: Page,
}

impl Evening {
    async fn begin() -> Result<Self> {
        let limits = "[limits]\ndanmaku = { burst = 1000, per_hour = 360000 }\n";
        let server = Setup::default().config(limits).start().await?;
        let room = server.room("owner", "幕间 A room").await?;
        let publisher = Publish::default().start(&server.publish_url(&room))?;
        server.wait_stage(&room, "live", SOON).await?;
        let me = server.account("小明").await?;
        let mut browser = Browser::start(false).await?;
        let page = page_of(&mut browser, &server, &room, &me).await?;
        let mut evening = Self { server, room, _publisher: publisher, browser, page };
        evening.plays().await?;
        evening.is("document.querySelector('[placeholder=\"Say something…\"]') !== null").await?;
        Ok(evening)
    }

    /// The programme is on the screen, and goes on.
    async fn plays(&mut self) -> Result<()> {
        self.is("document.querySelector('video')?.videoWidth === 640").await?;
        pictures(&mut self.browser, self.page, 5).await
    }

    /// Waits until an expression is true in the page.
    async fn is(&mut self, script: &str) -> Result<()> {
        self.browser.wait(self.page, script, SOON).await.map(|_| ())
    }

    async fn key(&mut self, key: &str) -> Result<()> {
        self.browser.key(self.page, key).await
    }

    async fn press(&mut self, name: &str) -> Result<()> {
        self.browser.click(self.page, &format!("role=button[name='{name}']")).await
    }

    async fn sees(&mut self, selector: &str) -> Result<()> {
        self.browser.visible(self.page, selector, SOON).await
    }

    async fn say(&mut self, token: &str, texts: &[&str]) -> Result<()> {
        say(&self.server, &self.room, token, texts).await
    }

    async fn end(mut self) -> Result<()> {
        assert_eq!(self.browser.complaints(self.page).await?, Vec::<String>::new());
        Ok(())
    }
}

/// Whether the list has this text.
fn listed(text: &str) -> String {
    format!("{LIST}.innerText.includes({text:?})")
}

#[tokio::test]
async fn a_viewer_has_keys_and_modes_and_settings_that_stay() -> Result<()> {
    let mut it = Evening::begin().await?;
    let video = "document.querySelector('video')";

    it.key("m").await?;
    it.is(&format!("{video}.muted")).await?;
    it.key("m").await?;
    it.is(&format!("!{video}.muted")).await?;
    it.key("ArrowDown").await?;
    it.key("ArrowDown").await?;
    it.is(&format!("Math.abs({video}.volume - 0.8) < 0.01")).await?;
    it.key(" ").await?;
    it.is(&format!("{video}.paused")).await?;
    it.key(" ").await?;
    it.plays().await?;
    it.key("d").await?;
    it.sees("role=button[name='Danmaku: off']").await?;
    it.key("d").await?;
    it.sees("role=button[name='Danmaku: on']").await?;
    it.key("i").await?;
    it.sees("role=region[name='Quality read-out'] >> text=640 × 360").await?;
    it.sees("role=region[name='Quality read-out'] >> text=/[1-9].* fps/").await?;
    it.key("i").await?;
    it.is("!document.body.innerText.includes('Playback speed')").await?;

    // The theatre: nothing but the picture and the list, as high as the window; the same picture plays on.
    it.browser.eval(it.page, &format!("({video}.dataset.mark = 'same', true)")).await?;
    let high = "Math.round(document.querySelector('.picture').getBoundingClientRect().height) === innerHeight";
    ensure!(it.browser.eval(it.page, high).await? == false, "it is a theatre already");
    it.key("t").await?;
    it.is(high).await?;
    it.key("Escape").await?;
    it.is(&format!("!({high})")).await?;
    // The whole screen, and a comment written over it.
    it.key("f").await?;
    it.is("document.fullscreenElement !== null").await?;
    it.key("Enter").await?;
    it.is("document.activeElement.matches('.writing input')").await?;
    it.browser.type_text(it.page, "from the full screen").await?;
    it.key("Enter").await?;
    it.is("document.querySelector('.writing') === null").await?;
    it.is(&listed("from the full screen")).await?;
    // Whoever leaves the whole screen in the middle of a comment goes on with it.
    it.key("Enter").await?;
    it.is("document.activeElement.matches('.writing input')").await?;
    it.browser.type_text(it.page, "half of").await?;
    it.browser.eval(it.page, "document.exitFullscreen().then(() => true)").await?;
    it.is("document.querySelector('.full') === null && document.activeElement.matches('aside input')").await?;
    it.browser.type_text(it.page, " it").await?;
    it.is("document.activeElement.value === 'half of it'").await?;
    it.key("Enter").await?;
    it.is(&listed("half of it")).await?;
    it.key("Escape").await?;
    assert_eq!(it.browser.eval(it.page, &format!("{video}.dataset.mark")).await?, "same");

    // While one types, they are letters.
    it.key("Enter").await?;
    it.is("document.activeElement.matches('aside input')").await?;
    it.browser.type_text(it.page, "t f m d i ?").await?;
    it.is("document.activeElement.value === 't f m d i ?'").await?;
    let untouched = format!(
        "!{video}.muted && !{video}.paused && document.fullscreenElement === null && !({high}) \
         && document.querySelector('dialog') === null && document.body.innerText.includes('Danmaku: on')"
    );
    assert_eq!(it.browser.eval(it.page, &untouched).await?, true);
    it.key("Escape").await?;

    // Settings by keyboard: half of the picture, larger, and a word that is not to be seen.
    it.press("Danmaku settings").await?;
    it.browser.press(it.page, "role=dialog >> role=slider[name='Size']", "ArrowRight").await?;
    it.browser.click(it.page, "role=dialog >> role=radio[name='1/2']").await?;
    let part = "(() => { const c = document.querySelector('.overlay canvas').getBoundingClientRect(); const p = \
        document.querySelector('.picture').getBoundingClientRect(); return Math.abs(c.height / p.height - 0.5) < 0.02; })()";
    it.is(part).await?;
    it.browser.fill(it.page, "role=dialog >> role=textbox[name='A word']", "spoiler").await?;
    it.key("Enter").await?;
    it.sees("role=dialog >> role=button[name='Show “spoiler” again']").await?;
    it.key("Escape").await?;
    it.is("document.querySelector('dialog') === null").await?;
    let ann = it.server.account("Ann").await?;
    it.say(&ann, &["a big SPOILER", "something else"]).await?;
    it.is(&listed("something else")).await?;
    assert_eq!(it.browser.eval(it.page, &listed("SPOILER")).await?, false);

    // All of it is still so when the page is opened again.
    it.browser.goto(it.page, &it.server.watch_url(&it.room)).await?;
    it.plays().await?;
    it.is(&format!("{} && !{}", listed("something else"), listed("SPOILER"))).await?;
    it.is(&format!("Math.abs({video}.volume - 0.8) < 0.01 && {part}")).await?;
    it.press("Danmaku settings").await?;
    it.sees("role=dialog >> text='110%'").await?;
    it.press("Show “spoiler” again").await?;
    it.is(&listed("SPOILER")).await?;
    it.key("Escape").await?;

    // Whoever wants no single keys has none.
    it.key("?").await?;
    it.browser.click(it.page, "role=dialog >> role=checkbox[name='Use these keys']").await?;
    it.key("Escape").await?;
    it.is("document.querySelector('dialog') === null").await?;
    it.key("t").await?;
    it.key("m").await?;
    assert_eq!(it.browser.eval(it.page, &untouched).await?, true);
    it.end().await
}

#[tokio::test]
async fn the_list_stands_still_for_who_reads_and_names_are_marked() -> Result<()> {
    let mut it = Evening::begin().await?;
    let (ann, ben) = (it.server.account("Ann").await?, it.server.account("Ben").await?);
    let words: Vec<String> = (1..=40).map(|n| format!("comment number {n}")).collect();
    // One connection says only so much at once.
    for some in words.chunks(20) {
        it.say(&ann, &some.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    }
    let rest = format!("({LIST}.scrollHeight - {LIST}.scrollTop - {LIST}.clientHeight)");
    it.is(&format!("{} && {rest} < 2", listed("comment number 40"))).await?;

    // Whoever scrolls up reads in peace, however much is said.
    it.browser.wheel(it.page, "role=log", -600).await?;
    it.sees("role=button[name='To the newest']").await?;
    it.is(&format!("{rest} > 300")).await?;
    let place = format!("[{LIST}.scrollTop, {LIST}.scrollHeight].join()");
    // Chromium scrolls smoothly: the place that counts is the one where it has come to rest.
    let calm = format!(
        "(async () => {{ for (let was = ''; was !== {place}; ) {{ was = {place}; await new Promise((r) => setTimeout(r, 200)); }} return {place}; }})()"
    );
    let before = it.browser.eval(it.page, &calm).await?;
    it.say(&ben, &["while you read", "and again"]).await?;
    it.say(&ann, &["@小明 are you there?"]).await?;
    it.sees("role=button[name='3 new']").await?;
    assert_eq!(it.browser.eval(it.page, &listed("while you read")).await?, false);
    assert_eq!(it.browser.eval(it.page, &place).await?, before, "it moved");
    it.press("3 new").await?;
    it.is(&format!("{} && {rest} < 2", listed("are you there?"))).await?;
    it.is("document.querySelector('[role=log] .mentioned')?.textContent.includes('mentions you')").await?;
    // The same by keyboard: the list has the focus now.
    it.is(&format!("document.activeElement === {LIST}")).await?;
    it.key("PageUp").await?;
    it.sees("role=button[name='To the newest']").await?;
    it.say(&ben, &["third"]).await?;
    it.sees("role=button[name='1 new']").await?;
    it.key("End").await?;
    it.is(&format!("{} && {rest} < 2", listed("third"))).await?;

    // An answer: the name is completed, an emoji picked, all by keyboard.
    it.key("Enter").await?;
    it.browser.type_text(it.page, "yes @an").await?;
    it.sees("role=option[name='Ann']").await?;
    it.key("Enter").await?;
    it.is("document.activeElement.value === 'yes @Ann '").await?;
    it.key("Tab").await?;
    it.key("Enter").await?;
    it.sees("role=group[name='Emoji'] >> role=button[name='😂']").await?;
    it.key("ArrowRight").await?;
    it.key("Enter").await?;
    it.key("Escape").await?;
    it.is("document.querySelector('[placeholder=\"Say something…\"]').value === 'yes @Ann 😂'").await?;
    it.browser.press(it.page, "[placeholder='Say something…']", "Enter").await?;
    it.is("[...document.querySelectorAll('[role=log] .own')].at(-1)?.textContent.includes('yes @Ann 😂')").await?;
    it.is(&format!("{rest} < 2")).await?;

    // Somebody is hidden, from where they wrote, and brought back in the settings.
    it.browser.click(it.page, "role=log >> role=button[name='Ben'] >> nth=-1").await?;
    it.browser.click(it.page, "role=log >> role=button[name='Hide']").await?;
    it.is(&format!("!{}", listed("Ben"))).await?;
    it.say(&ben, &["nobody hears me"]).await?;
    it.say(&ann, &["the last word"]).await?;
    it.is(&listed("the last word")).await?;
    let heard = it.browser.eval(it.page, &listed("nobody hears me")).await?;
    ensure!(heard == false, "somebody who is hidden is seen");
    it.press("Danmaku settings").await?;
    it.press("Show “Ben” again").await?;
    it.is(&listed("nobody hears me")).await.context("he is not back")?;
    it.key("Escape").await?;
    it.end().await
}
