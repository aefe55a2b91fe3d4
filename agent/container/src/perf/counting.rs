//! What was counted: sums that only grow, whatever happens to the counters below them.
//!
//! A CPU has few counters. Where more events are wanted they take turns, and what was counted stands for the whole time.
//! That is worked out for the time since the last look, and added up: to scale the sum as a whole, as cAdvisor does, makes
//! it fall whenever a counter had to wait longer than before.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use agent_procfs::perf_event::{self, Event, Refused, Tasks, Times};

use super::Named;

/// What opens and reads counters.
pub(crate) trait Kernel {
    /// Counters that are open, until it is dropped.
    type Group;

    fn open(&mut self, events: &[Event], cpu: u32, tasks: Tasks<'_>) -> Result<Self::Group, Refused>;

    fn read(&mut self, group: &Self::Group, values: &mut Vec<u64>) -> io::Result<Times>;
}

/// The kernel itself.
pub(crate) struct Linux;

impl Kernel for Linux {
    type Group = perf_event::Group;

    fn open(&mut self, events: &[Event], cpu: u32, tasks: Tasks<'_>) -> Result<Self::Group, Refused> {
        perf_event::Group::open(events, cpu, tasks)
    }

    fn read(&mut self, group: &Self::Group, values: &mut Vec<u64>) -> io::Result<Times> {
        group.read(values)
    }
}

/// One figure of a cgroup.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) event: Arc<str>,
    /// None for all of them.
    pub(crate) cpu: Option<u32>,
    pub(crate) total: f64,
    /// Of the time in which it was wanted the part in which it was counted.
    pub(crate) ratio: f64,
}

/// One figure of a unit of the machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UnitFigure {
    pub(crate) event: Arc<str>,
    pub(crate) unit: Arc<str>,
    pub(crate) socket: u32,
    pub(crate) total: f64,
    pub(crate) ratio: f64,
}

/// A group of events on one CPU.
pub(crate) struct Meter<G> {
    group: G,
    /// When the sums were last brought up to date.
    values: Vec<u64>,
    times: Times,
    totals: Vec<f64>,
    /// As last read.
    ratio: f64,
}

impl<G> Meter<G> {
    pub(crate) fn new(group: G, events: usize) -> Self {
        Self { group, values: vec![0; events], times: Times::default(), totals: vec![0.0; events], ratio: 1.0 }
    }

    /// Brings the sums up to date. `buffer` is for what is read.
    pub(crate) fn look<K: Kernel<Group = G>>(&mut self, kernel: &mut K, buffer: &mut Vec<u64>) -> io::Result<()> {
        let now = kernel.read(&self.group, buffer)?;
        if now.enabled > 0 {
            self.ratio = now.running.min(now.enabled) as f64 / now.enabled as f64;
        }
        let enabled = now.enabled.saturating_sub(self.times.enabled);
        let running = now.running.saturating_sub(self.times.running);
        if running == 0 && enabled > 0 {
            // It waited all the time: the next turn stands for this time too.
            return Ok(());
        }
        let scale = if running == 0 { 1.0 } else { (enabled as f64 / running as f64).max(1.0) };
        for ((total, last), value) in self.totals.iter_mut().zip(&mut self.values).zip(buffer.iter()) {
            *total += value.saturating_sub(*last) as f64 * scale;
            *last = *value;
        }
        self.times = now;
        Ok(())
    }

    pub(crate) fn first(&self) -> (f64, f64) {
        (self.totals.first().copied().unwrap_or(0.0), self.ratio)
    }
}

/// All counters of one cgroup.
pub(crate) struct Counting<G> {
    pub(crate) incarnation: u64,
    /// By group and CPU.
    pub(crate) meters: BTreeMap<(usize, u32), Meter<G>>,
    /// By group, what CPUs had that are gone.
    gone: BTreeMap<usize, Vec<f64>>,
    /// There was no room for it at the last look.
    pub(crate) is_left_out: bool,
}

impl<G> Counting<G> {
    pub(crate) fn new(incarnation: u64) -> Self {
        Self { incarnation, meters: BTreeMap::new(), gone: BTreeMap::new(), is_left_out: false }
    }

    /// Closes the counters of CPUs that are not online. What they had stays in the sums over all CPUs.
    pub(crate) fn keep(&mut self, online: &[u32]) {
        let gone: Vec<_> = self.meters.keys().filter(|(_, cpu)| !online.contains(cpu)).copied().collect();
        for (group, cpu) in gone {
            self.close(group, cpu);
        }
    }

    /// Closes the counters of a group on one CPU.
    pub(crate) fn close(&mut self, group: usize, cpu: u32) {
        let Some(meter) = self.meters.remove(&(group, cpu)) else { return };
        let gone = self.gone.entry(group).or_insert_with(|| vec![0.0; meter.totals.len()]);
        for (sum, total) in gone.iter_mut().zip(&meter.totals) {
            *sum += total;
        }
    }

    /// As the page has them.
    pub(crate) fn figures(&self, groups: &[Vec<Named>], by_cpu: bool) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (at, group) in groups.iter().enumerate() {
            let of_group = || self.meters.range((at, 0)..=(at, u32::MAX));
            for (within, named) in group.iter().enumerate() {
                let total = |totals: &Vec<f64>| totals.get(within).copied().unwrap_or(0.0);
                if by_cpu {
                    figures.extend(of_group().map(|((_, cpu), meter)| Figure {
                        event: named.name.clone(),
                        cpu: Some(*cpu),
                        total: total(&meter.totals),
                        ratio: meter.ratio,
                    }));
                    continue;
                }
                let Some(ratio) = of_group().map(|(_, meter)| meter.ratio).reduce(f64::min) else { continue };
                let gone = self.gone.get(&at).map_or(0.0, total);
                let total = of_group().map(|(_, meter)| total(&meter.totals)).sum::<f64>() + gone;
                figures.push(Figure { event: named.name.clone(), cpu: None, total, ratio });
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads what the group says of itself.
    struct Told;

    impl Kernel for Told {
        type Group = std::cell::RefCell<Vec<(u64, u64, u64)>>;

        fn open(&mut self, _: &[Event], _: u32, _: Tasks<'_>) -> Result<Self::Group, Refused> {
            Ok(Self::Group::default())
        }

        fn read(&mut self, group: &Self::Group, values: &mut Vec<u64>) -> io::Result<Times> {
            let (value, enabled, running) = group.borrow_mut().remove(0);
            *values = vec![value];
            Ok(Times { enabled, running })
        }
    }

    /// Value, time wanted and time counted at each look; sum and ratio after it.
    #[track_caller]
    fn check(looks: &[(u64, u64, u64)], want: &[(f64, f64)]) {
        let mut meter = Meter::new(std::cell::RefCell::new(looks.to_vec()), 1);
        let got: Vec<_> = looks
            .iter()
            .map(|_| {
                meter.look(&mut Told, &mut Vec::new()).unwrap();
                meter.first()
            })
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn what_takes_turns_is_scaled_and_never_falls() {
        check(&[(10, 100, 100), (15, 200, 200)], &[(10.0, 1.0), (15.0, 1.0)]);
        check(&[(10, 100, 50), (20, 200, 100)], &[(20.0, 0.5), (40.0, 0.5)]);
        // Scaled as a whole this would fall from 1,000 to 505.
        check(&[(100, 100, 10), (101, 200, 40)], &[(1000.0, 0.1), (1000.0 + 100.0 / 30.0, 0.2)]);
        // It waits, and its next turn stands for all that time.
        check(&[(10, 100, 100), (10, 200, 100), (20, 300, 200)], &[(10.0, 1.0), (10.0, 0.5), (30.0, 2.0 / 3.0)]);
        // Nothing of the cgroup ran yet.
        check(&[(0, 0, 0), (3, 0, 0), (3, 0, 0)], &[(0.0, 1.0), (3.0, 1.0), (3.0, 1.0)]);
        check(&[(0, 50, 0)], &[(0.0, 0.0)]);
    }

    #[test]
    fn what_cpus_had_that_are_gone_stays_in_the_sum() {
        let mut counting = Counting::new(1);
        let looks = [(0, vec![(5, 10, 10)]), (1, vec![(7, 10, 5)])];
        for (cpu, looks) in looks {
            let mut meter = Meter::new(std::cell::RefCell::new(looks), 1);
            meter.look(&mut Told, &mut Vec::new()).unwrap();
            counting.meters.insert((0, cpu), meter);
        }
        let groups = [vec![Named { name: "x".into(), event: Event::default() }]];
        let figure = |cpu, total, ratio| Figure { event: "x".into(), cpu, total, ratio };
        assert_eq!(counting.figures(&groups, true), [figure(Some(0), 5.0, 1.0), figure(Some(1), 14.0, 0.5)]);
        assert_eq!(counting.figures(&groups, false), [figure(None, 19.0, 0.5)]);
        counting.keep(&[0]);
        assert_eq!(counting.figures(&groups, true), [figure(Some(0), 5.0, 1.0)]);
        assert_eq!(counting.figures(&groups, false), [figure(None, 19.0, 1.0)]);
        counting.keep(&[]);
        assert_eq!(counting.figures(&groups, false), []);
    }
}
