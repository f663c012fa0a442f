//! The fuzz targets' kept corpus. Each crate replays its own parsers' inputs in its own tests; here: nothing is
//! forgotten, and the room socket's messages.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Result;
use mujian_protocol::room::ClientMessage;
use mujian_tests::process::source_root;

fn names(folder: &str, extension: &str) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(source_root().join(folder))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(extension) {
            found.insert(name.to_owned());
        }
    }
    Ok(found)
}

#[test]
fn every_fuzz_target_is_listed_and_has_a_corpus() -> Result<()> {
    let targets = names("tests/fuzz/fuzz_targets", ".rs")?;
    assert_eq!(targets, names("tests/fuzz/corpus", "")?, "each target has a folder in tests/fuzz/corpus");
    let manifest = fs::read_to_string(source_root().join("tests/fuzz/Cargo.toml"))?;
    for target in &targets {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is not in tests/fuzz/Cargo.toml");
        let files = fs::read_dir(source_root().join("tests/fuzz/corpus").join(target))?.count();
        assert!(files > 0, "the corpus of {target} is empty");
    }
    Ok(())
}

#[test]
fn client_messages_survive() -> Result<()> {
    let mut taken = 0;
    for entry in fs::read_dir(source_root().join("tests/fuzz/corpus/client_message"))? {
        let bytes = fs::read(entry?.path())?;
        if let Ok(message) = serde_json::from_slice::<ClientMessage>(&bytes) {
            taken += 1;
            assert_eq!(serde_json::from_slice::<ClientMessage>(&serde_json::to_vec(&message)?)?, message);
        }
    }
    assert!(taken > 0, "no input of the corpus is a message");
    Ok(())
}
