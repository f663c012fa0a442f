//! The command line as people and scripts meet it: the real program, its words and its exit codes.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn mujian(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mujian"))
        .args(args)
        .env_remove("MUJIAN_STREAM_KEY")
        .env_remove("MUJIAN_PASSWORD")
        .env_remove("MUJIAN_SERVER")
        .env_remove("MUJIAN_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn fails(args: &[&str], code: i32, says: &str) {
    let output = mujian(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?} said: {said}");
    assert!(said.contains(says), "{args:?} said: {said}");
    assert!(!said.contains("s3cret"), "the key is not told");
}

/// A port where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let help = String::from_utf8(mujian(&["live", "--help"]).stdout).unwrap();
    for words in ["Examples:", "Exit codes:", "MUJIAN_STREAM_KEY", "--test-card"] {
        assert!(help.contains(words), "{words} is missing:\n{help}");
    }
    let help = String::from_utf8(mujian(&["--help"]).stdout).unwrap();
    assert!(!help.contains("worker"), "what is not for people is not shown:\n{help}");
}

#[test]
fn a_wrong_command_line_is_2() {
    fails(&["live"], 2, "--server");
    fails(&["live", "--server", "http://127.0.0.1:1", "--room", "demo"], 2, "--test-card");
    fails(&["live", "--server", "ftp://x", "--room", "demo", "--test-card"], 2, "http");
    let rtmp = ["live", "--server", "rtmp://127.0.0.1/live", "--room", "demo", "--test-card"];
    fails(&rtmp, 2, "MUJIAN_STREAM_KEY");
}

#[test]
fn a_server_that_is_not_there_is_5() {
    let http = format!("http://{}", nobody());
    fails(&["live", "--server", &http, "--room", "demo", "--key", "s3cret", "--test-card"], 5, "cannot be reached");
    let rtmp = format!("rtmp://{}/live", nobody());
    let args = ["live", "--server", &rtmp, "--room", "demo", "--key", "s3cret", "--test-card", "--preset", "540p30"];
    fails(&args, 5, "cannot be reached");
}

#[test]
fn a_camera_that_is_not_there_is_4() {
    let rtmp = format!("rtmp://{}/live", nobody());
    let base = ["live", "--server", &rtmp, "--room", "demo", "--key", "s3cret"];
    fails(&[&base[..], &["--camera", "/dev/video-none", "--mic", "none"]].concat(), 4, "");
}

#[test]
fn a_file_that_is_no_media_is_6_and_json_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.mp4");
    std::fs::write(&path, "this is no film").unwrap();
    let (rtmp, path) = (format!("rtmp://{}/live", nobody()), path.to_str().unwrap());
    let base = ["live", "--server", &rtmp, "--room", "demo", "--key", "s3cret", "--file", path];
    fails(&base, 6, "");
    let output = mujian(&[&base[..], &["--json"]].concat());
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.first().unwrap()["type"], "starting");
    let last = lines.last().unwrap();
    assert_eq!((last["type"].as_str(), last["code"].as_str()), (Some("error"), Some("unsupported_media")));
    fails(&[&base[..7], &["--file", "/nowhere/at/all.mp4"]].concat(), 6, "/nowhere/at/all.mp4");
}

#[test]
fn what_there_is_can_be_listed() {
    let devices: Value = serde_json::from_slice(&mujian(&["devices", "--json"]).stdout).unwrap();
    assert!(devices["cameras"].is_array() && devices["screens"].is_array() && devices["microphones"].is_array());
    let encoders: Value = serde_json::from_slice(&mujian(&["encoders", "--json"]).stdout).unwrap();
    let x264 = encoders.as_array().unwrap().iter().find(|e| e["name"] == "libx264").unwrap();
    assert_eq!(x264["works"], true, "{x264}");
    let text = String::from_utf8(mujian(&["encoders"]).stdout).unwrap();
    assert!(text.lines().any(|l| l.starts_with("libx264") && l.ends_with("works")), "{text}");
}
