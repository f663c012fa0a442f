//! Writes the interface's TypeScript types. Run from anywhere inside the repository.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join(mujian_protocol::typescript::PATH);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, mujian_protocol::typescript::declarations())?;
    println!("{}", mujian_protocol::typescript::PATH);
    Ok(())
}
