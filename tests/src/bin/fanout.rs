//! Fan-out: `fanout run` measures it alone; `watch` and `loop` are the viewers and the reference, which
//! `run` and `bench` start as processes of their own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use mujian_tests::measure::fanout::{self, Plan, Wire};
use mujian_tests::measure::table::{HEAD, write};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Subcommand)]
enum Work {
    /// Measure, print the table, write JSON.
    Run {
        /// How many viewers, once for each number.
        #[arg(long, value_delimiter = ',', default_value = "100,400,1000")]
        viewers: Vec<usize>,
        /// Seconds from the last join to the beginning of measuring.
        #[arg(long, default_value_t = 10.0)]
        settle: f64,
        /// Seconds of measuring.
        #[arg(long, default_value_t = 15.0)]
        measure: f64,
        /// Seconds for the ring to fill before memory is read.
        #[arg(long, default_value_t = 60.0)]
        fill: f64,
        /// Where the figures are written.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Many viewers.
    Watch {
        /// Where to connect to.
        #[arg(long)]
        address: SocketAddr,
        /// The room; without one, nothing is asked for.
        #[arg(long)]
        room: Option<String>,
        /// flv or mp4.
        #[arg(long)]
        wire: Wire,
        /// How many.
        #[arg(long)]
        count: usize,
        /// Seconds.
        #[arg(long)]
        settle: f64,
        /// Seconds.
        #[arg(long)]
        measure: f64,
    },
    /// The reference.
    Loop {
        /// The clip.
        #[arg(long)]
        clip: PathBuf,
        /// flv or mp4.
        #[arg(long)]
        wire: Wire,
        /// Seconds.
        #[arg(long)]
        seconds: u64,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().work {
        Work::Run { viewers, settle, measure, fill, out } => {
            let seconds = Duration::from_secs_f64;
            let plan = Plan {
                viewers,
                settle: seconds(settle),
                measure: seconds(measure),
                fill: seconds(fill),
                ..Plan::default()
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let rows = runtime.block_on(fanout::rows(&plan))?;
            println!("{HEAD}");
            rows.iter().for_each(|row| println!("{}", row.line()));
            out.map_or(Ok(()), |out| write(&out, &rows))
        }
        Work::Watch { address, room, wire, count, settle, measure } => fanout::run_viewers(
            address,
            room.as_deref(),
            wire,
            count,
            Duration::from_secs_f64(settle),
            Duration::from_secs_f64(measure),
        ),
        Work::Loop { clip, wire, seconds } => fanout::run_reference(&clip, wire, Duration::from_secs(seconds)),
    }
}
