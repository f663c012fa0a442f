//! `mujian devices` and `mujian encoders`.

use std::process::ExitCode;

use mujian_protocol::studio::{Device, Devices, EncoderReport};
use serde::Serialize;

use super::args::ListArgs;
use super::{exit, fail};
use crate::studio;

pub(super) async fn devices(args: ListArgs) -> ExitCode {
    match studio::devices().await {
        Ok(devices) if args.json => json(&devices),
        Ok(devices) => print(&devices_text(&devices)),
        Err(error) => fail(&error),
    }
}

pub(super) async fn encoders(args: ListArgs) -> ExitCode {
    match studio::encoders().await {
        Ok(encoders) if args.json => json(&encoders),
        Ok(encoders) => print(&encoders_text(&encoders)),
        Err(error) => fail(&error),
    }
}

fn json(value: &impl Serialize) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&(text + "\n")),
        Err(_) => ExitCode::from(exit::INTERNAL),
    }
}

fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    // A reader that has seen enough closes the pipe; that is no fault.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(exit::DONE)
}

fn devices_text(devices: &Devices) -> String {
    let mut out = String::new();
    for (title, list) in [
        ("Cameras", &devices.cameras),
        ("Screens", &devices.screens),
        ("Windows", &devices.windows),
        ("Microphones", &devices.microphones),
        ("Outputs (for --computer-sound)", &devices.outputs),
    ] {
        out.push_str(title);
        out.push('\n');
        if list.is_empty() {
            out.push_str("  none\n");
        }
        for Device { id, name, is_default } in list {
            let default = if *is_default { "  (default)" } else { "" };
            out.push_str(&format!("  {id}  {name}{default}\n"));
        }
    }
    for note in &devices.notes {
        out.push_str(&format!("\n{}\n", note.message));
    }
    out
}

fn encoders_text(encoders: &[EncoderReport]) -> String {
    let width = encoders.iter().map(|e| e.name.len()).max().unwrap_or(0);
    encoders
        .iter()
        .map(|e| {
            let fares = if e.works { "works" } else { e.reason.as_str() };
            format!("{:width$}  {}: {fares}\n", e.name, e.label)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_well() {
        let devices = Devices {
            screens: vec![Device { id: ":0".into(), name: "Screen 1".into(), is_default: true }],
            notes: vec![mujian_protocol::studio::Note {
                message: "No camera is attached.".into(),
                problem: mujian_protocol::Problem::CameraNone,
            }],
            ..Devices::default()
        };
        let text = devices_text(&devices);
        assert!(text.contains("Cameras\n  none\nScreens\n  :0  Screen 1  (default)\n"), "{text}");
        assert!(text.ends_with("No camera is attached.\n"));
        let encoder = EncoderReport {
            name: "libx264".into(),
            label: "x264".into(),
            hardware: false,
            works: true,
            reason: String::new(),
            fault: None,
        };
        assert_eq!(encoders_text(&[encoder]), "libx264  x264: works\n");
    }
}
