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
use mujian_protocol::{EncoderFault, WallTime};
use parking_lot::Mutex;

use super::{EncodeError, Memory};
use crate::problem;

/// Time that one encoder has for its test.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Tests one encoder in this process. The hidden subcommand `worker probe-encoder NAME` prints the
/// report as one line of JSON.
#[must_use]
pub fn run_probe(name: &str) -> EncoderReport {
    let known = for_this_machine().into_iter().find(|c| c.name == name);
    let (label, hardware) = known.map_or((name, false), |c| (c.label, c.hardware));
    report(name, label, hardware, selftest::run(name).err().map(|e| problem::fault(&e)))
}

fn report(name: &str, label: &str, hardware: bool, fault: Option<EncoderFault>) -> EncoderReport {
    let reason = fault.as_ref().map(ToString::to_string).unwrap_or_default();
    EncoderReport { name: name.into(), label: label.into(), hardware, works: fault.is_none(), reason, fault }
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
        let failed = |fault| report(candidate.name, candidate.label, candidate.hardware, Some(fault));
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(candidate.name)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(e) => return failed(EncoderFault::Untested { reason: e.to_string() }),
        };
        let Some(stdout) = child.stdout.take() else {
            return failed(EncoderFault::Untested { reason: "it has no output".into() });
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
            return failed(EncoderFault::Hung { seconds: limit.as_secs() });
        };
        match text.lines().rev().find_map(|l| serde_json::from_str::<EncoderReport>(l).ok()) {
            Some(report) => EncoderReport { label: candidate.label.into(), hardware: candidate.hardware, ..report },
            None => failed(EncoderFault::Crashed { how: status.map_or_else(|e| e.to_string(), |s| s.to_string()) }),
        }
    }
}

type Probe = dyn Fn(&Candidate) -> EncoderReport + Send + Sync;

/// The encoders of this machine, tested once and remembered.
#[derive(Clone)]
pub struct Encoders {
    table: Arc<[Candidate]>,
    probe: Arc<Probe>,
    known: Arc<Mutex<Known>>,
    /// Held while testing: two at once on one driver prove nothing.
    testing: Arc<Mutex<()>>,
    memory: Option<Memory>,
}

#[derive(Default)]
struct Known {
    reports: Vec<EncoderReport>,
    /// Those that failed while they ran: a test that goes well does not bring them back.
    ruined: Vec<String>,
    /// When they were tested, if that was by an earlier process.
    remembered: Option<WallTime>,
}

impl Known {
    fn find(&self, name: &str) -> Option<&EncoderReport> {
        self.reports.iter().find(|r| r.name == name)
    }

    fn take(&mut self, report: EncoderReport) {
        if !self.ruined.contains(&report.name) {
            self.reports.retain(|r| r.name != report.name);
            self.reports.push(report);
        }
    }
}

/// What is remembered is believed for so long before it is tested again, in the background.
const FRESH: Duration = Duration::from_secs(24 * 3600);

impl Encoders {
    /// The table for this machine, tested by a command.
    #[must_use]
    pub fn new(command: ProbeCommand) -> Self {
        Self::with(for_this_machine(), move |c| command.probe(c, LIMIT))
    }

    /// Another table and another way to test, for tests.
    #[must_use]
    pub fn with(table: Vec<Candidate>, probe: impl Fn(&Candidate) -> EncoderReport + Send + Sync + 'static) -> Self {
        Self {
            table: table.into(),
            probe: Arc::new(probe),
            known: Arc::default(),
            testing: Arc::default(),
            memory: None,
        }
    }

    /// The same, which knows what an earlier process found out, if the machine is the same.
    #[must_use]
    pub fn remembering(mut self, memory: Option<Memory>, now: WallTime) -> Self {
        if let Some((at, reports)) = memory.as_ref().and_then(Memory::read).filter(|(at, _)| *at <= now) {
            let names: Vec<&str> = self.table.iter().map(|c| c.name).collect();
            let mut known = self.known.lock();
            known.reports = reports.into_iter().filter(|r| names.contains(&r.name.as_str())).collect();
            known.remembered = Some(at);
        }
        self.memory = memory;
        self
    }

    /// Tests what is not known, or was found out too long ago, and writes it down. Blocks as
    /// [`Encoders::reports`]; others meanwhile go by what is remembered.
    pub fn refresh(&self, now: WallTime) {
        let fresh = {
            let known = self.known.lock();
            let young = |at: WallTime| now.millis().saturating_sub(at.millis()) < FRESH.as_millis() as i64;
            known.remembered.is_some_and(young) && self.table.iter().all(|c| known.find(c.name).is_some())
        };
        if fresh {
            return;
        }
        let again = self.known.lock().remembered.is_some();
        for candidate in &*self.table {
            if again {
                self.test(candidate);
            } else {
                self.report(candidate);
            }
        }
        let reports: Vec<EncoderReport> = {
            let known = self.known.lock();
            known.reports.iter().filter(|r| !known.ruined.contains(&r.name)).cloned().collect()
        };
        if let Some(memory) = &self.memory
            && let Err(error) = memory.write(now, &reports)
        {
            tracing::warn!(%error, "how the encoders fared could not be written down");
        }
    }

    /// How every encoder of the table fares, in the table's order. Blocks for up to 5 s for each
    /// one that was not tested yet.
    #[must_use]
    pub fn reports(&self) -> Vec<EncoderReport> {
        self.table.iter().map(|c| self.report(c)).collect()
    }

    fn report(&self, candidate: &Candidate) -> EncoderReport {
        if let Some(report) = self.known.lock().find(candidate.name) {
            return report.clone();
        }
        let _turn = self.testing.lock();
        // Somebody else may have tested it meanwhile.
        if let Some(report) = self.known.lock().find(candidate.name) {
            return report.clone();
        }
        self.test_now(candidate)
    }

    fn test(&self, candidate: &Candidate) {
        let _turn = self.testing.lock();
        self.test_now(candidate);
    }

    fn test_now(&self, candidate: &Candidate) -> EncoderReport {
        let report = (self.probe)(candidate);
        tracing::info!(encoder = %report.name, works = report.works, reason = %report.reason, "encoder tested");
        self.known.lock().take(report.clone());
        report
    }

    /// The encoder to use: the chosen one, or the first that works.
    ///
    /// # Errors
    /// [`EncodeError::Unusable`] if the chosen one does not work, [`EncodeError::NoneWorks`].
    pub fn choose(&self, wanted: Option<&str>) -> Result<EncoderReport, EncodeError> {
        if let Some(name) = wanted {
            let Some(candidate) = self.table.iter().find(|c| c.name == name) else {
                return Err(EncodeError::Unusable { name: name.into(), why: EncoderFault::Unlisted });
            };
            let report = self.report(candidate);
            return match report.fault.clone() {
                None => Ok(report),
                Some(why) => Err(EncodeError::Unusable { name: report.name, why }),
            };
        }
        self.table.iter().map(|c| self.report(c)).find(|r| r.works).ok_or(EncodeError::NoneWorks)
    }

    /// Takes an encoder out, because it failed while it ran.
    pub fn failed(&self, name: &str, why: &EncoderFault) {
        let mut known = self.known.lock();
        if let Some(found) = known.reports.iter_mut().find(|r| r.name == name) {
            let reason = why.to_string().trim_end_matches('.').to_owned();
            *found = report(&found.name, &found.label, found.hardware, Some(EncoderFault::Ruined { reason }));
            known.ruined.push(name.to_owned());
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

    const BOOM: EncoderFault = EncoderFault::Unstreamable;

    fn report(c: &Candidate, works: bool) -> EncoderReport {
        let broken = EncoderFault::Refused { reason: "It is broken".into() };
        super::report(c.name, c.label, c.hardware, (!works).then_some(broken))
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
        assert!(refused.contains("It is broken"), "{refused}");
        assert!(encoders.choose(Some("h264_other")).is_err());
        encoders.failed("libx264", &BOOM);
        assert_eq!(encoders.choose(None), Err(EncodeError::NoneWorks));
    }

    #[test]
    fn what_an_earlier_process_found_out_is_known_at_once_and_tested_again_a_day_later() {
        let dir = tempfile::tempdir().unwrap();
        let day = i64::try_from(FRESH.as_millis()).unwrap();
        let count = Arc::new(AtomicU32::new(0));
        let encoders = |works: bool, now: WallTime| {
            let counted = Arc::clone(&count);
            Encoders::with(vec![GPU, SOFT], move |c| {
                counted.fetch_add(1, Ordering::SeqCst);
                report(c, works || !c.hardware)
            })
            .remembering(Some(Memory::in_folder(dir.path())), now)
        };
        encoders(true, WallTime(0)).refresh(WallTime(0));
        assert_eq!(count.load(Ordering::SeqCst), 2);
        // Known without a test; and fresh enough.
        let later = encoders(false, WallTime(day - 1));
        assert_eq!(later.choose(None).unwrap().name, "h264_gpu");
        later.refresh(WallTime(day - 1));
        assert_eq!(count.load(Ordering::SeqCst), 2);
        // A day later it is found that the card is gone.
        let later = encoders(false, WallTime(day));
        assert_eq!(later.choose(None).unwrap().name, "h264_gpu");
        later.refresh(WallTime(day));
        assert_eq!((later.choose(None).unwrap().name.as_str(), count.load(Ordering::SeqCst)), ("libx264", 4));
        // One that failed while it ran is not brought back by a test that goes well.
        let later = encoders(true, WallTime(3 * day));
        later.failed("libx264", &BOOM);
        later.refresh(WallTime(3 * day));
        assert!(later.choose(Some("libx264")).is_err());
        // And is none of what is written down.
        assert!(encoders(false, WallTime(3 * day)).choose(Some("libx264")).is_ok());
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
