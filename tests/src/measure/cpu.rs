//! Processor time and memory of a program with all it started, from `/proc` (proc(5)).

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::wait;

/// Processor time of a process and its living descendants, and of those it has waited for.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    at: Instant,
    used: Duration,
}

/// Reads the processor time of a process tree.
///
/// # Errors
///
/// The process is gone.
pub fn read(root: u32) -> Result<Reading> {
    let ticks_per_second = 100; // USER_HZ: 100 on every Linux that people run.
    let mut ticks = 0;
    for pid in tree(root)? {
        if let Some(fields) = stat(pid) {
            // utime, stime, cutime, cstime are fields 14 to 17; `fields` begins with the third.
            ticks += fields[11..15].iter().filter_map(|f| f.parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok(Reading { at: Instant::now(), used: Duration::from_millis(ticks * 1000 / ticks_per_second) })
}

impl Reading {
    /// Processors busy on average between two readings: 1.0 is one whole core.
    #[must_use]
    pub fn cores_since(&self, before: &Self) -> f64 {
        let wall = self.at.duration_since(before.at).as_secs_f64();
        if wall > 0.0 { self.used.saturating_sub(before.used).as_secs_f64() / wall } else { 0.0 }
    }
}

/// Time of all processors of the machine, in ticks: what the host of a virtual machine gave to others, and all of it.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    stolen: u64,
    all: u64,
}

/// Reads how much of its processors' time the machine did not get.
///
/// # Errors
///
/// There is no `/proc/stat`, or not as proc(5) says.
pub fn host() -> Result<Host> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<u64> = text.split_whitespace().skip(1).take(8).filter_map(|f| f.parse().ok()).collect();
    Ok(Host { stolen: *fields.get(7).context("no stolen time")?, all: fields.iter().sum() })
}

impl Host {
    /// The share of the time between two readings that others got, from 0 to 1: figures of a time with much of it are
    /// not the program's.
    #[must_use]
    pub fn stolen_since(&self, before: &Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        if all > 0 { self.stolen.saturating_sub(before.stolen) as f64 / all as f64 } else { 0.0 }
    }
}

/// Resident memory of one process that is its own (anonymous pages), in bytes.
///
/// # Errors
///
/// The process is gone.
pub fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).context("no RssAnon")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// A process and its descendants.
fn tree(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        if let Some(parent) = stat(pid).and_then(|f| f[1].parse::<u32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        next += 1;
    }
    Ok(found)
}

/// Waits until a server has drawn its slates, which it does once for a data folder, at the lowest priority: until none of
/// the processes under `root` was a worker for twenty seconds: the first ones wait for a moment of rest.
///
/// # Errors
///
/// The process is gone, or they are not done within five minutes.
pub async fn prepared(root: u32) -> Result<()> {
    let mut quiet = Instant::now();
    wait::until("the slates", Duration::from_secs(300), || {
        let workers = tree(root).map(|pids| pids.into_iter().filter(|pid| is_worker(*pid)).count());
        if !matches!(workers, Ok(0)) {
            quiet = Instant::now();
        }
        let over = quiet.elapsed() > Duration::from_secs(20);
        async move { workers.map(|_| over.then_some(())) }
    })
    .await
}

fn is_worker(pid: u32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|b| *b == 0).nth(1) == Some(b"worker")
}

/// The fields of `/proc/PID/stat` from the third on; the second, in brackets, may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<String> = text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect();
    (fields.len() > 20).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen() {
        let me = std::process::id();
        let before = read(me).unwrap();
        let began = Instant::now();
        let mut x = 1u64;
        while began.elapsed() < Duration::from_millis(300) {
            x = std::hint::black_box(x.wrapping_mul(31).rotate_left(3));
        }
        assert!(read(me).unwrap().cores_since(&before) > 0.2);
        assert!(memory(me).unwrap() > 100_000);
    }
}
