//! Which encoders work on this machine: each is tried in a process of its own, which may crash or hang.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use mujian_av::encode::candidate::{Candidate, for_this_machine};
use mujian_av::encode::selftest;
use mujian_protocol::studio::EncoderReport;
use parking_lot::Mutex;

use super::EncodeError;

/// Time that one encoder has for its test.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Tests one encoder in this process. The hidden subcommand `worker probe-encoder NAME` prints the
/// report as one line of JSON.
#[must_use]
pub fn run_probe(name: &str) -> EncoderReport {
    let known = for_this_machine().into_iter().find(|c| c.name == name);
    let candidate = known.unwrap_or(Candidate { name: "", label: "", hardware: false });
    let reason = selftest::run(name).err().map(|e| e.to_string()).unwrap_or_default();
    EncoderReport {
        name: name.to_owned(),
        label: if candidate.label.is_empty() { name.to_owned() } else { candidate.label.to_owned() },
        hardware: candidate.hardware,
        works: reason.is_empty(),
        reason,
    }
}

/// How to start the probing process: a program and the arguments before the encoder's name.
#[derive(Clone, Debug)]
pub struct ProbeCommand {
    /// The program.
    pub program: PathBuf,
    /// Arguments; the encoder's name follows them.
    pub arguments: Vec<String>,
}

impl ProbeCommand {
    /// This program again, with its hidden subcommand.
    ///
    /// # Errors
    /// The system's, if it does not tell where this program lies.
    pub fn this_program() -> std::io::Result<Self> {
        let arguments = vec!["worker".into(), "probe-encoder".into()];
        Ok(Self { program: std::env::current_exe()?, arguments })
    }

    /// Tries an encoder and tells how it fared.
    #[must_use]
    pub fn probe(&self, candidate: &Candidate, limit: Duration) -> EncoderReport {
        let failed = |reason: String| EncoderReport {
            name: candidate.name.into(),
            label: candidate.label.into(),
            hardware: candidate.hardware,
            works: false,
            reason,
        };
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(candidate.name)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(e) => return failed(format!("The process that tests it could not be started ({e}).")),
        };
        let Some(stdout) = child.stdout.take() else {
            return failed("The process that tests it has no output.".into());
        };
        let (sender, answer) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            // At most what a report can be; a driver may chatter.
            let _ = stdout.take(1 << 20).read_to_string(&mut text);
            let _ = sender.send(text);
        });
        let text = answer.recv_timeout(limit);
        if text.is_err() {
            // It may have ended in this very moment; then there is nothing to kill.
            let _ = child.kill();
        }
        let status = child.wait();
        let _ = reader.join();
        let Ok(text) = text else {
            return failed(format!("It gave no answer within {} seconds and was stopped.", limit.as_secs()));
        };
        match text.lines().rev().find_map(|l| serde_json::from_str::<EncoderReport>(l).ok()) {
            Some(report) => EncoderReport { label: candidate.label.into(), hardware: candidate.hardware, ..report },
            None => failed(format!(
                "It crashed while it was tested ({}).",
                status.map_or_else(|e| e.to_string(), |s| s.to_string())
            )),
        }
    }
}

type Probe = dyn Fn(&Candidate) -> EncoderReport + Send + Sync;

/// The encoders of this machine, tested once and remembered.
#[derive(Clone)]
pub struct Encoders {
    table: Arc<[Candidate]>,
    probe: Arc<Probe>,
    known: Arc<Mutex<Vec<EncoderReport>>>,
}

impl Encoders {
    /// The table for this machine, tested by a command.
    #[must_use]
    pub fn new(command: ProbeCommand) -> Self {
        Self::with(for_this_machine(), move |c| command.probe(c, LIMIT))
    }

    /// Another table and another way to test, for tests.
    #[must_use]
    pub fn with(table: Vec<Candidate>, probe: impl Fn(&Candidate) -> EncoderReport + Send + Sync + 'static) -> Self {
        Self { table: table.into(), probe: Arc::new(probe), known: Arc::default() }
    }

    /// How every encoder of the table fares, in the table's order. Blocks for up to 5 s for each
    /// one that was not tested yet.
    #[must_use]
    pub fn reports(&self) -> Vec<EncoderReport> {
        self.table.iter().map(|c| self.report(c)).collect()
    }

    fn report(&self, candidate: &Candidate) -> EncoderReport {
        // Held while testing: two at once on one driver prove nothing.
        let mut known = self.known.lock();
        if let Some(report) = known.iter().find(|r| r.name == candidate.name) {
            return report.clone();
        }
        let report = (self.probe)(candidate);
        tracing::info!(encoder = %report.name, works = report.works, reason = %report.reason, "encoder tested");
        known.push(report.clone());
        report
    }

    /// The encoder to use: the chosen one, or the first that works.
    ///
    /// # Errors
    /// [`EncodeError::Unusable`] if the chosen one does not work, [`EncodeError::NoneWorks`].
    pub fn choose(&self, wanted: Option<&str>) -> Result<EncoderReport, EncodeError> {
        if let Some(name) = wanted {
            let Some(candidate) = self.table.iter().find(|c| c.name == name) else {
                let reason = "it is not among the encoders for this system.".into();
                return Err(EncodeError::Unusable { name: name.into(), reason });
            };
            let report = self.report(candidate);
            return match report.works {
                true => Ok(report),
                false => Err(EncodeError::Unusable { name: report.name, reason: report.reason }),
            };
        }
        self.table.iter().map(|c| self.report(c)).find(|r| r.works).ok_or(EncodeError::NoneWorks)
    }

    /// Takes an encoder out, because it failed while it ran.
    pub fn failed(&self, name: &str, reason: &str) {
        if let Some(report) = self.known.lock().iter_mut().find(|r| r.name == name) {
            report.works = false;
            report.reason = format!("It failed while it ran: {reason}");
        }
    }

    /// The first software encoder that works, to fall back on.
    #[must_use]
    pub fn software(&self) -> Option<EncoderReport> {
        self.table.iter().filter(|c| !c.hardware).map(|c| self.report(c)).find(|r| r.works)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const GPU: Candidate = Candidate { name: "h264_gpu", label: "A card", hardware: true };
    const SOFT: Candidate = Candidate { name: "libx264", label: "x264", hardware: false };

    fn report(c: &Candidate, works: bool) -> EncoderReport {
        let reason = if works { String::new() } else { "It is broken.".into() };
        EncoderReport { name: c.name.into(), label: c.label.into(), hardware: c.hardware, works, reason }
    }

    fn shell(script: &str) -> ProbeCommand {
        ProbeCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    #[test]
    fn the_first_that_works_is_taken_and_each_is_tested_once() {
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        let encoders = Encoders::with(vec![GPU, SOFT], move |c| {
            counted.fetch_add(1, Ordering::SeqCst);
            report(c, !c.hardware)
        });
        assert_eq!(encoders.choose(None).unwrap().name, "libx264");
        assert_eq!(encoders.reports().len(), 2);
        assert_eq!(count.load(Ordering::SeqCst), 2);
        let refused = encoders.choose(Some("h264_gpu")).unwrap_err().to_string();
        assert!(refused.contains("It is broken."), "{refused}");
        assert!(encoders.choose(Some("h264_other")).is_err());
        encoders.failed("libx264", "boom");
        assert_eq!(encoders.choose(None), Err(EncodeError::NoneWorks));
    }

    #[test]
    fn a_process_that_crashes_hangs_or_chatters_is_told_apart() {
        let crashed = shell("kill -SEGV $$").probe(&GPU, LIMIT);
        assert!(
            !crashed.works && crashed.reason.contains("crashed") && crashed.reason.contains("signal: 11"),
            "{crashed:?}"
        );
        let hung = shell("exec sleep 60").probe(&GPU, Duration::from_millis(200));
        assert!(!hung.works && hung.reason.contains("no answer"), "{hung:?}");
        let missing = ProbeCommand { program: "/nonexistent".into(), arguments: vec![] }.probe(&GPU, LIMIT);
        assert!(!missing.works && missing.reason.contains("could not be started"), "{missing:?}");
        let json = serde_json::to_string(&report(&GPU, true)).unwrap();
        let fine = shell(&format!("echo driver says hello; echo '{json}'")).probe(&GPU, LIMIT);
        assert!(fine.works && fine.label == "A card");
    }

    #[test]
    fn this_process_can_prove_x264() {
        let report = run_probe("libx264");
        assert!(report.works && !report.hardware, "{report:?}");
        let missing = run_probe("h264_missing");
        assert!(!missing.works && missing.reason.ends_with('.'), "{missing:?}");
    }
}
