//! From pages to requests: what a scrape of them would have stored, stale markers included.

use std::collections::HashMap;
use std::time::Instant;

use agent_exposition::{Page, STALE, TargetLabels, push_time_series};
use bytes::Bytes;

use super::queue::Batch;

/// Samples in a request at most, as in Prometheus.
const MAX_SAMPLES: u64 = 2000;

/// Turns pages into requests, round after round, with the same memory.
#[derive(Debug)]
pub(crate) struct Rounds {
    labels: TargetLabels,
    /// Every series of the last round, and the round that had it last.
    series: HashMap<Box<[u8]>, u64>,
    round: u64,
    timestamp_ms: i64,
    taken: Instant,
    body: Vec<u8>,
    samples: u64,
    snappy: snap::raw::Encoder,
    compressed: Vec<u8>,
    batches: Vec<Batch>,
}

impl Rounds {
    pub(crate) fn new(labels: TargetLabels) -> Self {
        Self {
            labels,
            series: HashMap::new(),
            round: 0,
            timestamp_ms: 0,
            taken: Instant::now(),
            body: Vec::new(),
            samples: 0,
            snappy: snap::raw::Encoder::new(),
            compressed: Vec::new(),
            batches: Vec::new(),
        }
    }

    /// Begins a round of pages that are scraped at this time, in milliseconds since 1970, and gives its number. What was
    /// added to one that has not been finished is forgotten.
    pub(crate) fn begin(&mut self, timestamp_ms: i64) -> u64 {
        self.round += 1;
        self.timestamp_ms = timestamp_ms;
        self.taken = Instant::now();
        self.body.clear();
        self.samples = 0;
        self.batches.clear();
        self.round
    }

    /// Adds a page to a round, unless another has begun. A series that the round has already is left out: receivers
    /// refuse two values at one time.
    pub(crate) fn add(&mut self, round: u64, page: &Page, with_metadata: bool) {
        if round != self.round {
            return;
        }
        if with_metadata {
            page.push_metadata(&mut self.body);
        }
        let labels = std::mem::take(&mut self.labels);
        page.each_series(&labels, |sample| {
            // A series with times of its own has no end that could be told.
            if sample.timestamp_ms.is_none() {
                match self.series.get_mut(sample.labels) {
                    Some(last) if *last == self.round => return,
                    Some(last) => *last = self.round,
                    None => {
                        self.series.insert(sample.labels.into(), self.round);
                    }
                }
            }
            self.append(sample.labels, sample.value, sample.timestamp_ms.unwrap_or(self.timestamp_ms));
        });
        self.labels = labels;
    }

    /// Ends the round: marks series that it did not have as stale, and gives the requests.
    pub(crate) fn finish(&mut self) -> Vec<Batch> {
        let round = self.round;
        let gone: Vec<_> = self.series.extract_if(|_, last| *last != round).map(|(labels, _)| labels).collect();
        for labels in gone {
            self.append(&labels, STALE, self.timestamp_ms);
        }
        self.close();
        std::mem::take(&mut self.batches)
    }

    fn append(&mut self, labels: &[u8], value: f64, timestamp_ms: i64) {
        push_time_series(&mut self.body, labels, value, timestamp_ms);
        self.samples += 1;
        if self.samples == MAX_SAMPLES {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.body.is_empty() {
            return;
        }
        self.compressed.resize(snap::raw::max_compress_len(self.body.len()), 0);
        // Fails only for a buffer that is too small or a body of more than 4 GiB.
        if let Ok(length) = self.snappy.compress(&self.body, &mut self.compressed) {
            let body = Bytes::copy_from_slice(self.compressed.get(..length).unwrap_or_default());
            self.batches.push(Batch { body, samples: self.samples, taken: self.taken });
        }
        self.body.clear();
        self.samples = 0;
    }
}

#[cfg(test)]
mod tests {
    use agent_exposition::Kind;

    use super::*;

    fn page(series: impl IntoIterator<Item = u32>) -> Page {
        let mut page = Page::new();
        let family = page.family("a", "", Kind::Gauge);
        for number in series {
            page.sample(family, &[("n", &number.to_string())], f64::from(number));
        }
        page
    }

    fn samples(batches: &[Batch]) -> Vec<u64> {
        batches.iter().map(|batch| batch.samples).collect()
    }

    #[test]
    fn series_that_are_gone_are_told_once() {
        let mut rounds = Rounds::new(TargetLabels::default());
        let mut round = |page: &Page| {
            let round = rounds.begin(1);
            rounds.add(round, page, false);
            // The second page's series are there already.
            rounds.add(round, page, false);
            samples(&rounds.finish())
        };
        assert_eq!(round(&page(0..10)), [10]);
        assert_eq!(round(&page(5..12)), [7 + 5]);
        assert_eq!(round(&page(5..12)), [7]);
        assert_eq!(round(&page([])), [7]);
        assert_eq!(round(&page([])), [0u64; 0]);
    }

    #[test]
    fn requests_are_no_larger_than_prometheuss() {
        let mut rounds = Rounds::new(TargetLabels::default());
        let round = rounds.begin(1);
        rounds.add(round, &page(0..4500), true);
        assert_eq!(samples(&rounds.finish()), [2000, 2000, 500]);
    }

    #[test]
    fn what_comes_too_late_for_its_round_is_left_out() {
        let mut rounds = Rounds::new(TargetLabels::default());
        let first = rounds.begin(1);
        rounds.add(first, &page(0..3), false);
        rounds.finish();
        let second = rounds.begin(2);
        rounds.add(second, &page(0..5), false);
        let third = rounds.begin(3);
        rounds.add(second, &page(0..9), false);
        rounds.add(third, &page(0..1), false);
        // One is there; those of the unfinished round end as those of the first.
        assert_eq!(samples(&rounds.finish()), [1 + 4]);
    }
}
