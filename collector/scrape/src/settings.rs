//! What loops are told: by the manager for all, by the pool for its job, and for each target.

use std::sync::Arc;

use collector_http::HttpClient;
use collector_model::{Append, Clock};
use http::HeaderValue;
use parking_lot::Mutex;

use crate::ScrapeJob;
use crate::mapping::Mapping;
use crate::metrics::Metrics;
use crate::page::Scratch;
use crate::target::Target;

/// What all loops share.
pub(crate) struct Shared {
    pub(crate) append: Arc<dyn Append>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
    /// Seeds the hashes of series texts.
    pub(crate) text_seed: u64,
    /// Buffers that no scrape uses at the moment.
    pub(crate) scratches: Mutex<Vec<Scratch>>,
}

/// What the binary knows and the configuration does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The `User-Agent` header.
    pub user_agent: String,
    /// This machine's name. It takes the place of `localhost` in global URLs, and two collectors of different names
    /// scrape the same targets at different times.
    pub host_name: String,
}

/// Spare buffers that are kept; more come and go with the scrapes that need them at once.
const SPARE_SCRATCHES: usize = 16;

/// Buffers that grew beyond so many samples are not kept.
const SPARE_SAMPLES: usize = 100_000;

impl Shared {
    pub(crate) fn take_scratch(&self) -> Scratch {
        self.scratches.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give_scratch(&self, mut scratch: Scratch) {
        scratch.clear();
        let mut spare = self.scratches.lock();
        if spare.len() < SPARE_SCRATCHES && scratch.samples.capacity() <= SPARE_SAMPLES {
            spare.push(scratch);
        }
    }
}

/// What the loops of one job share.
#[derive(Debug)]
pub(crate) struct JobSettings {
    pub(crate) job: ScrapeJob,
    pub(crate) client: HttpClient,
    pub(crate) accept: HeaderValue,
    /// Spreads the targets over the interval, together with what each is.
    pub(crate) offset_seed: u64,
}

/// What one loop does until it is told otherwise.
#[derive(Clone, Debug)]
pub(crate) struct LoopSettings {
    pub(crate) job: Arc<JobSettings>,
    pub(crate) target: Arc<Target>,
    /// How many targets the pool has, when that is more than it may.
    pub(crate) too_many: Option<usize>,
}

impl LoopSettings {
    /// Whether a loop would notice no difference.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.job, &other.job) && self.target == other.target && self.too_many == other.too_many
    }

    pub(crate) fn mapping(&self) -> Mapping {
        let job = &self.job.job;
        Mapping {
            target: self.target.labels.clone(),
            honor_labels: job.honor_labels,
            rules: job.metric_relabel.clone(),
            limits: job.limits,
            validation: job.validation,
        }
    }
}

/// What the pool tells a loop.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Scrape like this.
    Run(LoopSettings),
    /// The target is gone: end its series once it is clear that nobody else goes on with them.
    Retire,
}
