//! `collect[]` and `exclude[]`: which collectors a scrape asks for.

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// No filter.
    #[default]
    All,
    /// `collect[]`: these.
    Only(Vec<String>),
    /// `exclude[]`: all but these. Names that nothing has are no mistake: the same request goes to many machines.
    Except(Vec<String>),
}

/// A filter that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Both kinds in one request.
    #[error("collect[] and exclude[] cannot be combined: use one of them")]
    Both,
    /// A name in `collect[]` that no collector has.
    #[error("collect[]={name}: no such collector, there are {known}")]
    Unknown {
        /// As asked for.
        name: String,
        /// Those that run.
        known: String,
    },
    /// A name in `collect[]` whose collector does not run.
    #[error("collect[]={name}: this collector is off, --collector.{name} turns it on")]
    Off {
        /// As asked for.
        name: String,
    },
}

impl Selection {
    /// Reads a request's parameters. Those of other names are left alone.
    ///
    /// # Errors
    /// Both filters in one request, or a name in `collect[]` that is not among `running`. `all` are the names of
    /// every collector there is.
    pub fn from_query(
        parameters: &[(String, String)],
        running: &[&'static str],
        all: &[&'static str],
    ) -> Result<Self, SelectionError> {
        let values = |wanted: &str| -> Vec<String> {
            parameters.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.clone()).collect()
        };
        let (only, except) = (values("collect[]"), values("exclude[]"));
        match (only.is_empty(), except.is_empty()) {
            (false, false) => return Err(SelectionError::Both),
            (true, true) => return Ok(Self::All),
            (true, false) => return Ok(Self::Except(except)),
            (false, true) => {}
        }
        if let Some(name) = only.iter().find(|name| !running.contains(&name.as_str())) {
            let name = name.clone();
            return Err(if all.contains(&name.as_str()) {
                SelectionError::Off { name }
            } else {
                SelectionError::Unknown { name, known: running.join(", ") }
            });
        }
        Ok(Self::Only(only))
    }

    /// Whether a collector takes part.
    pub fn has(&self, collector: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name == collector),
            Self::Except(names) => names.iter().all(|name| name != collector),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &[(&str, &str)]) -> Result<Selection, String> {
        let parameters: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Selection::from_query(&parameters, &["cpu", "stat"], &["cpu", "stat", "wifi"]).map_err(|e| e.to_string())
    }

    #[track_caller]
    fn check(query: &[(&str, &str)], want: &[&str]) {
        let selection = parse(query).unwrap();
        let got: Vec<_> = ["cpu", "stat"].into_iter().filter(|name| selection.has(name)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn filters() {
        check(&[], &["cpu", "stat"]);
        check(&[("unknown", "x")], &["cpu", "stat"]);
        check(&[("collect[]", "cpu")], &["cpu"]);
        check(&[("collect[]", "cpu"), ("collect[]", "stat"), ("collect[]", "cpu")], &["cpu", "stat"]);
        check(&[("exclude[]", "cpu")], &["stat"]);
        check(&[("exclude[]", "nonsense")], &["cpu", "stat"]);
        // node_exporter answers with everything here.
        check(&[("exclude[]", "cpu"), ("exclude[]", "stat")], &[]);
    }

    #[test]
    fn refusals() {
        let refused = |query: &[(&str, &str)]| parse(query).unwrap_err();
        assert!(refused(&[("collect[]", "cpu"), ("exclude[]", "stat")]).contains("cannot be combined"));
        assert!(refused(&[("collect[]", "cpuu")]).contains("no such collector, there are cpu, stat"));
        assert!(refused(&[("collect[]", "wifi")]).contains("--collector.wifi turns it on"));
    }
}
