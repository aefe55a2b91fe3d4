//! The log on standard error, as text or as JSON, one line an event.

use std::io::IsTerminal as _;

use tracing_subscriber::Registry;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::fmt::{FormatEvent, MakeWriter};
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Log")]
#[group(skip)]
pub struct Settings {
    /// Form of its lines.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: Format,
    /// Least level that is logged: error, warn, info, debug or trace.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", ignore_case = true)]
    pub log_level: LevelFilter,
}

/// The events that are logged.
pub type Events = Layered<Targets, Registry>;

/// Starts to log events of the services down to the level, and warnings of others. Once, before anything else.
pub fn start(settings: &Settings) {
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let events = events(settings);
    match settings.log_format {
        Format::Text => events.with(layer.with_ansi(std::io::stderr().is_terminal())).init(),
        Format::Json => events.with(layer.json().flatten_event(true)).init(),
    }
}

/// As [`start`], for a program whose lines of text have a form of their own, or that writes them elsewhere.
pub fn start_as<E, W>(settings: &Settings, text: E, writer: W)
where
    E: FormatEvent<Events, DefaultFields> + Send + Sync + 'static,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false).with_ansi(false);
    let events = events(settings);
    match settings.log_format {
        Format::Text => events.with(layer.event_format(text)).init(),
        Format::Json => events.with(layer.json().flatten_event(true)).init(),
    }
}

/// Has panics told as events of the log, in its form, and not as text of their own.
pub(crate) fn take_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panicked: {}", panic.payload_as_str().unwrap_or_default());
    }));
}

fn events(settings: &Settings) -> Events {
    let others = Targets::new().with_default(settings.log_level.min(LevelFilter::WARN));
    // The crates of the services, and their binaries, which have names of their own.
    let ours = ["services", "file_transfer", "vote", "echo", "hits", "registry"];
    let targets = ours.iter().fold(others, |targets, name| targets.with_target(*name, settings.log_level));
    tracing_subscriber::registry().with(targets)
}
