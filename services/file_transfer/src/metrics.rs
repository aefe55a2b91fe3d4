//! What the service tells of itself beside requests, errors and durations.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::store::{Entry, Swept};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    reason: &'static str,
}

/// Why an upload became no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It brought nothing for too long.
    Stalled,
    /// It ended in the middle.
    CutOff,
    /// The form is not as it should be.
    Form,
    /// The name cannot be one of a file here.
    Name,
    /// It is larger than a file may be.
    TooLarge,
    /// The volume is full up to its reserve.
    NoRoom,
    /// The service could not do it.
    Failure,
}

impl Refused {
    const ALL: [Self; 7] =
        [Self::Stalled, Self::CutOff, Self::Form, Self::Name, Self::TooLarge, Self::NoRoom, Self::Failure];

    fn label(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::CutOff => "cut_off",
            Self::Form => "form",
            Self::Name => "name",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::Failure => "failure",
        }
    }
}

/// The instruments. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Bytes of files that came in, also of those that were refused in the end.
    pub received_bytes: Counter,
    /// Bytes of files that were handed to the network.
    pub sent_bytes: Counter,
    /// Uploads that became a file.
    pub stored: Counter,
    /// Files removed on request.
    pub deleted: Counter,
    refused: Family<RefusedLabels, Counter>,
    sweeps: Counter,
    swept: Counter,
    unfinished: Gauge,
    files: Gauge,
    files_bytes: Gauge,
    room_bytes: Gauge,
}

impl Metrics {
    /// Makes the instruments and shows them in the registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        // Known from the start: an increase from nothing is none to a rate.
        for reason in Refused::ALL {
            drop(metrics.of(reason));
        }
        let registry = registry.sub_registry_with_prefix("file_transfer");
        registry.register("received_bytes", "Bytes of files that came in", metrics.received_bytes.clone());
        registry.register("sent_bytes", "Bytes of files that went out", metrics.sent_bytes.clone());
        registry.register("stored_files", "Uploads that became a file", metrics.stored.clone());
        registry.register("deleted_files", "Files removed on request", metrics.deleted.clone());
        registry.register("refused_uploads", "Uploads that became no file, by reason", metrics.refused.clone());
        registry.register("sweeps", "Searches for leftovers of dead replicas", metrics.sweeps.clone());
        registry.register("swept_uploads", "Leftovers of dead replicas removed", metrics.swept.clone());
        registry.register(
            "unfinished_uploads",
            "Uploads of all replicas under way at the last sweep",
            metrics.unfinished.clone(),
        );
        registry.register("files", "Files on the volume at the last sweep", metrics.files.clone());
        registry.register(
            "files_bytes",
            "Bytes of the files on the volume at the last sweep",
            metrics.files_bytes.clone(),
        );
        registry.register(
            "room_bytes",
            "Bytes that uploads could take at the last sweep without touching the reserve",
            metrics.room_bytes.clone(),
        );
        metrics
    }

    /// Counts an upload that became no file.
    pub fn refused(&self, reason: Refused) {
        self.of(reason).inc();
    }

    fn of(&self, reason: Refused) -> Counter {
        self.refused.get_or_create_owned(&RefusedLabels { reason: reason.label() })
    }

    /// Tells what a sweep found: leftovers, files, room.
    pub fn swept(&self, swept: Swept, files: &[Entry], room: u64) {
        let gauge = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.sweeps.inc();
        self.swept.inc_by(swept.removed);
        self.unfinished.set(gauge(swept.kept));
        self.files.set(gauge(files.len() as u64));
        self.files_bytes.set(gauge(files.iter().map(|file| file.bytes).sum()));
        self.room_bytes.set(gauge(room));
    }
}
