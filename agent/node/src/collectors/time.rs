//! The clock of this machine: the time, the time zone and the clock sources.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use agent_exposition::{Kind, Page};
use agent_procfs::Root;
use tz::TimeZone;

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "time",
    help: "Time, time zone and clock sources.",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Time { zone: local_zone(), clock_sources: ClockSources::find(&context.root) })),
};

struct Time {
    zone: TimeZone,
    clock_sources: Vec<ClockSources>,
}

impl Collector for Time {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        page.single("node_time_seconds", "Unix time of this machine.", Kind::Gauge, now.as_secs_f64());
        let unix_time = i64::try_from(now.as_secs()).unwrap_or_default();
        if let Ok(zone) = self.zone.find_local_time_type(unix_time) {
            let help = "How far the local time zone is ahead of UTC.";
            let family = page.family("node_time_zone_offset_seconds", help, Kind::Gauge);
            page.sample(family, &[("time_zone", zone.time_zone_designation())], zone.ut_offset().into());
        }
        for source in &mut self.clock_sources {
            source.collect(page)?;
        }
        Ok(Outcome::Collected)
    }
}

/// The zone that `TZ` names, or the machine's. It is UTC when `TZ` is empty or names nothing known, and when the
/// machine has no zone, as it is for any program of this process.
fn local_zone() -> TimeZone {
    let zone = match std::env::var("TZ").as_deref() {
        Err(_) => TimeZone::local(),
        Ok("") => Ok(TimeZone::utc()),
        Ok(name) => TimeZone::from_posix_tz(name),
    };
    zone.unwrap_or_else(|_| TimeZone::utc())
}

/// A directory `clocksourceN`.
struct ClockSources {
    number: String,
    available: Source,
    current: Source,
}

impl ClockSources {
    /// They are set up at boot, so which there are is looked up once.
    fn find(root: &Root) -> Vec<Self> {
        let directory = |number: &usize| root.sys(format!("devices/system/clocksource/clocksource{number}"));
        let of = |(number, directory): (usize, PathBuf)| Self {
            number: number.to_string(),
            available: Source::new(directory.join("available_clocksource")),
            current: Source::new(directory.join("current_clocksource")),
        };
        (0..).map(|number| (number, directory(&number))).take_while(|(_, path)| path.is_dir()).map(of).collect()
    }

    fn collect(&mut self, page: &mut Page) -> Result<(), CollectError> {
        let help = "1 for each clock source that the kernel could use.";
        let available = page.family("node_time_clocksource_available_info", help, Kind::Gauge);
        for name in words(self.available.read()?) {
            page.sample(available, &[("clocksource", name), ("device", &self.number)], 1.0);
        }
        let help = "1 for the clock source that the kernel uses.";
        let current = page.family("node_time_clocksource_current_info", help, Kind::Gauge);
        for name in words(self.current.read()?) {
            page.sample(current, &[("clocksource", name), ("device", &self.number)], 1.0);
        }
        Ok(())
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = &str> {
    str::from_utf8(bytes).unwrap_or_default().split_ascii_whitespace()
}
