//! Chosen settings of the kernel, from `/proc/sys`.

use agent_exposition::{Kind, Page};
use agent_procfs::{Error, Malformed, scan};

use crate::source::Source;
use crate::{BuildError, CollectError, Collector, Context, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "sysctl",
    help: "Chosen settings of the kernel.",
    default_on: false,
    flags: &[INCLUDE, INCLUDE_INFO],
    build,
};

const INCLUDE: FlagSpec = FlagSpec::repeated(
    "collector.sysctl.include",
    "A setting of numbers, as a.b.c; where it has several, as a.b.c:first,second with a name for each.",
);
const INCLUDE_INFO: FlagSpec =
    FlagSpec::repeated("collector.sysctl.include-info", "A setting of text, as a.b.c; it becomes a label.");

fn build(context: &Context) -> Result<Box<dyn Collector>, BuildError> {
    let mut settings: Vec<Setting> = Vec::new();
    for (flag, is_text) in [(&INCLUDE, false), (&INCLUDE_INFO, true)] {
        for given in context.flags.all(flag.name) {
            let setting = Setting::build(context, given, is_text);
            let setting = setting.map_err(|reason| BuildError {
                flag: flag.name.to_owned(),
                value: given.clone(),
                reason: reason.to_owned(),
            })?;
            // Given twice, it is still one series.
            if !settings.iter().any(|other| other.name == setting.name && other.is_text == is_text) {
                settings.push(setting);
            }
        }
    }
    Ok(Box::new(Sysctl { settings }))
}

struct Sysctl {
    settings: Vec<Setting>,
}

struct Setting {
    /// As given, such as `net.ipv4.tcp_rmem`.
    name: String,
    /// Names for its fields.
    keys: Vec<String>,
    is_text: bool,
    file: Source,
    complained: bool,
}

impl Setting {
    fn build(context: &Context, given: &str, is_text: bool) -> Result<Self, &'static str> {
        let (name, keys) = given.split_once(':').map_or((given, None), |(name, keys)| (name, Some(keys)));
        let keys: Vec<String> = keys.map(|keys| keys.split(',').map(str::to_owned).collect()).unwrap_or_default();
        if name.is_empty() || name.contains('/') {
            return Err("expected a setting such as kernel.threads-max");
        }
        if is_text && !keys.is_empty() {
            return Err("text has no names for its fields");
        }
        if !keys.iter().all(|key| scan::is_word(key.as_bytes())) {
            return Err("expected letters, digits and underscores as names of fields");
        }
        let file = Source::new(context.root.proc("sys").join(name.replace('.', "/")));
        Ok(Self { name: name.to_owned(), keys, is_text, file, complained: false })
    }

    fn add(&mut self, page: &mut Page) -> Result<(), Error> {
        let Self { name, keys, is_text, file, .. } = self;
        match is_text {
            true => add_text(page, name, file.parse(words)?),
            false => {
                let expected = keys.len();
                add_numbers(page, name, keys, &file.parse(|bytes| numbers(bytes, expected))?);
            }
        }
        Ok(())
    }
}

impl Collector for Sysctl {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mut first_error = None;
        let mut outcome = Outcome::Nothing;
        for setting in &mut self.settings {
            match setting.add(page) {
                Ok(()) => outcome = Outcome::Collected,
                Err(error) => {
                    if !std::mem::replace(&mut setting.complained, true) {
                        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                        tracing::warn!(%error, cause, "leaving out a setting of the kernel");
                    }
                    first_error.get_or_insert(error);
                }
            }
        }
        match (first_error, outcome) {
            (Some(error), Outcome::Nothing) => Err(error.into()),
            _ => Ok(outcome),
        }
    }
}

fn words(bytes: &[u8]) -> Result<Vec<&str>, Malformed> {
    let words: Option<Vec<_>> = scan::fields(bytes).map(scan::text).collect();
    words.filter(|words| !words.is_empty()).ok_or(Malformed { line: 1, reason: "expected text" })
}

/// The numbers of a file, as many as there are names for them; any number of them where there are no names.
fn numbers(bytes: &[u8], expected: usize) -> Result<Vec<i64>, Malformed> {
    let numbers: Option<Vec<_>> = scan::fields(bytes).map(scan::signed).collect();
    let numbers = numbers.filter(|numbers| !numbers.is_empty());
    let numbers = numbers.ok_or(Malformed { line: 1, reason: "expected numbers" })?;
    match expected == 0 || expected == numbers.len() {
        true => Ok(numbers),
        false => Err(Malformed { line: 1, reason: "expected as many numbers as there are names for them" }),
    }
}

fn add_text(page: &mut Page, name: &str, words: Vec<&str>) {
    let family = page.family("node_sysctl_info", "A setting of the kernel, as text.", Kind::Gauge);
    for (index, word) in words.into_iter().enumerate() {
        page.sample(family, &[("index", &index.to_string()), ("name", name), ("value", word)], 1.0);
    }
}

fn add_numbers(page: &mut Page, name: &str, keys: &[String], numbers: &[i64]) {
    let metric = format!("node_sysctl_{}", metric_name(name));
    for (key, number) in keys.iter().zip(numbers) {
        page.single(
            format!("{metric}_{key}"),
            format!("Field {key} of the kernel's setting {name}."),
            Kind::Untyped,
            *number as f64,
        );
    }
    if keys.is_empty() {
        let family = page.family(metric, format!("The kernel's setting {name}."), Kind::Untyped);
        match numbers {
            [number] => page.sample(family, &[], *number as f64),
            numbers => numbers.iter().enumerate().for_each(|(index, number)| {
                page.sample(family, &[("index", &index.to_string())], *number as f64);
            }),
        }
    }
}

/// `kernel.threads-max` is `kernel_threads_max`: what cannot be in a name is an underscore, however much there is.
fn metric_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(|word| word.trim_matches('_'));
    match name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        true => name.to_owned(),
        false => words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics() {
        assert_eq!(metric_name("kernel.threads-max"), "kernel_threads_max");
        assert_eq!(metric_name("net.ipv4.conf.eth0_.rp_filter"), "net_ipv4_conf_eth0_rp_filter");
        assert_eq!(metric_name("plain_"), "plain_");
    }

    #[test]
    fn numbers_are_counted() {
        assert_eq!(numbers(b"1\t-2 3\n", 0).unwrap(), [1, -2, 3]);
        assert_eq!(numbers(b"1 2\n", 2).unwrap(), [1, 2]);
        assert!(numbers(b"1\n", 2).is_err());
        assert!(numbers(b"one\n", 0).is_err());
        assert!(numbers(b"\n", 0).is_err());
        assert!(words(b"").is_err());
    }
}
