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
        external_labels: texts(matches, "push.external-label")
            .iter()
            .map(|text| label(text))
            .collect::<Result<_, _>>()?,
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
    match humantime::parse_duration(text) {
        Ok(duration) if duration >= Duration::from_millis(100) => Ok(duration),
        _ => wrong(format!("--{flag}={text}: a duration of at least 100ms is needed, such as 15s or 1m")),
    }
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
