//! What is counted about viewers.

use std::sync::LazyLock;

use metrics::{Counter, Gauge};

use super::viewer::Wire;

/// The figures of one protocol. Looked up once: the macros cost more than a write may.
pub(super) struct Figures {
    pub(super) viewers: Gauge,
    pub(super) bytes: Counter,
    pub(super) skips: Counter,
    pub(super) skipped: Counter,
}

/// Bytes that went to viewers and are not in the figures yet: counted once for many writes.
#[derive(Default)]
pub(super) struct Tally {
    flv: u64,
    mp4: u64,
}

impl Tally {
    pub(super) fn add(&mut self, wire: &Wire, bytes: usize) {
        match wire {
            Wire::Flv => self.flv += bytes as u64,
            Wire::WebSocket { .. } => self.mp4 += bytes as u64,
        }
    }

    pub(super) fn count(self) {
        for (figures, bytes) in [(Figures::flv(), self.flv), (Figures::mp4(), self.mp4)] {
            if bytes > 0 {
                figures.bytes.increment(bytes);
            }
        }
    }
}

impl Figures {
    fn new(protocol: &'static str) -> Self {
        metrics::describe_gauge!("mujian_viewers", "Readers of programmes, by protocol.");
        metrics::describe_counter!("mujian_egress_bytes_total", "Bytes written to viewers, by protocol.");
        metrics::describe_counter!("mujian_egress_skips_total", "How often a slow viewer skipped to a key frame.");
        metrics::describe_counter!("mujian_egress_skipped_chunks_total", "Chunks that slow viewers were not sent.");
        Self {
            viewers: metrics::gauge!("mujian_viewers", "protocol" => protocol),
            bytes: metrics::counter!("mujian_egress_bytes_total", "protocol" => protocol),
            skips: metrics::counter!("mujian_egress_skips_total", "protocol" => protocol),
            skipped: metrics::counter!("mujian_egress_skipped_chunks_total", "protocol" => protocol),
        }
    }

    pub(super) fn flv() -> &'static Self {
        static FLV: LazyLock<Figures> = LazyLock::new(|| Figures::new("http_flv"));
        &FLV
    }

    fn mp4() -> &'static Self {
        static MP4: LazyLock<Figures> = LazyLock::new(|| Figures::new("ws_mp4"));
        &MP4
    }

    pub(super) fn of(wire: &Wire) -> &'static Self {
        match wire {
            Wire::Flv => Self::flv(),
            Wire::WebSocket { .. } => Self::mp4(),
        }
    }
}
