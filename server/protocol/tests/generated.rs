//! The committed TypeScript is what the Rust types say now.

use std::path::Path;

#[test]
fn the_committed_typescript_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(mujian_protocol::typescript::PATH);
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == mujian_protocol::typescript::declarations(),
        "{} is stale: run `cargo run -p mujian-protocol --example generate` and commit it",
        mujian_protocol::typescript::PATH
    );
}
