//! What the engine says about a result beside its value: Prometheus's annotations, without positions.

use crate::float::to_message;

/// Notes of one kind that a result may carry; the rest is counted.
const MAX_NOTES: usize = 10;

/// The notes of one query, each once.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl Notes {
    pub fn quantile_out_of_range(&mut self, phi: f64) {
        if phi.is_nan() || !(0.0..=1.0).contains(&phi) {
            self.warn(format!("quantile value should be between 0 and 1, got {}", to_message(phi)));
        }
    }

    pub fn ratio_out_of_range(&mut self, ratio: f64, capped: f64) {
        let (ratio, capped) = (to_message(ratio), to_message(capped));
        self.warn(format!("ratio value should be between -1 and 1, got {ratio}, capping to {capped}"));
    }

    pub fn bad_bucket_label(&mut self, metric: &str, le: &str) {
        self.warn(format!(
            "bucket label \"le\" is missing or has a malformed value of {le:?} for metric name {metric:?}"
        ));
    }

    pub fn sort_in_range_query(&mut self) {
        self.warn("sort is ineffective for range queries since results are always ordered by labels".to_owned());
    }

    pub fn possible_non_counter(&mut self, metric: &str) {
        self.info(format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"
        ));
    }

    pub fn forced_monotonicity(&mut self, metric: &str) {
        self.info(format!(
            "input to histogram_quantile needed to be fixed for monotonicity (see \
             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \
             {metric:?}"
        ));
    }

    fn warn(&mut self, text: String) {
        push(&mut self.warnings, format!("PromQL warning: {text}"));
    }

    fn info(&mut self, text: String) {
        push(&mut self.infos, format!("PromQL info: {text}"));
    }

    /// The warnings and the infos, each cut after ten.
    pub fn into_parts(self) -> (Vec<String>, Vec<String>) {
        (cut(self.warnings, "warning"), cut(self.infos, "info"))
    }
}

fn push(notes: &mut Vec<String>, note: String) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}

fn cut(mut notes: Vec<String>, kind: &str) -> Vec<String> {
    let more = notes.len().saturating_sub(MAX_NOTES);
    if more > 0 {
        notes.truncate(MAX_NOTES);
        notes.push(format!("{more} more {kind} annotations omitted"));
    }
    notes
}
