//! Figures of one GPU, before they are on a page.

use agent_exposition::{Kind, Page};

/// What a GPU has told.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    all: Vec<Figure>,
}

#[derive(Debug)]
struct Figure {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    /// Besides those that say which GPU it is.
    label: Option<(&'static str, String)>,
    value: f64,
}

impl Figures {
    pub(crate) fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.all.push(Figure { name, help, kind: Kind::Gauge, label: None, value });
    }

    pub(crate) fn gauge_of(&mut self, name: &'static str, help: &'static str, label: (&'static str, &str), value: f64) {
        let label = Some((label.0, label.1.to_owned()));
        self.all.push(Figure { name, help, kind: Kind::Gauge, label, value });
    }

    pub(crate) fn counter(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.all.push(Figure { name, help, kind: Kind::Counter, label: None, value });
    }

    pub(crate) fn counter_of(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: (&'static str, &str),
        value: f64,
    ) {
        let label = Some((label.0, label.1.to_owned()));
        self.all.push(Figure { name, help, kind: Kind::Counter, label, value });
    }

    pub(crate) fn put(&self, page: &mut Page, board: &[(&str, &str)]) {
        for figure in &self.all {
            let family = page.family(figure.name, figure.help, figure.kind);
            let own = figure.label.as_ref().map(|(name, value)| (*name, value.as_str()));
            page.sample(family, &sorted(board, own), figure.value);
        }
    }
}

/// Labels in the order of their names.
pub(crate) fn sorted<'a>(
    board: &[(&'a str, &'a str)],
    more: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(&'a str, &'a str)> {
    let mut labels: Vec<_> = board.iter().copied().chain(more).collect();
    labels.sort_unstable();
    labels
}
