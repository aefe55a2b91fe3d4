//! The log on standard error, in the two forms that node_exporter has: logfmt and JSON. On a terminal the level has a
//! colour.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `level=info msg="listening" …`
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// Starts to log events of our own crates down to a level, and warnings of others. `own` are the beginnings of their
/// names, such as `agent` and `atalaia_agent`. For binaries: once, before anything else.
pub fn start(level: LevelFilter, format: Format, own: &[&'static str]) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let others = Targets::new().with_default(level.min(LevelFilter::WARN));
    let targets = own.iter().fold(others, |targets, name| targets.with_target(*name, level));
    let is_coloured = takes_colours(&std::io::stderr());
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(is_coloured);
    let layer = layer.event_format(format);
    tracing_subscriber::registry().with(layer).with(targets).init();
}

/// Whether colours may be written there: to a terminal, unless the environment has `NO_COLOR` (with any text but none).
/// For binaries.
pub fn takes_colours(to: &impl IsTerminal) -> bool {
    to.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty())
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let level = level_name(*event.metadata().level());
        match self {
            Self::Logfmt => {
                let (on, off) = match *event.metadata().level() {
                    _ if !out.has_ansi_escapes() => ("", ""),
                    Level::ERROR => ("\x1b[31m", "\x1b[0m"),
                    Level::WARN => ("\x1b[33m", "\x1b[0m"),
                    Level::INFO => ("\x1b[32m", "\x1b[0m"),
                    _ => ("\x1b[34m", "\x1b[0m"),
                };
                write!(out, "time={time} level={on}{level}{off} msg={}", quote(&fields.message))?;
                for (name, value) in &fields.others {
                    let bare = !value.is_empty() && value.bytes().all(|b| b > b' ' && !matches!(b, b'"' | b'='));
                    if bare { write!(out, " {name}={value}") } else { write!(out, " {name}={}", quote(value)) }?;
                }
                writeln!(out)
            }
            Self::Json => {
                let known = [("time", time.as_str()), ("level", level), ("msg", &fields.message)];
                let others = fields.others.iter().map(|(name, value)| (*name, value.as_str()));
                let line: serde_json::Map<_, _> =
                    known.into_iter().chain(others).map(|(name, value)| (name.to_owned(), value.into())).collect();
                writeln!(out, "{}", serde_json::Value::Object(line))
            }
        }
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        _ => "debug",
    }
}

/// In quotes, with what would break the line escaped.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(text, "{value:?}");
        self.record_str(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.others.push((field.name(), value.to_owned()));
        }
    }
}
