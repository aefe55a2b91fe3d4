//! A window on a disk in memory, with a clock and a listener that the test holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use collector_model::{
    Append, Appended, Clock, Forward, Labels, Matcher, RefSample, Select, Selection, SeriesRef, Unbounded,
};
use collector_tsdb::{Options, Window};
use prometheus_client::registry::Registry;

use crate::fake_disk::FakeDisk;

/// Where the clock of a test starts.
pub const START: i64 = 1_700_000_000_000;

/// All samples by series, with the bits of their values.
pub type Content = BTreeMap<String, Vec<(i64, u64)>>;

pub struct SetClock(AtomicI64);

impl SetClock {
    pub fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::SeqCst);
    }

    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Default)]
pub struct Ear {
    pub heard: Mutex<Vec<(String, i64, u64)>>,
    pub forgotten: Mutex<BTreeSet<u64>>,
}

impl Forward for Ear {
    fn forward(&self, batch: &[RefSample], labels: &dyn Fn(SeriesRef) -> Option<Labels>) {
        let mut heard = self.heard.lock().unwrap();
        for sample in batch {
            let labels = labels(sample.series).expect("a sample of a series without labels");
            heard.push((labels.to_string(), sample.timestamp_ms, sample.value.to_bits()));
        }
    }

    fn forget(&self, series: &[SeriesRef]) {
        self.forgotten.lock().unwrap().extend(series.iter().map(|s| s.0));
    }
}

pub struct Stand {
    pub disk: FakeDisk,
    pub clock: Arc<SetClock>,
    pub ear: Arc<Ear>,
    pub registry: Registry,
    pub window: Arc<Window>,
}

/// Chunks are closed by their number of samples alone, and checkpoints are made when a test asks for them.
pub fn options() -> Options {
    Options { chunk_bytes: 0, checkpoint_interval_ms: i64::MAX, ..Options::new("/data") }
}

impl Stand {
    pub fn new() -> Self {
        Self::on(FakeDisk::default(), options(), START)
    }

    pub fn on(disk: FakeDisk, options: Options, now_ms: i64) -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(now_ms)));
        let ear = Arc::new(Ear::default());
        let mut registry = Registry::default();
        let (c, e) = (Arc::clone(&clock), Arc::clone(&ear));
        let window = Window::open_on(Arc::new(disk.clone()), options, c, e, &mut registry).unwrap();
        Self { disk, clock, ear, registry, window }
    }

    /// Another process over what this one's death would leave.
    pub fn after_crash(&self, options: Options) -> Self {
        Self::on(self.disk.image(), options, self.clock.now_ms())
    }

    pub fn series(&self, text: &str) -> SeriesRef {
        self.window.resolve(&labels(text)).unwrap()
    }

    pub fn append(&self, samples: &[(&str, i64, f64)]) -> Appended {
        let batch: Vec<_> = samples
            .iter()
            .map(|(series, timestamp_ms, value)| RefSample {
                series: self.series(series),
                timestamp_ms: *timestamp_ms,
                value: *value,
            })
            .collect();
        self.window.append(&batch).unwrap()
    }

    pub fn content(&self) -> Content {
        self.select(i64::MIN, i64::MAX, &[Matcher::equal("nothing", "")])
    }

    pub fn select(&self, min_ms: i64, max_ms: i64, matchers: &[Matcher]) -> Content {
        let selection = Selection { min_ms, max_ms, matchers: matchers.to_vec() };
        let found = self.window.select(&selection, &Unbounded).unwrap();
        assert!(found.is_sorted_by(|a, b| a.labels < b.labels));
        let bits = |s: &collector_model::Sample| (s.timestamp_ms, s.value.to_bits());
        found.iter().map(|s| (s.labels.to_string(), s.samples.iter().map(bits).collect())).collect()
    }

    /// The value of a metric of the window itself.
    pub fn metric(&self, name: &str) -> f64 {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        let line = page.lines().find(|l| l.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{page}")).split(' ').next_back().unwrap().parse().unwrap()
    }
}

/// Labels from `name{label=value,…}` without quotes.
pub fn labels(text: &str) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, ""));
    let rest = rest.trim_end_matches('}').replace('"', "");
    let pairs = rest.split(',').filter_map(|pair| pair.split_once('='));
    Labels::from_pairs(pairs.map(|(n, v)| (n.trim(), v)).chain([("__name__", name)]))
}

/// What `content` gives for these samples of one series.
pub fn one(series: &str, samples: impl IntoIterator<Item = (i64, f64)>) -> Content {
    let samples: Vec<_> = samples.into_iter().map(|(t, v)| (t, v.to_bits())).collect();
    BTreeMap::from([(series.to_owned(), samples)])
}
