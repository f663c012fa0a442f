//! Backup and restore, by the program, of a data folder that is used meanwhile.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::{Site, site};
use mujian_protocol::api::Person;
use mujian_protocol::audit::AuditAction;
use mujian_protocol::room::{Danmaku, DanmakuMode, RoomEventBody};
use mujian_protocol::{RoomId, StreamId, WallTime};
use mujian_server::account::{Recovery, make_recovery};
use mujian_server::config::Config;
use mujian_server::store::{FILE, Hand, LATEST, NewEvent, Store};
use serde_json::{Value, json};

fn run(args: &[&str], data: &Path) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mujian-server"));
    command.args(args).arg("--data").arg(data).output().unwrap()
}

/// Backs up into a folder; the backup.
fn back_up(data: &Path, folder: &Path) -> PathBuf {
    let done = run(&["backup", folder.to_str().unwrap()], data);
    assert!(done.status.success(), "{done:?}");
    let line = String::from_utf8(done.stdout).unwrap();
    PathBuf::from(line.split(' ').next().unwrap().strip_prefix("backup=").unwrap())
}

fn refuses(args: &[&str], data: &Path, code: i32, words: &[&str]) {
    let done = run(args, data);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(code), "{said}");
    let sentence = said.lines().last().unwrap_or_default();
    for word in words {
        assert!(sentence.contains(word), "{word:?} is not in {sentence:?}");
    }
    assert!(!said.contains("panicked") && done.stdout.is_empty(), "{said}");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Nobody but the owner reads a folder or anything in it.
#[cfg(unix)]
fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{path:?}: {mode:o}");
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| assert_private(&entry.unwrap().path()));
    }
}

fn danmaku(author: &Person, n: u32) -> NewEvent {
    let client_ref = format!("r{n}");
    let body = RoomEventBody::Danmaku(Danmaku {
        author: author.clone(),
        text: n.to_string(),
        mode: DanmakuMode::Scroll,
        color: "#ffffff".into(),
        client_ref: client_ref.clone(),
    });
    NewEvent { at: WallTime(i64::from(n)), author: Some(author.id.clone()), client_ref: Some(client_ref), body }
}

/// What is in a room.
async fn said(site: &Site, room: &str) -> Vec<String> {
    let mut socket = site.socket(room).await;
    let welcome = socket.hello(None, None).await;
    welcome["events"].as_array().unwrap().iter().map(|e| e["body"]["text"].as_str().unwrap_or("-").to_owned()).collect()
}

#[tokio::test]
async fn a_server_that_is_written_to_is_backed_up_as_it_was_at_one_moment() {
    let site = site().await;
    let token = site.person("owner").await;
    let room = site.room(&token).await["id"].as_str().unwrap().to_owned();
    // A recording and a placeholder, and one whose files nothing tells of any more.
    let app = site.server.as_ref().unwrap().app();
    let stream = StreamId::new();
    app.store.begin_recording(stream.clone(), room.parse().unwrap(), WallTime(5)).await.unwrap();
    let recording = site.data.path().join(format!("recordings/{room}/{stream}"));
    let orphan = site.data.path().join(format!("recordings/{room}/{}", StreamId::new()));
    for folder in [&recording, &orphan] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("media.m4s"), vec![7; 700_000]).unwrap();
        std::fs::write(folder.join("index.jsonl"), "{}\n").unwrap();
    }
    std::fs::write(site.data.path().join("words.txt"), "夜\n").unwrap();

    let folder = tempfile::tempdir().unwrap();
    // Danmaku, one after another and each acknowledged, until both backups are made.
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let (count, mut counted) = tokio::sync::watch::channel(0_u32);
    let me = site.get("/me", Some(&token)).await.1["id"].as_str().unwrap().parse().unwrap();
    let author = Person { id: me, name: "owner".into() };
    let (store, id) = (app.store.clone(), room.parse::<RoomId>().unwrap());
    let writer = tokio::spawn(async move {
        let mut n = 0;
        while !*stopped.borrow_and_update() {
            store.append_events(id.clone(), vec![danmaku(&author, n)]).await.unwrap();
            n += 1;
            count.send_replace(n);
        }
        n
    });
    let mut backups = Vec::new();
    for name in ["first", "second"] {
        let before = *counted.wait_for(|n| *n >= 1).await.unwrap();
        let (data, target) = (site.data.path().to_owned(), folder.path().join(name));
        let made =
            tokio::task::spawn_blocking(move || run(&["backup", target.to_str().unwrap()], &data)).await.unwrap();
        assert!(made.status.success(), "{made:?}");
        backups.push((folder.path().join(name), before, *counted.borrow()));
    }
    stop.send_replace(true);
    let all = writer.await.unwrap();
    assert_eq!(names(folder.path()), ["first", "second"], "nothing else is left");

    for (backup, before, after) in backups {
        let manifest: Value = serde_json::from_slice(&std::fs::read(backup.join("manifest.json")).unwrap()).unwrap();
        assert_eq!((&manifest["format"], &manifest["schema"]), (&json!(1), &json!(LATEST)));
        let files: Vec<&str> =
            manifest["files"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
        let of = |name: &str| format!("recordings/{room}/{stream}/{name}");
        assert_eq!(files, [&of("index.jsonl"), &of("media.m4s"), "words.txt", FILE]);

        assert_private(&backup);
        let data = tempfile::tempdir().unwrap();
        let target = data.path().join("restored");
        let done = run(&["restore", backup.to_str().unwrap()], &target);
        assert!(done.status.success(), "{done:?}");
        for name in [FILE, "recordings", "words.txt"] {
            assert_private(&target.join(name));
        }
        assert_eq!(names(&target), ["mujian.db", "recordings", "server.lock", "words.txt"]);
        let media = std::fs::read(target.join(format!("recordings/{room}/{stream}/media.m4s"))).unwrap();
        assert_eq!(media, vec![7; 700_000]);
        // Everything acknowledged before the backup began is there, nothing of what came after it, and no hole.
        let connection = rusqlite::Connection::open(target.join(FILE)).unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |r| r.get::<_, u32>(0)).unwrap();
        let kept = count("SELECT count(*) FROM room_events");
        assert!((before..=after + 1).contains(&kept) && kept <= all, "{before} {kept} {after} {all}");
        assert_eq!(count("SELECT max(number) FROM room_events"), kept);
        assert_eq!(count("SELECT last_number FROM rooms"), kept);
        assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
        drop(connection);
        // A server starts with it, who was logged in still is, and the room goes on where it was.
        let server = mujian_server::Server::start(Config::local(&target)).await.unwrap();
        let base = format!("http://{}", server.http);
        let again = Site { server: Some(server), base, client: reqwest::Client::new(), data };
        assert_eq!(again.get("/me", Some(&token)).await.1["name"], "owner");
        assert_eq!(said(&again, &room).await.last(), Some(&(kept - 1).to_string()));
        let mut socket = again.socket(&room).await;
        // Who was here before it was restored may have seen other events of the numbers that come next.
        let welcome = socket.hello(Some(&token), Some(json!({"epoch": 1, "number": kept + 1}))).await;
        assert_eq!((&welcome["resumed"], &welcome["last"]), (&json!(false), &json!({"epoch": 2, "number": kept})));
        socket.danmaku("new", "after").await;
        assert_eq!(socket.next_of("event").await["event"]["id"], json!({"epoch": 2, "number": kept + 1}));
    }
}

#[tokio::test]
async fn what_cannot_be_backed_up_or_restored_is_told_and_nothing_is_changed() {
    let site = site().await;
    let token = site.person("owner").await;
    site.room(&token).await;
    let data = site.data.path().to_owned();
    let outside = tempfile::tempdir().unwrap();
    let at = |name: &str| outside.path().join(name);
    let text = |path: &Path| path.to_str().unwrap().to_owned();

    refuses(&["backup", &text(&at("b"))], &at("nothing"), 1, &["There is no database of Mujian", "--data"]);
    refuses(&["backup", &text(&at("no/b"))], &data, 1, &["There is no folder", "mounted"]);
    std::fs::write(at("file"), "mine").unwrap();
    refuses(&["backup", &text(&at("file"))], &data, 1, &["is there already"]);
    assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "mine");
    let backup = back_up(&data, outside.path());
    assert!(backup.file_name().unwrap().to_str().unwrap().starts_with("mujian-backup-20"), "{backup:?}");
    refuses(&["backup", &text(&backup.join("manifest.json"))], &data, 1, &["is there already"]);

    refuses(&["restore", &text(&backup)], &data, 8, &["is used by another server"]);
    refuses(&["restore", &text(&at("file"))], &at("new"), 1, &["is no backup of Mujian", "manifest.json"]);
    refuses(&["restore", &text(&at("nothing"))], &at("new"), 1, &["is no backup of Mujian"]);
    let full = at("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("letter"), "mine").unwrap();
    refuses(&["restore", &text(&backup)], &full, 1, &["is not empty", "--replace"]);
    assert_eq!(names(&full), ["letter"]);

    // Whatever is wrong with a file of it, nothing is put in place.
    let manifest = std::fs::read_to_string(backup.join("manifest.json")).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&manifest).unwrap();
        change(&mut value);
        std::fs::write(backup.join("manifest.json"), value.to_string()).unwrap();
    };
    for (change, code, words) in [
        (&(|m: &mut Value| m["format"] = json!(2)) as &dyn Fn(&mut Value), 7, "made by a newer version"),
        (&|m: &mut Value| m["schema"] = json!(LATEST + 1), 7, "made by a newer version"),
        (&|m: &mut Value| m["schema"] = json!(LATEST - 1), 1, "has another format than the backup tells"),
        (&|m: &mut Value| m["files"] = json!([]), 1, "names no mujian.db"),
        (&|m: &mut Value| m["files"] = json!(3), 1, "cannot be understood"),
        (&|m: &mut Value| m["files"][0]["path"] = json!("../mujian.db"), 1, "names \"../mujian.db\""),
        (&|m: &mut Value| m["files"][0]["bytes"] = json!(1), 1, "shorter or longer"),
        (&|m: &mut Value| m["files"][0]["sha256"] = json!("00"), 1, "other bytes"),
    ] {
        with(change);
        refuses(&["restore", &text(&backup)], &at("new"), code, &[words]);
        assert!(!at("new").exists(), "{words}");
        refuses(&["restore", "--replace", &text(&backup)], &full, code, &[words]);
        assert_eq!(names(&full), ["letter"], "{words}");
    }
    std::fs::write(backup.join("manifest.json"), &manifest).unwrap();
    let database = std::fs::read(backup.join(FILE)).unwrap();
    std::fs::remove_file(backup.join(FILE)).unwrap();
    refuses(&["restore", &text(&backup)], &at("new"), 1, &["mujian.db is missing"]);
    let mut flipped = database.clone();
    flipped[5000] ^= 1;
    std::fs::write(backup.join(FILE), flipped).unwrap();
    refuses(&["restore", &text(&backup)], &at("new"), 1, &["mujian.db has other bytes"]);
    std::fs::write(backup.join(FILE), database).unwrap();

    // Told so, what was there is put aside, and is all there.
    let done = run(&["restore", "--replace", &text(&backup)], &full);
    assert!(done.status.success(), "{done:?}");
    let aside = names(&full).into_iter().find(|n| n.starts_with("before-restore-")).unwrap();
    assert_eq!(std::fs::read_to_string(full.join(aside).join("letter")).unwrap(), "mine");
    let store = Store::open(&full).unwrap();
    assert!(store.account_by_name("owner".into()).await.unwrap().is_some());
    // Both are in the logs: the backup in the server's, that it was restored in that of what was restored.
    let made_at = serde_json::from_str::<Value>(&manifest).unwrap()["made_at"].as_i64().unwrap();
    let log = site.server.as_ref().unwrap().app().store.audit(None, 9).await.unwrap().entries;
    let told: Vec<_> = log.iter().map(|e| (&e.action, e.at.millis(), e.by.is_none())).collect();
    assert_eq!(told, [(&AuditAction::BackedUp, made_at, true)], "one backup was made");
    let log = store.audit(None, 9).await.unwrap().entries;
    let told: Vec<_> = log.iter().map(|e| (&e.action, e.by.is_none())).collect();
    assert_eq!(told, [(&AuditAction::Restored { made_at: WallTime(made_at) }, true)]);
}

/// A code that was used after the backup is not good once more when that is restored.
#[tokio::test]
async fn recovery_codes_are_not_restored() {
    let site = site().await;
    let token = site.person("Anna").await;
    let id: mujian_protocol::AccountId = site.get("/me", Some(&token)).await.1["id"].as_str().unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let app = site.server.as_ref().unwrap().app();
    let hand = Hand { by: None, at: app.clock.wall() };
    let Recovery::Made(made) = make_recovery(&app.store, &id, hand).await.unwrap() else { panic!("no code") };
    let backup = back_up(site.data.path(), folder.path());
    let target = folder.path().join("new");
    assert!(run(&["restore", backup.to_str().unwrap()], &target).status.success());
    let server = mujian_server::Server::start(Config::local(&target)).await.unwrap();
    let base = format!("http://{}", server.http);
    let again = Site { server: Some(server), base, client: reqwest::Client::new(), data: folder };
    let ask = json!({"name": "Anna", "code": made.code, "password": "battery staple"});
    assert_eq!(again.post("/recovery", None, ask.clone()).await.0, 401);
    assert_eq!(site.post("/recovery", None, ask).await.0, 204, "here it was good");
}

/// A backup of an older format is restored as it is; the server that starts with it brings it up to date.
#[tokio::test]
async fn every_older_format_is_backed_up_and_restored() {
    for version in 1..=LATEST {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::create_dir(&old).unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/store-v{version}.sql"));
        let sql = std::fs::read_to_string(fixture).unwrap();
        rusqlite::Connection::open(old.join(FILE)).unwrap().execute_batch(&sql).unwrap();
        let backup = back_up(&old, folder.path());
        let done = run(&["restore", backup.to_str().unwrap()], &new);
        assert!(done.status.success(), "{version}: {done:?}");
        let format: u32 = rusqlite::Connection::open(new.join(FILE))
            .unwrap()
            .query_row("PRAGMA user_version", [], |r| r.get(0))
            .unwrap();
        assert_eq!(format, version);
        let store = Store::open(&new).unwrap();
        assert_eq!(store.room("old-room".parse().unwrap()).await.unwrap().unwrap().title, "旧房间");
    }
}
