//! The clock of this machine: the time, the time zone and the clock sources.

use std::path::{Path, PathBuf};
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
    build: |context| {
        Ok(Box::new(Time { zone: local_zone(&context.root), clock_sources: ClockSources::find(&context.root) }))
    },
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
fn local_zone(root: &Root) -> TimeZone {
    let utc = || TimeZone::from_posix_tz("UTC0").unwrap_or_else(|_| TimeZone::utc());
    let zone = match std::env::var("TZ").as_deref() {
        Err(_) => zone_of_machine(&root.rootfs),
        Ok("") => None,
        Ok(name) => TimeZone::from_posix_tz(name).ok(),
    };
    zone.unwrap_or_else(utc)
}

/// From the machine's own `/etc/localtime`, where it is mounted too: a link, mostly, that is meant from its root on.
fn zone_of_machine(rootfs: &Path) -> Option<TimeZone> {
    let file = rootfs.join("etc/localtime");
    let file = match std::fs::read_link(&file) {
        Ok(target) if target.is_absolute() => rootfs.join(target.strip_prefix("/").ok()?),
        _ => file,
    };
    TimeZone::from_tz_data(&std::fs::read(file).ok()?).ok()
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
            available: Source::new(directory.join("available_clocksource")).with_short_lines(),
            current: Source::new(directory.join("current_clocksource")).with_short_lines(),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of a zone that is always three hours ahead.
    fn zone_file() -> Vec<u8> {
        let mut block = b"TZif2".to_vec();
        block.extend([0; 15]);
        // How many there are of six things: one kind of time, with a name of four bytes.
        block.extend([0_u32, 0, 0, 0, 1, 4].iter().flat_map(|count| count.to_be_bytes()));
        block.extend(10_800_i32.to_be_bytes());
        block.extend([0, 0]);
        block.extend(b"XYZ\0");
        [&block[..], &block[..], b"\nXYZ-3\n"].concat()
    }

    #[test]
    fn the_zone_is_the_machines_and_not_that_of_the_container() {
        let rootfs = tempfile::tempdir().unwrap();
        assert!(zone_of_machine(rootfs.path()).is_none());
        for folder in ["etc", "usr/share/zoneinfo"] {
            std::fs::create_dir_all(rootfs.path().join(folder)).unwrap();
        }
        std::fs::write(rootfs.path().join("usr/share/zoneinfo/Xyz"), zone_file()).unwrap();
        std::os::unix::fs::symlink("/usr/share/zoneinfo/Xyz", rootfs.path().join("etc/localtime")).unwrap();
        let zone = zone_of_machine(rootfs.path()).unwrap();
        let now = zone.find_local_time_type(0).unwrap();
        assert_eq!((now.ut_offset(), now.time_zone_designation()), (10_800, "XYZ"));
    }
}
