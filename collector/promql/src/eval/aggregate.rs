//! Aggregations: groups of series become one, or fewer.

use std::cmp::Ordering;

use collector_model::Labels;
use hashbrown::HashMap;

use super::{ABSENT, Column, Columns, Evaluator, Grid, Operand, is_present};
use crate::QueryError;
use crate::expr::{Aggregate, AggregateOp, Grouping};
use crate::float::{Mean, Sum, Variance, quantile, to_label, to_message};
use crate::functions::nan_last;

/// Series that belong together, by their position, and the labels that make them so.
struct Group {
    labels: Labels,
    members: Vec<usize>,
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&self, aggregate: &Aggregate, grid: &Grid) -> Result<Columns, QueryError> {
        let param = aggregate.param.as_ref().map(|param| self.eval(param, grid)).transpose()?;
        let Operand::Vector(columns) = self.eval(&aggregate.expr, grid)? else {
            return self.columns(Vec::new());
        };
        let params = match param {
            Some(Operand::String(label)) => return self.count_values(&label, aggregate, &columns, grid),
            Some(Operand::Scalar(values)) => values,
            _ => Vec::new(),
        };
        let groups = groups(&columns, &aggregate.grouping);
        match aggregate.op {
            AggregateOp::Sum => self.fold::<Sum>(&columns, &groups, grid),
            AggregateOp::Avg => self.fold::<Mean>(&columns, &groups, grid),
            AggregateOp::Min => self.fold::<Smallest>(&columns, &groups, grid),
            AggregateOp::Max => self.fold::<Largest>(&columns, &groups, grid),
            AggregateOp::Group => self.fold::<One>(&columns, &groups, grid),
            AggregateOp::Count | AggregateOp::CountValues => self.fold::<Count>(&columns, &groups, grid),
            AggregateOp::Stdvar => self.fold::<Variance>(&columns, &groups, grid),
            AggregateOp::Stddev => self.fold::<Deviation>(&columns, &groups, grid),
            AggregateOp::Quantile => self.quantile(&params, &columns, &groups, grid),
            AggregateOp::Topk => self.pick(&params, columns, &groups, Some(Ordering::Greater)),
            AggregateOp::Bottomk => self.pick(&params, columns, &groups, Some(Ordering::Less)),
            AggregateOp::Limitk => self.pick(&params, columns, &groups, None),
            AggregateOp::LimitRatio => self.limit_ratio(&params, columns),
        }
    }

    /// One pass over the series in storage order, with one accumulator per group and step.
    fn fold<A: Accumulate>(&self, columns: &Columns, groups: &[Group], grid: &Grid) -> Result<Columns, QueryError> {
        let mut results = Vec::with_capacity(groups.len());
        let mut accumulators: Vec<Option<A>> = Vec::new();
        for group in groups {
            self.check_canceled()?;
            accumulators.clear();
            accumulators.resize_with(grid.steps, || None);
            for column in group.members.iter().filter_map(|member| columns.series.get(*member)) {
                for (accumulator, value) in accumulators.iter_mut().zip(&column.values) {
                    if is_present(*value) {
                        accumulator.get_or_insert_default().add(*value);
                    }
                }
            }
            let values = accumulators.iter().map(|a| a.as_ref().map_or(ABSENT, Accumulate::value)).collect();
            results.push(Column { labels: group.labels.clone(), values });
        }
        self.columns(results)
    }

    fn quantile(&self, phis: &[f64], columns: &Columns, groups: &[Group], grid: &Grid) -> Result<Columns, QueryError> {
        for phi in phis {
            self.note(|notes| notes.quantile_out_of_range(*phi));
        }
        let mut results = Vec::with_capacity(groups.len());
        let mut present = Vec::new();
        for group in groups {
            self.check_canceled()?;
            let mut values = vec![ABSENT; grid.steps];
            for (step, (out, phi)) in values.iter_mut().zip(phis).enumerate() {
                self.check_canceled()?;
                present.clear();
                present.extend(members_at(columns, group, step).map(|(_, value)| value));
                if !present.is_empty() {
                    *out = quantile(*phi, &mut present);
                }
            }
            results.push(Column { labels: group.labels.clone(), values });
        }
        self.columns(results)
    }

    /// Keeps the first k of every group at each step: by value, the smaller one of a pair comparing as `smaller`,
    /// or without that by position.
    fn pick(
        &self,
        params: &[f64],
        columns: Columns,
        groups: &[Group],
        smaller: Option<Ordering>,
    ) -> Result<Columns, QueryError> {
        // Prometheus looks at the parameter only where there is something to pick from.
        if columns.series.is_empty() {
            return Ok(columns);
        }
        let limits: Vec<usize> = params.iter().map(|k| to_count(*k)).collect::<Result<_, _>>()?;
        let blank = |column: &Column| Column { labels: column.labels.clone(), values: vec![ABSENT; limits.len()] };
        let mut kept: Vec<Column> = columns.series.iter().map(blank).collect();
        let mut order = Vec::new();
        let mut candidates = Vec::new();
        for group in groups {
            self.check_canceled()?;
            for (step, limit) in limits.iter().enumerate() {
                self.check_canceled()?;
                candidates.clear();
                candidates.extend(members_at(&columns, group, step));
                if let Some(smaller) = smaller {
                    candidates.sort_by(|(_, a), (_, b)| nan_last(*a, *b, smaller));
                }
                for (member, value) in candidates.iter().take(*limit) {
                    order.push(*member);
                    if let Some(out) = kept.get_mut(*member).and_then(|column| column.values.get_mut(step)) {
                        *out = *value;
                    }
                }
            }
        }
        if self.is_range_query() {
            return self.columns(kept);
        }
        // An instant query shows each group in the order in which it was picked.
        let mut kept: Vec<Option<Column>> = kept.into_iter().map(Some).collect();
        let picked = order.into_iter().filter_map(|member| kept.get_mut(member).and_then(Option::take));
        self.columns(picked.collect())
    }

    /// Keeps a share of the series, always the same ones; a negative ratio keeps the others.
    fn limit_ratio(&self, ratios: &[f64], mut columns: Columns) -> Result<Columns, QueryError> {
        let mut capped = Vec::with_capacity(ratios.len());
        for ratio in ratios {
            if ratio.is_nan() {
                return Err(QueryError::Execution("Ratio value is NaN".to_owned()));
            }
            capped.push(ratio.clamp(-1.0, 1.0));
            if !(-1.0..=1.0).contains(ratio) {
                self.note(|notes| notes.ratio_out_of_range(*ratio, ratio.clamp(-1.0, 1.0)));
            }
        }
        for column in &mut columns.series {
            let place = column.labels.stable_hash() as f64 / u64::MAX as f64;
            for (value, ratio) in column.values.iter_mut().zip(&capped) {
                let keeps = if *ratio >= 0.0 { place < *ratio } else { place >= 1.0 + ratio };
                if !keeps {
                    *value = ABSENT;
                }
            }
        }
        columns.series.retain(|column| column.values.iter().any(|v| is_present(*v)));
        Ok(columns)
    }

    fn count_values(
        &self,
        label: &str,
        aggregate: &Aggregate,
        columns: &Columns,
        grid: &Grid,
    ) -> Result<Columns, QueryError> {
        if label.is_empty() {
            return Err(QueryError::Execution(format!("invalid label name {label:?}")));
        }
        let mut known: HashMap<Labels, usize> = HashMap::new();
        let mut results: Vec<Column> = Vec::new();
        for column in &columns.series {
            self.check_canceled()?;
            let group = aggregate.grouping.key(&column.labels);
            let mut before: Option<(u64, usize)> = None;
            for (step, value) in column.values.iter().enumerate().filter(|(_, v)| is_present(**v)) {
                let index = match before {
                    Some((bits, index)) if bits == value.to_bits() => index,
                    _ => {
                        let labels = counted_labels(&group, label, *value, &aggregate.grouping);
                        *known.entry(labels).or_insert_with_key(|labels| {
                            results.push(Column { labels: labels.clone(), values: vec![ABSENT; grid.steps] });
                            results.len() - 1
                        })
                    }
                };
                before = Some((value.to_bits(), index));
                if let Some(count) = results.get_mut(index).and_then(|column| column.values.get_mut(step)) {
                    *count = if is_present(*count) { *count + 1.0 } else { 1.0 };
                }
            }
        }
        results.sort_by(|a, b| a.labels.cmp(&b.labels));
        self.columns(results)
    }
}

fn counted_labels(group: &Labels, label: &str, value: f64, grouping: &Grouping) -> Labels {
    // `without` names labels that go, the counted one too.
    if matches!(grouping, Grouping::Except(names) if names.iter().any(|n| n == label)) {
        return group.clone();
    }
    let mut labels = group.to_builder();
    labels.set(label, to_label(value));
    labels.build()
}

fn groups(columns: &Columns, grouping: &Grouping) -> Vec<Group> {
    let mut known: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (member, column) in columns.series.iter().enumerate() {
        let index = *known.entry(grouping.key(&column.labels)).or_insert_with_key(|labels| {
            groups.push(Group { labels: labels.clone(), members: Vec::new() });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(index) {
            group.members.push(member);
        }
    }
    // So that results, and ties in what is picked from them, do not depend on which series exist at a step.
    groups.sort_by(|a, b| a.labels.cmp(&b.labels));
    groups
}

/// The members of a group that have a value at a step, with that value.
fn members_at<'a>(columns: &'a Columns, group: &'a Group, step: usize) -> impl Iterator<Item = (usize, f64)> + 'a {
    group.members.iter().filter_map(move |member| {
        let value = columns.series.get(*member)?.values.get(step)?;
        is_present(*value).then_some((*member, *value))
    })
}

/// How many to keep.
fn to_count(k: f64) -> Result<usize, QueryError> {
    if k.is_nan() {
        return Err(QueryError::Execution("Parameter value is NaN".to_owned()));
    }
    // The bounds of 64-bit integers, both of them powers of two.
    let bound = 2.0_f64.powi(63);
    if k <= -bound || k >= bound {
        let direction = if k < 0.0 { "underflows" } else { "overflows" };
        return Err(QueryError::Execution(format!("Scalar value {} {direction} int64", to_message(k))));
    }
    // `as` saturates, and truncates as Go does.
    Ok(if k < 1.0 { 0 } else { k as usize })
}

/// A result that grows value by value.
trait Accumulate: Default {
    fn add(&mut self, value: f64);
    fn value(&self) -> f64;
}

impl Accumulate for Sum {
    fn add(&mut self, value: f64) {
        self.add(value);
    }

    fn value(&self) -> f64 {
        Sum::value(*self)
    }
}

impl Accumulate for Mean {
    fn add(&mut self, value: f64) {
        self.add(value);
    }

    fn value(&self) -> f64 {
        self.value()
    }
}

impl Accumulate for Variance {
    fn add(&mut self, value: f64) {
        self.add(value);
    }

    fn value(&self) -> f64 {
        self.value()
    }
}

#[derive(Default)]
struct Deviation(Variance);

impl Accumulate for Deviation {
    fn add(&mut self, value: f64) {
        self.0.add(value);
    }

    fn value(&self) -> f64 {
        self.0.value().sqrt()
    }
}

/// Any number beats NaN.
struct Largest(f64);

impl Default for Largest {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

impl Accumulate for Largest {
    fn add(&mut self, value: f64) {
        self.0 = self.0.max(value);
    }

    fn value(&self) -> f64 {
        self.0
    }
}

/// Any number beats NaN.
struct Smallest(f64);

impl Default for Smallest {
    fn default() -> Self {
        Self(f64::NAN)
    }
}

impl Accumulate for Smallest {
    fn add(&mut self, value: f64) {
        self.0 = self.0.min(value);
    }

    fn value(&self) -> f64 {
        self.0
    }
}

#[derive(Default)]
struct Count(f64);

impl Accumulate for Count {
    fn add(&mut self, _value: f64) {
        self.0 += 1.0;
    }

    fn value(&self) -> f64 {
        self.0
    }
}

#[derive(Default)]
struct One;

impl Accumulate for One {
    fn add(&mut self, _value: f64) {}

    fn value(&self) -> f64 {
        1.0
    }
}
