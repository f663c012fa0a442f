//! Prepares Tauri's context. The interface is embedded from `ui/dist`; when it has not been built
//! yet (`make build` builds it first), a placeholder folder lets the crate compile.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let dist = Path::new("../ui/dist");
    println!("cargo:rerun-if-changed=../ui/dist");
    println!("cargo:rerun-if-changed=capabilities");
    if !dist.join("index.html").exists() {
        fs::create_dir_all(dist)?;
        fs::write(
            dist.join("index.html"),
            "<!doctype html><meta charset=\"utf-8\"><title>Mujian</title>\
             <p>The interface has not been built: run <code>make build</code>.</p>\n",
        )?;
    }
    tauri_build::build();
    Ok(())
}
