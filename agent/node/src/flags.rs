//! The flags that collectors take: what there is, for `--help` and for refusing the unknown, and what was typed.

use std::collections::BTreeMap;

/// A flag of a collector, as `--help` lists it. The binary turns what is typed into [`Flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagSpec {
    /// The name without the leading dashes, such as `collector.filesystem.mount-points-exclude`.
    pub name: &'static str,
    /// One sentence for `--help`.
    pub help: &'static str,
    /// What it takes.
    pub kind: FlagKind,
    /// The value that holds when the flag is not given; `None` means unset.
    pub default: Option<&'static str>,
    /// Accepted, but not listed: an old name, or a knob for tests.
    pub hidden: bool,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagKind {
    /// `--NAME` and `--no-NAME`, kept in [`Flags`] as `true` and `false`.
    Switch,
    /// `--NAME=VALUE`; the last one wins.
    Value,
    /// `--NAME=VALUE`, and again.
    Repeated,
}

impl FlagSpec {
    /// A switch that is on or off when it is not given.
    pub const fn switch(name: &'static str, default: bool, help: &'static str) -> Self {
        let default = Some(if default { "true" } else { "false" });
        Self { name, help, kind: FlagKind::Switch, default, hidden: false }
    }

    /// A flag with one value and no default.
    pub const fn value(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: FlagKind::Value, default: None, hidden: false }
    }

    /// A flag that may be given again, each time with one more value.
    pub const fn repeated(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: FlagKind::Repeated, default: None, hidden: false }
    }

    /// The same flag with a default.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same flag, not listed.
    #[must_use]
    pub const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }
}

/// The flags `--collector.NAME.*` as typed, looked up by name without the leading dashes. Defaults are not in here:
/// [`value`](Self::value) and [`is_on`](Self::is_on) add them.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    values: BTreeMap<String, Vec<String>>,
}

impl Flags {
    /// Sets a flag; a repeatable one gathers its values. A switch is `true` or `false`.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.entry(name.into()).or_default().push(value.into());
    }

    /// The last value given for a flag.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(|v| v.last()).map(String::as_str)
    }

    /// All values given for a flag.
    pub fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The last value given for a flag, or its default.
    pub fn value(&self, flag: &FlagSpec) -> Option<&str> {
        self.get(flag.name).or(flag.default)
    }

    /// Whether a switch is on, given or by default.
    pub fn is_on(&self, flag: &FlagSpec) -> bool {
        self.value(flag) == Some("true")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_until_a_flag_is_given() {
        const SWITCH: FlagSpec = FlagSpec::switch("a", true, "");
        const VALUE: FlagSpec = FlagSpec::value("b", "").or("x");
        let mut flags = Flags::default();
        assert!(flags.is_on(&SWITCH));
        assert_eq!(flags.value(&VALUE), Some("x"));
        flags.push("a", "false");
        flags.push("b", "y");
        flags.push("b", "z");
        assert!(!flags.is_on(&SWITCH));
        assert_eq!((flags.value(&VALUE), flags.all("b")), (Some("z"), ["y".to_owned(), "z".to_owned()].as_slice()));
    }
}
