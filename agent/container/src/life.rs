//! How containers fare: running or stopped, and how their last run ended. cAdvisor has no families of these.

use std::sync::Arc;

use agent_exposition::SharedId;

use crate::catalogue::Metric;
use crate::described::Described;
use crate::sheet::Sheet;

/// What every container has whose runtime tells of it.
pub(crate) fn put(sheet: &mut Sheet<'_>, labels: SharedId, described: &Described) {
    let life = &described.life;
    if let Some(state) = life.state {
        sheet.put(Metric::State, labels, &[("state", state.name())], 1.0);
    }
    if let Some(state) = described.health.name() {
        sheet.put(Metric::HealthStatus, labels, &[("state", state)], 1.0);
    }
    sheet.put_some(Metric::Restarts, labels, life.restarts);
    if let Some(code) = life.exit_code {
        sheet.put(Metric::LastExitCode, labels, &[], code as f64);
    }
    sheet.put_some(Metric::LastOomKilled, labels, life.oom_killed.map(u64::from));
    if let Some(finished) = life.finished {
        sheet.put(Metric::LastFinishTime, labels, &[], finished);
    }
}

/// A container without a cgroup.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) described: Arc<Described>,
    pub(crate) labels: Vec<(String, String)>,
    /// Kills over all its runs.
    pub(crate) kills: u64,
    /// Whether its end is told of, or only its kills.
    pub(crate) is_told: bool,
}

impl Stopped {
    /// Adds it to the page; its kills only when they are wanted.
    pub(crate) fn put(&self, sheet: &mut Sheet<'_>, with_kills: bool) {
        let labels = sheet.page.shared(self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if with_kills {
            sheet.put_some(Metric::OomEvents, labels, Some(self.kills).filter(|kills| *kills > 0));
        }
        if self.is_told {
            let described = Described { health: crate::described::Health::Unchecked, ..(*self.described).clone() };
            put(sheet, labels, &described);
            if let Some(started) = described.started {
                sheet.put(Metric::LastStartTime, labels, &[], started);
            }
        }
    }
}
