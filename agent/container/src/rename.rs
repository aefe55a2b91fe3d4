//! Other names for labels: `--container.rename-label FROM=TO`.

use crate::identity;

/// Labels that families have of their own; no label of a container may take their place.
const OF_FAMILIES: &[&str] = &[
    "acc_id",
    "cpu",
    "device",
    "failure_type",
    "interface",
    "le",
    "major",
    "make",
    "minor",
    "model",
    "node",
    "node_id",
    "operation",
    "pagesize",
    "quantile",
    "reason",
    "runtime",
    "scope",
    "state",
    "tcp_state",
    "type",
    "udp_state",
    "ulimit",
];

/// Labels that every container may have.
const OF_IDENTITY: &[&str] = &["id", "image", "name"];

/// Which labels get other names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    /// From and to, both as they stand on the page.
    pairs: Vec<(String, String)>,
}

/// A rename that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenameError {
    /// Not of the form.
    #[error("{given:?}: expected FROM=TO, such as com.docker.compose.service=service")]
    Form {
        /// As typed.
        given: String,
    },
    /// The new name is none that a label may have.
    #[error("{to:?} is no name for a label: letters, digits and underscores, no digit first, not __ first")]
    Name {
        /// The new name.
        to: String,
    },
    /// The new name is taken.
    #[error("{from:?} cannot become {to:?}: {by} already")]
    Taken {
        /// The old name as typed.
        from: String,
        /// The new name.
        to: String,
        /// What has it.
        by: &'static str,
    },
    /// One label cannot have two names.
    #[error("{from:?} is renamed twice")]
    Twice {
        /// The old name as typed.
        from: String,
    },
}

impl Renames {
    /// From the flag's values. FROM is the key of a container's label, or the name of a label on the page (`id`, `image`,
    /// `name`, `container_label_…`, `container_env_…`).
    ///
    /// # Errors
    /// When a name is none, or two labels would have the same.
    pub fn parse<'a>(given: impl IntoIterator<Item = &'a str>) -> Result<Self, RenameError> {
        let mut typed: Vec<(&str, String, &str)> = Vec::new();
        for given in given {
            let form = || RenameError::Form { given: given.to_owned() };
            let (from, to) = given.rsplit_once('=').ok_or_else(form)?;
            let (from, to) = (from.trim(), to.trim());
            if from.is_empty() {
                return Err(form());
            }
            if !is_label_name(to) {
                return Err(RenameError::Name { to: to.to_owned() });
            }
            typed.push((from, name_on_page(from), to));
        }
        for (at, (from, name, to)) in typed.iter().enumerate() {
            let taken = |by| Err(RenameError::Taken { from: (*from).to_owned(), to: (*to).to_owned(), by });
            let others = || typed.iter().enumerate().filter(move |(other, _)| *other != at).map(|(_, pair)| pair);
            if others().any(|(_, other, _)| other == name) {
                return Err(RenameError::Twice { from: (*from).to_owned() });
            }
            if others().any(|(_, _, other)| other == to) {
                return taken("another label is to have that name");
            }
            if OF_FAMILIES.contains(to) {
                return taken("metrics have a label of that name");
            }
            if OF_IDENTITY.contains(to) && name != to && !typed.iter().any(|(_, name, _)| name == to) {
                return taken("containers have a label of that name");
            }
            if name != to && [identity::LABEL, identity::ENVIRONMENT].iter().any(|prefix| to.starts_with(prefix)) {
                return taken("names that begin so belong to labels and variables of containers");
            }
        }
        Ok(Self { pairs: typed.into_iter().map(|(_, name, to)| (name, to.to_owned())).collect() })
    }

    /// Gives labels their new names, and puts them in order.
    pub(crate) fn apply(&self, labels: &mut [(String, String)]) {
        if self.pairs.is_empty() {
            return;
        }
        for (name, _) in labels.iter_mut() {
            if let Some((_, to)) = self.pairs.iter().find(|(from, _)| from == name) {
                name.clone_from(to);
            }
        }
        labels.sort_unstable();
    }
}

fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with("__")
}

fn name_on_page(from: &str) -> String {
    let is_there = OF_IDENTITY.contains(&from)
        || [identity::LABEL, identity::ENVIRONMENT].iter().any(|prefix| from.starts_with(prefix));
    if is_there { from.to_owned() } else { identity::sanitised(identity::LABEL, from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &[&str], want: &[(&str, &str)]) {
        let mut labels: Vec<_> = ["container_env_tier", "container_label_a_b", "id", "image", "name"]
            .map(|name| (name.to_owned(), name.to_owned()))
            .into();
        Renames::parse(given.iter().copied()).unwrap().apply(&mut labels);
        let got: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(got, want, "{given:?}");
    }

    #[test]
    fn labels_get_their_new_names_in_order() {
        check(
            &[],
            &[
                ("container_env_tier", "container_env_tier"),
                ("container_label_a_b", "container_label_a_b"),
                ("id", "id"),
                ("image", "image"),
                ("name", "name"),
            ],
        );
        check(
            &["a.b=zone", "name=container", "container_env_tier=tier", "absent=other"],
            &[
                ("container", "name"),
                ("id", "id"),
                ("image", "image"),
                ("tier", "container_env_tier"),
                ("zone", "container_label_a_b"),
            ],
        );
        // One makes room for the other.
        check(
            &["name=container", "a.b=name"],
            &[
                ("container", "name"),
                ("container_env_tier", "container_env_tier"),
                ("id", "id"),
                ("image", "image"),
                ("name", "container_label_a_b"),
            ],
        );
    }

    #[track_caller]
    fn refused(given: &[&str], want: &str) {
        let error = Renames::parse(given.iter().copied()).unwrap_err().to_string();
        assert!(error.contains(want), "{given:?}: {error}");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        refused(&["service"], "expected FROM=TO");
        refused(&["=service"], "expected FROM=TO");
        refused(&["a=1st"], "no name for a label");
        refused(&["a="], "no name for a label");
        refused(&["a=b-c"], "no name for a label");
        refused(&["a=__b"], "no name for a label");
        refused(&["a=x", "b=x"], "another label is to have that name");
        refused(&["a.b=x", "a-b=y"], "renamed twice");
        refused(&["a=device"], "metrics have a label of that name");
        refused(&["a=name"], "containers have a label of that name");
        refused(&["a=container_label_b"], "belong to labels and variables");
    }

    #[test]
    fn labels_of_families_are_known() {
        for page in ["v1", "v2", "v1_all", "v2_all"] {
            let path = format!("{}/tests/golden/{page}.prom", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            for line in text.lines().filter(|line| line.starts_with("container_")) {
                let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
                let names = labels.split("\",").filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
                for name in names {
                    assert!(OF_FAMILIES.contains(&name) || OF_IDENTITY.contains(&name), "{name} in {line}");
                }
            }
        }
    }
}
