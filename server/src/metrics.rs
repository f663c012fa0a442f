//! Figures for Prometheus. One recorder for the process, however many servers run in it.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Time between two rounds of [`upkeep`].
const UPKEEP: std::time::Duration = std::time::Duration::from_secs(5);

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs the recorder, once. None: the program that hosts the server has one of its own.
fn handle() -> Option<&'static PrometheusHandle> {
    HANDLE
        .get_or_init(|| {
            let handle = PrometheusBuilder::new().install_recorder();
            match handle {
                Ok(handle) => {
                    describe();
                    Some(handle)
                }
                Err(error) => {
                    tracing::warn!(%error, "Metrics are recorded by somebody else; /metrics stays empty.");
                    None
                }
            }
        })
        .as_ref()
}

/// Makes sure that figures are recorded from now on.
pub(crate) fn install() {
    handle();
}

/// Histograms gather samples until somebody folds them in; where nobody asks for the figures they would grow for ever.
pub(crate) async fn upkeep() {
    let mut round = tokio::time::interval(UPKEEP);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        if let Some(handle) = handle() {
            handle.run_upkeep();
        }
    }
}

/// The figures in Prometheus's text format.
pub(crate) fn render() -> String {
    let Some(handle) = handle() else { return String::new() };
    handle.run_upkeep();
    handle.render()
}

fn describe() {
    metrics::describe_gauge!("mujian_http_connections", "HTTP connections that are open, viewers included.");
    metrics::describe_counter!(
        "mujian_http_connections_refused_total",
        "Connections refused because their address has too many."
    );
    metrics::describe_gauge!("mujian_room_sockets", "Room sockets that are open.");
    metrics::describe_gauge!("mujian_rooms_active", "Rooms that are held in memory.");
    metrics::describe_gauge!("mujian_ingest_connections", "RTMP connections that are open.");
    metrics::describe_counter!("mujian_ingest_accepted_total", "Publishers that were let in.");
    metrics::describe_counter!(
        "mujian_ingest_refused_total",
        "RTMP connections and publishers that were refused, by reason."
    );
    metrics::describe_counter!("mujian_ingest_skipped_total", "Broken payloads of publishers that were left out.");
    metrics::describe_counter!(
        "mujian_ingest_dropped_total",
        "Frames left out because they came too late after a stall."
    );
    metrics::describe_gauge!("mujian_relays_live", "Further addresses that rooms are restreamed to now.");
    metrics::describe_counter!("mujian_relay_failures_total", "Attempts to restream that failed.");
    metrics::describe_counter!("mujian_relay_bytes_total", "Bytes that were restreamed.");
    metrics::describe_counter!(
        "mujian_relay_skipped_total",
        "Pictures left out because a further address did not keep up."
    );
    metrics::describe_counter!("mujian_http_requests_total", "Calls under /api/v1, by status.");
    metrics::describe_histogram!("mujian_http_request_seconds", "Time that calls under /api/v1 took.");
    metrics::describe_counter!("mujian_room_events_total", "Durable room events.");
    metrics::describe_counter!(
        "mujian_room_sockets_closed_slow_total",
        "Room sockets closed because they fell behind."
    );
    metrics::describe_histogram!("mujian_store_group_size", "Writes that shared one commit.");
}
