//! What the window counts about itself, under Prometheus's names where Prometheus has one.

use std::sync::atomic::AtomicU64;

use collector_model::Rejection;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reason {
    pub(crate) reason: &'static str,
}

/// The handles of the crate's metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) series: Gauge,
    pub(crate) chunks: Gauge,
    pub(crate) min_time: Gauge,
    pub(crate) max_time: Gauge,
    pub(crate) memory_bytes: Gauge,
    pub(crate) series_created: Counter,
    pub(crate) series_removed: Counter,
    pub(crate) series_not_found: Counter,
    pub(crate) samples_appended: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) out_of_bound: Counter,
    pub(crate) rejected: Family<Reason, Counter>,
    pub(crate) not_kept: Family<Reason, Counter>,
    pub(crate) chunks_created: Counter,
    pub(crate) chunk_bytes: Gauge,
    pub(crate) chunk_corruptions: Counter,
    pub(crate) log_segment: Gauge,
    pub(crate) log_bytes: Gauge,
    pub(crate) log_unwritten_bytes: Gauge,
    pub(crate) log_corruptions: Counter,
    pub(crate) log_writes_failed: Counter,
    pub(crate) log_truncations: Counter,
    pub(crate) checkpoints: Counter,
    pub(crate) checkpoints_failed: Counter,
    pub(crate) time_retentions: Counter,
    pub(crate) size_retentions: Counter,
    pub(crate) replay_seconds: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// Makes the handles and enters them in a registry without prefix.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        let gauges: [(&str, &str, &Gauge); 9] = [
            ("prometheus_tsdb_head_series", "Series held in the window", &m.series),
            ("prometheus_tsdb_head_chunks", "Chunks held in the window, open and closed", &m.chunks),
            ("prometheus_tsdb_head_min_time", "Time stamp of the oldest sample held, in milliseconds", &m.min_time),
            ("prometheus_tsdb_head_max_time", "Time stamp of the newest sample held, in milliseconds", &m.max_time),
            ("atalaia_tsdb_memory_bytes", "Memory that the series take, reckoned from their parts", &m.memory_bytes),
            ("prometheus_tsdb_head_chunks_storage_size_bytes", "Bytes of the chunk files", &m.chunk_bytes),
            ("prometheus_tsdb_wal_segment_current", "Number of the log segment being written", &m.log_segment),
            ("prometheus_tsdb_wal_storage_size_bytes", "Bytes of the write-ahead log", &m.log_bytes),
            (
                "atalaia_tsdb_wal_unwritten_bytes",
                "Bytes of log that the disk refuses at present",
                &m.log_unwritten_bytes,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register(
            "prometheus_tsdb_data_replay_duration_seconds",
            "How long it took to read the directory at the start",
            m.replay_seconds.clone(),
        );
        let counters: [(&str, &str, &Counter); 15] = [
            ("prometheus_tsdb_head_series_created", "Series made", &m.series_created),
            ("prometheus_tsdb_head_series_removed", "Series let go", &m.series_removed),
            ("prometheus_tsdb_head_series_not_found", "Samples for a series that was let go", &m.series_not_found),
            ("prometheus_tsdb_head_samples_appended", "Samples taken", &m.samples_appended),
            (
                "prometheus_tsdb_out_of_order_samples",
                "Samples refused as older than their series' newest",
                &m.out_of_order,
            ),
            ("prometheus_tsdb_out_of_bound_samples", "Samples refused as too old or too far ahead", &m.out_of_bound),
            ("prometheus_tsdb_head_chunks_created", "Chunks closed", &m.chunks_created),
            ("prometheus_tsdb_mmap_chunk_corruptions", "Damaged chunks and chunk files met", &m.chunk_corruptions),
            ("prometheus_tsdb_wal_corruptions", "Damaged places met in the log", &m.log_corruptions),
            ("prometheus_tsdb_wal_writes_failed", "Writes to the log that failed", &m.log_writes_failed),
            ("prometheus_tsdb_wal_truncations", "Times that old log was removed", &m.log_truncations),
            ("prometheus_tsdb_checkpoint_creations", "Checkpoints begun", &m.checkpoints),
            ("prometheus_tsdb_checkpoint_creations_failed", "Checkpoints that failed", &m.checkpoints_failed),
            ("prometheus_tsdb_time_retentions", "Chunk files removed for their age", &m.time_retentions),
            ("prometheus_tsdb_size_retentions", "Chunk files removed for room", &m.size_retentions),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register("atalaia_tsdb_rejected_samples", "Samples refused, by reason", m.rejected.clone());
        registry.register(
            "atalaia_tsdb_not_kept_samples",
            "Samples that were taken and could not be kept, by reason",
            m.not_kept.clone(),
        );
        m
    }

    /// Counts a refused sample.
    pub(crate) fn count_rejection(&self, rejection: Rejection) {
        self.rejected.get_or_create(&Reason { reason: rejection.as_str() }).inc();
        match rejection {
            Rejection::OutOfOrder => self.out_of_order.inc(),
            Rejection::OutOfBounds => self.out_of_bound.inc(),
            Rejection::UnknownSeries => self.series_not_found.inc(),
            _ => return,
        };
    }

    /// Counts samples that were taken and then lost.
    pub(crate) fn count_not_kept(&self, reason: &'static str, samples: u64) {
        self.not_kept.get_or_create(&Reason { reason }).inc_by(samples);
    }
}
