//! Replays what fuzzing kept: each input runs through the same checks as under the fuzzer.
#![allow(missing_docs, unreachable_pub)]

use std::fs;
use std::path::Path;

use mujian_media::frame::FeedItem;

#[path = "../../../tests/fuzz/checks/amf0.rs"]
mod amf0;
#[path = "../../../tests/fuzz/checks/flv.rs"]
mod flv;
#[path = "../../../tests/fuzz/checks/rtmp_client.rs"]
mod rtmp_client;
#[path = "../../../tests/fuzz/checks/rtmp_server.rs"]
mod rtmp_server;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is in the repository") {
        let path = entry.expect("the folder can be read").path();
        let data = fs::read(&path).expect("an input can be read");
        if let Err(panic) = std::panic::catch_unwind(|| check(&data)) {
            eprintln!("the input was {}", path.display());
            std::panic::resume_unwind(panic);
        }
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn amf0_corpus() {
    replay("amf0", amf0::check);
}

#[test]
fn flv_corpus() {
    replay("flv", flv::check);
}

#[test]
fn rtmp_server_corpus() {
    replay("rtmp_server", rtmp_server::check);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/rtmp_server/marks");
    let marks = rtmp_server::run(&fs::read(path).expect("it is in the repository"))
        .into_iter()
        .filter(FeedItem::is_mark)
        .count();
    assert_eq!(marks, 5, "the seed with every kind of mark is read to its end");
}

#[test]
fn rtmp_client_corpus() {
    replay("rtmp_client", rtmp_client::check);
}

/// A seed that is refused at its door would fuzz nothing behind it.
#[test]
fn seeds_reach_what_they_are_for() {
    for (seed, wanted) in [("session", 6), ("enhanced", 5), ("ffmpeg", 20), ("extended", 5)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/rtmp_server");
        let data = fs::read(folder.join(seed)).expect("the seed is in the repository");
        let items = rtmp_server::run(&data);
        assert!(items.len() >= wanted, "{seed}: {items:?}");
    }
}
