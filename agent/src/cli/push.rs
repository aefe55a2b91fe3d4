//! The flags of delivery.

use std::time::Duration;

use atalaia_agent::{Credentials, PushSettings};
use clap::{Arg, ArgMatches};

use super::flags::{repeated, value};
use super::{FlagError, text, texts, wrong};

const PUSH: &str = "Push (delivery by Prometheus remote write, where nothing can scrape)";
const URL: &str = "push.url";

pub(super) fn flags() -> Vec<Arg> {
    [
        value(URL, "URL", "Where to send what the pages say, such as https://HOST/api/v1/write."),
        value("push.interval", "DURATION", "From one scrape to the next. [default: 15s]"),
        value("push.job", "NAME", "The label job. [default: agent]"),
        value(
            "push.instance",
            "NAME",
            "The label instance. [default: the machine's name and the port of the node page]",
        ),
        repeated(
            "push.external-label",
            "NAME=VALUE",
            "A label for series that have none of that name; again for more.",
        ),
        value("push.username", "NAME", "Who to be at the receiver, with --push.password-file."),
        value("push.password-file", "FILE", "Where the password is; read for every request."),
        value("push.bearer-token-file", "FILE", "Where a token is that is shown instead of a password."),
        value("push.ca-file", "FILE", "The authorities that may vouch for the receiver, PEM. [default: the system's]"),
        value("push.timeout", "DURATION", "How long a request may take. [default: 30s]"),
        value(
            "push.queue-size",
            "BYTES",
            "How much may wait while the receiver is away, such as 64MB; then the oldest is dropped. [default: 16MB]",
        ),
    ]
    .map(|arg| arg.help_heading(PUSH))
    .into()
}

/// Checked; `None` without a URL.
pub(super) fn settings(matches: &ArgMatches) -> Result<Option<PushSettings>, FlagError> {
    let given = |flag: &str| matches.get_one::<String>(flag).cloned();
    let Some(url) = given(URL).filter(|url| !url.is_empty()) else {
        let names: Vec<_> = flags().iter().map(|flag| flag.get_id().to_string()).collect();
        return match names.iter().find(|name| *name != URL && matches.contains_id(name)) {
            Some(stray) => wrong(format!("--{stray} does nothing without --{URL}: give that too, or drop it")),
            None => Ok(None),
        };
    };
    let defaults = PushSettings::default();
    let duration = |flag, default| given(flag).map_or(Ok(default), |text| duration(flag, &text));
    let job = given("push.job").unwrap_or(defaults.job);
    if job.is_empty() {
        return wrong("--push.job: a name is needed");
    }
    Ok(Some(PushSettings {
        url,
        interval: duration("push.interval", defaults.interval)?,
        job,
        instance: given("push.instance").filter(|instance| !instance.is_empty()),
        external_labels: external_labels(&texts(matches, "push.external-label"))?,
        credentials: credentials(matches)?,
        ca_file: given("push.ca-file").map(Into::into),
        timeout: duration("push.timeout", defaults.timeout)?,
        queue_bytes: given("push.queue-size").map_or(Ok(defaults.queue_bytes), |text| size(&text))?,
    }))
}

fn credentials(matches: &ArgMatches) -> Result<Credentials, FlagError> {
    let given = |flag| Some(text(matches, flag)).filter(|text| !text.is_empty());
    match (given("push.username"), given("push.password-file"), given("push.bearer-token-file")) {
        (None, None, None) => Ok(Credentials::None),
        (Some(username), Some(file), None) if !username.contains(':') => {
            Ok(Credentials::Basic { username, password_file: file.into() })
        }
        (Some(_), Some(_), None) => wrong("--push.username: a name without a colon is needed"),
        (None, None, Some(file)) => Ok(Credentials::Bearer { token_file: file.into() }),
        (_, _, Some(_)) => wrong(
            "--push.bearer-token-file and --push.username or --push.password-file contradict each other: drop one",
        ),
        (Some(_), None, None) => wrong("--push.username needs --push.password-file"),
        (None, Some(_), None) => wrong("--push.password-file needs --push.username"),
    }
}

fn duration(flag: &str, text: &str) -> Result<Duration, FlagError> {
    match agent_procfs::duration::parse(text) {
        Some(duration) if duration >= Duration::from_millis(100) => Ok(duration),
        _ => wrong(format!("--{flag}={text}: a duration of at least 100ms is needed, such as 15s or 1m")),
    }
}

/// Receivers refuse series in which a name stands twice.
fn external_labels(texts: &[String]) -> Result<Vec<(String, String)>, FlagError> {
    let mut labels: Vec<(String, String)> = Vec::new();
    for text in texts {
        let (name, value) = label(text)?;
        if labels.iter().any(|(known, _)| *known == name) {
            return wrong(format!("--push.external-label: {name} is given twice, drop one"));
        }
        labels.push((name, value));
    }
    Ok(labels)
}

fn label(text: &str) -> Result<(String, String), FlagError> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let legal = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if name.is_empty() || !name.chars().all(legal) || name.starts_with(|c: char| c.is_ascii_digit()) || value.is_empty()
    {
        return wrong(format!(
            "--push.external-label={text}: NAME=VALUE is needed, with a name of letters, digits and _"
        ));
    }
    if name.starts_with("__") || ["job", "instance"].contains(&name) {
        return wrong(format!("--push.external-label={text}: the name is taken; see --push.job and --push.instance"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Bytes, with a unit of Prometheus's: those are powers of 1024.
fn size(text: &str) -> Result<usize, FlagError> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or("").to_ascii_uppercase().as_str() {
        "" | "B" => Some(1),
        "KB" | "KIB" => Some(1 << 10),
        "MB" | "MIB" => Some(1 << 20),
        "GB" | "GIB" => Some(1 << 30),
        _ => None,
    };
    let bytes = unit.and_then(|unit| digits.parse::<usize>().ok()?.checked_mul(unit));
    match bytes {
        // Smaller, and not even a page may fit.
        Some(bytes) if bytes >= 64 << 10 => Ok(bytes),
        _ => wrong(format!("--push.queue-size={text}: at least 64KB are needed, such as 16MB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<PushSettings>, String> {
        let command = super::super::flags::command().no_binary_name(true);
        let matches = command.try_get_matches_from(line.split_ascii_whitespace()).unwrap();
        settings(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_url_nothing_is_delivered() {
        assert!(read("").unwrap().is_none());
        assert!(read("--push.url=").unwrap().is_none());
        assert!(read("--push.job=x").unwrap_err().contains("--push.job does nothing without --push.url"));
    }

    #[test]
    fn the_defaults_are_the_librarys() {
        let (ours, theirs) = (read("--push.url=http://h/").unwrap().unwrap(), PushSettings::default());
        let told = PushSettings { url: "http://h/".to_owned(), ..theirs };
        assert_eq!(format!("{ours:?}"), format!("{told:?}"));
        let help = super::super::flags::command().render_help().to_string();
        for default in ["[default: 15s]", "[default: agent]", "[default: 30s]", "[default: 16MB]"] {
            assert!(help.contains(default), "{default}");
        }
    }

    #[test]
    fn flags_are_read() {
        let push = read(
            "--push.url=http://h/ --push.interval=1m --push.job=j --push.instance=i --push.external-label=a=b=c \
             --push.external-label d=e --push.username=u --push.password-file=/p --push.ca-file=/c \
             --push.timeout 5s --push.queue-size=2MiB",
        );
        let push = push.unwrap().unwrap();
        assert_eq!((push.interval, push.timeout), (Duration::from_secs(60), Duration::from_secs(5)));
        assert_eq!((push.job.as_str(), push.instance.as_deref()), ("j", Some("i")));
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(push.external_labels, [label("a", "b=c"), label("d", "e")]);
        assert!(matches!(push.credentials, Credentials::Basic { username, .. } if username == "u"));
        assert_eq!((push.ca_file, push.queue_bytes), (Some("/c".into()), 2 << 20));
        assert_eq!(size("65536").unwrap(), 65_536);
        assert_eq!(size("1gb").unwrap(), 1 << 30);
    }

    #[test]
    fn mistakes_are_named() {
        for (flags, want) in [
            ("--push.interval=0s", "--push.interval=0s: a duration of at least 100ms"),
            ("--push.timeout=soon", "--push.timeout=soon: a duration"),
            ("--push.queue-size=1", "at least 64KB"),
            ("--push.queue-size=16XB", "at least 64KB"),
            ("--push.queue-size=99999999999999999999GB", "at least 64KB"),
            ("--push.external-label=a", "NAME=VALUE is needed"),
            ("--push.external-label=a-b=c", "NAME=VALUE is needed"),
            ("--push.external-label=job=c", "see --push.job"),
            ("--push.external-label=a=b --push.external-label=a=c", "--push.external-label: a is given twice"),
            ("--push.external-label=__name__=c", "the name is taken"),
            ("--push.job=", "--push.job: a name is needed"),
            ("--push.username=u", "needs --push.password-file"),
            ("--push.password-file=/p", "needs --push.username"),
            ("--push.username=a:b --push.password-file=/p", "without a colon"),
            ("--push.bearer-token-file=/t --push.username=u", "contradict each other"),
        ] {
            let error = read(&format!("--push.url=http://h/ {flags}")).unwrap_err();
            assert!(error.contains(want), "{flags}: {error}");
        }
    }
}
