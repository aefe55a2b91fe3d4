//! A page in the text format as families, for the collector textfile.

use std::collections::HashMap;

use agent_exposition::{Cause, Event, Format, Kind, Page, ParseError, Parser, SampleLine};

/// Label names and values, sorted by name.
type Labels = Vec<(String, String)>;

/// A family as one file has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TextFamily {
    pub(crate) name: String,
    pub(crate) help: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) metrics: Vec<Metric>,
}

/// One labelled thing of a family.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metric {
    pub(crate) labels: Labels,
    /// Of a counter, gauge or untyped family.
    value: Option<f64>,
    /// Upper bounds of a histogram's buckets with their counts, or quantiles of a summary with their values.
    edges: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TextError {
    #[error("the file is no page of metrics")]
    Parse(#[from] ParseError),
    #[error("sample of {0} has a time stamp, which a text file may not give")]
    Timestamp(String),
    #[error("name {0:?} has characters other than letters, digits, underscores and colons")]
    Name(String),
    #[error("sample of {0} has two labels of one name")]
    LabelTwice(String),
    #[error("{0} has a second HELP line")]
    SecondHelp(String),
    #[error("{0} has a second TYPE line, or one after its samples")]
    LateType(String),
    #[error("sample of {0} has no number in its label le or quantile")]
    Edge(String),
    #[error("sample {0} is no part of a histogram")]
    NotOfHistogram(String),
}

/// Which part of a metric a sample is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Value,
    Edge(&'static str),
    Sum,
    Count,
}

/// Reads a page.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<TextFamily>, TextError> {
    let mut reader = Reader::default();
    for event in Parser::new(Format::Text004, bytes) {
        match event? {
            Event::Help { name, text } => {
                let family = reader.family(&name)?;
                if family.family.help.replace(text.into_owned()).is_some() {
                    return Err(TextError::SecondHelp(name.into_owned()));
                }
            }
            Event::Type { name, kind } => {
                let family = reader.family(&name)?;
                if std::mem::replace(&mut family.is_typed, true) || !family.family.metrics.is_empty() {
                    return Err(TextError::LateType(name.into_owned()));
                }
                family.family.kind = kind;
            }
            Event::Sample(sample) => reader.sample(&sample)?,
            Event::Comment | Event::Unit { .. } => {}
        }
    }
    let mut families: Vec<_> =
        reader.families.into_iter().map(|f| f.family).filter(|f| !f.metrics.is_empty()).collect();
    families.iter_mut().for_each(TextFamily::finish);
    Ok(families)
}

#[derive(Default)]
struct Reader {
    families: Vec<Declared>,
    by_name: HashMap<String, usize>,
}

struct Declared {
    family: TextFamily,
    is_typed: bool,
    by_labels: HashMap<Labels, usize>,
}

impl Reader {
    /// The family of that name, made when it is new.
    fn family(&mut self, name: &str) -> Result<&mut Declared, TextError> {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None if !is_name(name, true) => return Err(TextError::Name(name.to_owned())),
            None => {
                self.by_name.insert(name.to_owned(), self.families.len());
                let family = TextFamily { name: name.to_owned(), help: None, kind: Kind::Untyped, metrics: Vec::new() };
                self.families.push(Declared { family, is_typed: false, by_labels: HashMap::new() });
                self.families.len() - 1
            }
        };
        // The index was just looked up or made.
        self.families.get_mut(index).ok_or_else(|| TextError::Name(name.to_owned()))
    }

    fn sample(&mut self, sample: &SampleLine) -> Result<(), TextError> {
        let name = sample.name();
        if sample.timestamp_ms.is_some() {
            return Err(TextError::Timestamp(name.into_owned()));
        }
        let (family, part) = self.part(&name);
        let (family, part) = (family.to_owned(), part.ok_or_else(|| TextError::NotOfHistogram(name.to_string()))?);
        let (labels, edge) = labels(sample, part)?;
        let declared = self.family(&family)?;
        let metrics = &mut declared.family.metrics;
        let index = match declared.by_labels.get(&labels) {
            // A second sample of the same series is kept, so that whoever joins the files can say so.
            Some(index) if part != Part::Value => *index,
            _ => {
                declared.by_labels.insert(labels.clone(), metrics.len());
                metrics.push(Metric { labels, ..Metric::default() });
                metrics.len() - 1
            }
        };
        let Some(metric) = metrics.get_mut(index) else { return Ok(()) };
        match part {
            Part::Value => metric.value = Some(sample.value),
            Part::Edge(_) => metric.edges.push((edge.ok_or(TextError::Edge(family))?, sample.value)),
            Part::Sum => metric.sum = Some(sample.value),
            Part::Count => metric.count = Some(sample.value),
        }
        Ok(())
    }

    /// Which family a sample belongs to, and as what; `None` as a part is one that no family has.
    fn part<'n>(&self, name: &'n str) -> (&'n str, Option<Part>) {
        let kind = |name: &str| self.by_name.get(name).and_then(|i| self.families.get(*i)).map(|f| f.family.kind);
        match kind(name) {
            Some(Kind::Summary) => return (name, Some(Part::Edge("quantile"))),
            Some(Kind::Histogram) => return (name, None),
            Some(_) => return (name, Some(Part::Value)),
            None => {}
        }
        for (suffix, part) in [("_sum", Part::Sum), ("_count", Part::Count), ("_bucket", Part::Edge("le"))] {
            let Some(base) = name.strip_suffix(suffix) else { continue };
            match kind(base) {
                Some(Kind::Histogram) => return (base, Some(part)),
                Some(Kind::Summary) if part != Part::Edge("le") => return (base, Some(part)),
                _ => {}
            }
        }
        (name, Some(Part::Value))
    }
}

/// The labels of a sample without the one that says which edge it is, and the number in that one.
fn labels(sample: &SampleLine, part: Part) -> Result<(Labels, Option<f64>), TextError> {
    let mut edge = None;
    let mut labels = Labels::new();
    for (name, value) in sample.labels() {
        if part == Part::Edge("le") && name == "le" || part == Part::Edge("quantile") && name == "quantile" {
            edge = value.parse().ok();
        } else if is_name(&name, false) {
            labels.push((name.into_owned(), value.into_owned()));
        } else {
            return Err(TextError::Name(name.into_owned()));
        }
    }
    labels.sort_unstable();
    if labels.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        return Err(TextError::LabelTwice(sample.name().into_owned()));
    }
    Ok((labels, edge))
}

/// Whether a name is legal to every reader of pages, old ones included.
fn is_name(name: &str, may_have_colons: bool) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (b == b':' && may_have_colons);
    name.bytes().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
}

impl TextFamily {
    /// Gives all metrics the same label names, and histograms all that belongs to them.
    fn finish(&mut self) {
        let mut names: Vec<_> = self.metrics.iter().flat_map(|m| &m.labels).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        for metric in &mut self.metrics {
            for name in &names {
                if let Err(at) = metric.labels.binary_search_by(|(known, _)| known.cmp(name)) {
                    metric.labels.insert(at, (name.clone(), String::new()));
                }
            }
            metric.edges.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            metric.edges.dedup_by(|(a, _), (b, _)| a == b);
            if self.kind == Kind::Histogram {
                match metric.edges.last() {
                    Some((le, count)) if *le == f64::INFINITY => metric.count = metric.count.or(Some(*count)),
                    _ => metric.edges.extend(metric.count.map(|count| (f64::INFINITY, count))),
                }
            }
        }
    }

    /// All names that its samples may have.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let suffixes: &[&str] = match self.kind {
            Kind::Histogram => &["", "_bucket", "_sum", "_count"],
            Kind::Summary => &["", "_sum", "_count"],
            _ => &[""],
        };
        suffixes.iter().map(|suffix| format!("{}{suffix}", self.name))
    }

    /// Adds the family to a page under that help.
    pub(crate) fn add_to(&self, page: &mut Page, help: &str) {
        let family = page.family(self.name.clone(), help.to_owned(), self.kind);
        let mut labels = Vec::new();
        for metric in &self.metrics {
            labels.clear();
            labels.extend(metric.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            if let Some(value) = metric.value {
                page.sample(family, &labels, value);
            }
            for (edge, value) in &metric.edges {
                match self.kind {
                    Kind::Histogram => page.bucket(family, &labels, *edge, *value),
                    _ => page.quantile(family, &labels, *edge, *value),
                }
            }
            for (suffix, value) in [("_sum", metric.sum), ("_count", metric.count)] {
                if let Some(value) = value {
                    page.sample_suffixed(family, suffix, &labels, value);
                }
            }
        }
    }
}

impl TextError {
    /// The error with what caused it, for a log that has one line per error.
    pub(crate) fn with_cause(&self) -> String {
        match self {
            Self::Parse(ParseError { line, cause }) => format!("line {line}: {}", Cause::to_string(cause)),
            error => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &str, want: &str) {
        let mut page = Page::new();
        for family in parse(input.as_bytes()).unwrap() {
            let help = family.help.clone().unwrap_or_else(|| "?".into());
            family.add_to(&mut page, &help);
        }
        let mut got = String::new();
        page.write(Format::Text004, &mut got);
        assert_eq!(got, want);
    }

    #[track_caller]
    fn refuse(input: &str, want: &str) {
        assert_eq!(parse(input.as_bytes()).unwrap_err().with_cause(), want, "{input}");
    }

    #[test]
    fn samples_keep_their_kind_and_get_all_labels() {
        check(
            "# HELP b about b\n# TYPE b counter\nb{x=\"1\"} 2\nb{y=\"q\"} 3\na 1\n",
            "# HELP a ?\n# TYPE a untyped\na 1\n\
             # HELP b about b\n# TYPE b counter\nb{x=\"1\",y=\"\"} 2\nb{x=\"\",y=\"q\"} 3\n",
        );
    }

    #[test]
    fn histograms_are_put_in_order_and_completed() {
        check(
            "# TYPE h histogram\nh_count{a=\"b\"} 7\nh_bucket{le=\"5\",a=\"b\"} 4\nh_bucket{a=\"b\",le=\"0.5\"} 1\nh_sum{a=\"b\"} 9.5\n",
            "# HELP h ?\n# TYPE h histogram\nh_bucket{a=\"b\",le=\"0.5\"} 1\nh_bucket{a=\"b\",le=\"5\"} 4\n\
             h_bucket{a=\"b\",le=\"+Inf\"} 7\nh_sum{a=\"b\"} 9.5\nh_count{a=\"b\"} 7\n",
        );
    }

    #[test]
    fn summaries_of_several_metrics() {
        check(
            "# TYPE s summary\ns{q=\"x\",quantile=\"0.9\"} 2\ns{q=\"x\",quantile=\"0.5\"} 1\ns_sum{q=\"x\"} 3\ns_count{q=\"x\"} 4\ns_count{q=\"y\"} 0\n",
            "# HELP s ?\n# TYPE s summary\ns{q=\"x\",quantile=\"0.5\"} 1\ns{q=\"x\",quantile=\"0.9\"} 2\ns_sum{q=\"x\"} 3\n\
             s_count{q=\"x\"} 4\ns_count{q=\"y\"} 0\n",
        );
    }

    #[test]
    fn suffixes_without_a_family_are_part_of_the_name() {
        check(
            "a_sum 1\n# TYPE b counter\nb_count 2\n",
            "# HELP a_sum ?\n# TYPE a_sum untyped\na_sum 1\n# HELP b_count ?\n# TYPE b_count untyped\nb_count 2\n",
        );
    }

    #[test]
    fn wrong_pages_are_refused() {
        refuse("a 1 1395066363000\n", "sample of a has a time stamp, which a text file may not give");
        refuse("a{b=\"1\",b=\"2\"} 1\n", "sample of a has two labels of one name");
        refuse("{\"a.b\"} 1\n", "name \"a.b\" has characters other than letters, digits, underscores and colons");
        refuse(
            "a{\"b.c\"=\"1\"} 1\n",
            "name \"b.c\" has characters other than letters, digits, underscores and colons",
        );
        refuse("# HELP a x\n# HELP a x\n", "a has a second HELP line");
        refuse("a 1\n# TYPE a gauge\n", "a has a second TYPE line, or one after its samples");
        refuse("# TYPE a gauge\n# TYPE a gauge\n", "a has a second TYPE line, or one after its samples");
        refuse("# TYPE h histogram\nh_bucket{le=\"x\"} 1\n", "sample of h has no number in its label le or quantile");
        refuse("# TYPE h histogram\nh 1\n", "sample h is no part of a histogram");
        assert!(parse(b"a one\n").is_err());
    }
}
