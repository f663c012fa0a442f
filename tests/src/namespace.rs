//! A network of its own for one program: a virtual cable to the rest, made narrow by the kernel itself (tc's token
//! bucket). It needs rights that not every machine gives.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Result;
use tokio::process::Command;

use crate::process::run;

const SOON: Duration = Duration::from_secs(10);

/// See the module; it is gone when it is dropped.
pub struct Namespace {
    name: String,
    /// This end of the cable, where servers can listen for the program.
    pub here: Ipv4Addr,
}

impl Namespace {
    /// A new one whose cable carries so many kilobits a second out of it. None: this machine does not let us, or its
    /// kernel has no token bucket.
    pub async fn new(kbits: u32) -> Option<Self> {
        let pid = std::process::id();
        let [.., high, low] = (pid << 2).to_be_bytes();
        let (here, there) = (Ipv4Addr::new(10, 213, high, low | 1), Ipv4Addr::new(10, 213, high, low | 2));
        let made = Self { name: format!("mj{pid}"), here };
        let name = &made.name;
        // The cable's far end is called the same in each.
        let lines = [
            format!("ip netns add {name}"),
            format!("ip link add {name} type veth peer name line netns {name}"),
            format!("ip addr add {here}/30 dev {name}"),
            format!("ip link set {name} up"),
            format!("ip -n {name} addr add {there}/30 dev line"),
            format!("ip -n {name} link set line up"),
            format!("ip -n {name} link set lo up"),
            made.bucket("add", kbits),
        ];
        for line in &lines {
            if let Err(error) = words(line).await {
                eprintln!("No network of its own here: {error:#}");
                return None;
            }
        }
        Some(made)
    }

    /// From now on the cable carries so many kilobits a second out of it.
    ///
    /// # Errors
    ///
    /// tc refuses.
    pub async fn carries(&self, kbits: u32) -> Result<()> {
        words(&self.bucket("change", kbits)).await
    }

    /// What waits for the bucket waits for at most 300 ms, as in a router with a modest buffer.
    fn bucket(&self, verb: &str, kbits: u32) -> String {
        let name = &self.name;
        format!("ip netns exec {name} tc qdisc {verb} dev line root tbf rate {kbits}kbit burst 8kb latency 300ms")
    }

    /// The same command inside.
    #[must_use]
    pub fn inside(&self, command: &Command) -> Command {
        let command = command.as_std();
        let mut inner = Command::new("ip");
        inner.args(["netns", "exec", &self.name]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inner.env(name, value),
                None => inner.env_remove(name),
            };
        }
        inner
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for what in ["link", "netns"] {
            let _ = std::process::Command::new("ip").args([what, "del", &self.name]).output();
        }
    }
}

async fn words(line: &str) -> Result<()> {
    let mut words = line.split(' ');
    run(words.next().unwrap_or_default(), words, SOON).await.map(drop)
}
