//! The figures as a table in Markdown, which the agent's README holds.

use std::fmt;
use std::time::Duration;

use crate::connection::Form;
use crate::peer::Figures;

/// What the agent's figure is to be.
#[derive(Clone, Copy)]
pub enum Goal {
    None,
    Ms(f64),
    /// Less than so many milliseconds.
    Below(f64),
    Mib(f64),
    Percent(f64),
    Megabytes(f64),
}

impl Goal {
    fn is_met(self, figure: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::Below(most) | Self::Percent(most) => Some(figure < most),
            Self::Ms(most) | Self::Mib(most) | Self::Megabytes(most) => Some(figure <= most),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Ms(most) => write!(out, "≤ {most} ms"),
            Self::Below(most) => write!(out, "< {most} ms"),
            Self::Mib(most) => write!(out, "≤ {most} MiB"),
            Self::Percent(most) => write!(out, "< {most} %"),
            Self::Megabytes(most) => write!(out, "≤ {most} MB"),
        }
    }
}

/// A figure of each peer.
pub struct Row {
    scene: String,
    what: String,
    unit: &'static str,
    digits: usize,
    figures: Vec<(String, f64)>,
    goal: Goal,
}

impl Row {
    pub fn cpu(scene: &str, form: Form, figures: &[Figures], goal: Goal) -> Self {
        let what = format!("CPU a scrape, {}", form.name());
        Self::of(scene, what, ("ms", 2), figures, goal, |of| of.forms[form as usize].cpu_ms)
    }

    /// The time that so many in a hundred scrapes took at most.
    pub fn wall(scene: &str, form: Form, figures: &[Figures], percentile: usize, goal: Goal) -> Self {
        let what = format!("p{percentile} on the wall, {}", form.name());
        Self::of(scene, what, ("ms", 2), figures, goal, |of| {
            let mut wall_ms = of.forms[form as usize].wall_ms.clone();
            wall_ms.sort_by(f64::total_cmp);
            wall_ms.get(wall_ms.len() * percentile / 100).copied()
        })
    }

    pub fn memory(scene: &str, figures: &[Figures], goal: Goal) -> Self {
        let what = "resident memory after it".to_owned();
        Self::of(scene, what, ("MiB", 1), figures, goal, |of| Some(of.resident_kib as f64 / 1024.0))
    }

    pub fn idle(scene: &str, figures: &[Figures], over: Duration, goal: Goal) -> Self {
        let what = format!("CPU unasked, over {} s", over.as_secs());
        Self::of(scene, what, ("%", 3), figures, goal, |of| of.idle.map(|share| share * 100.0))
    }

    pub fn size(scene: &str, what: &str, bytes: u64, goal: Goal) -> Self {
        let figures = vec![("agent".to_owned(), bytes as f64 / 1e6)];
        Self { scene: scene.to_owned(), what: what.to_owned(), unit: "MB", digits: 1, figures, goal }
    }

    fn of(
        scene: &str,
        what: String,
        (unit, digits): (&'static str, usize),
        figures: &[Figures],
        goal: Goal,
        figure: impl Fn(&Figures) -> Option<f64>,
    ) -> Self {
        let figures = figures.iter().filter_map(|of| Some((of.column.clone(), figure(of)?))).collect();
        Self { scene: scene.to_owned(), what, unit, digits, figures, goal }
    }

    fn figure(&self, column: &str) -> Option<f64> {
        self.figures.iter().find(|(of, _)| of == column).map(|(_, figure)| *figure)
    }
}

/// Rows of figures, a column for each peer that was there.
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

impl Table {
    /// The last column is the agent's.
    pub fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub fn print(&self) {
        let columns: Vec<_> =
            self.columns.iter().filter(|column| self.rows.iter().any(|row| row.figure(column).is_some())).collect();
        let names: Vec<_> = columns.iter().map(|column| format!(" {column} |")).collect();
        println!("| | |{} of theirs | goal |", names.concat());
        println!("|---|---|{}---|---|", "---|".repeat(columns.len()));
        for row in &self.rows {
            let cells: Vec<_> = columns
                .iter()
                .map(|column| {
                    let figure = row.figure(column).map(|f| format!("{f:.*} {}", row.digits, row.unit));
                    format!(" {} |", figure.unwrap_or_default())
                })
                .collect();
            println!(
                "| {} | {} |{} {} | {} |",
                row.scene,
                row.what,
                cells.concat(),
                self.ratio(row),
                self.verdict(row)
            );
        }
    }

    /// The agent's figure divided by the sum of those that it stands in for.
    fn ratio(&self, row: &Row) -> String {
        let theirs: f64 = self.columns.iter().rev().skip(1).filter_map(|column| row.figure(column)).sum();
        match self.columns.last().and_then(|agent| row.figure(agent)) {
            // Next to nothing of next to nothing is no ratio.
            Some(ours) if theirs > 0.0 && row.unit != "%" => format!("{:.2}", ours / theirs),
            _ => String::new(),
        }
    }

    fn verdict(&self, row: &Row) -> String {
        let ours = self.columns.last().and_then(|agent| row.figure(agent));
        match ours.and_then(|figure| row.goal.is_met(figure)) {
            Some(true) => format!("{}: met", row.goal),
            Some(false) => format!("{}: **missed**", row.goal),
            None => String::new(),
        }
    }
}

/// One line on where it was measured.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let models: Vec<_> = cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, model)| model))
        .collect();
    let is_v2 = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    format!(
        "{} × {}, Linux {}, cgroup {}; load {} at the start.",
        models.len(),
        models.first().copied().unwrap_or("a processor"),
        read("/proc/sys/kernel/osrelease").trim(),
        if is_v2 { "v2" } else { "v1" },
        read("/proc/loadavg").split(' ').next().unwrap_or_default()
    )
}
