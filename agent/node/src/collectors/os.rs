//! Which distribution this is, from `/etc/os-release` or `/usr/lib/os-release` below `--path.rootfs`.

use std::path::{Path, PathBuf};

use agent_exposition::{Kind, Page};
use agent_procfs::os_release::{self, OsRelease};
use agent_procfs::{CachedFile, Error};
use time::macros::format_description;

use crate::stamp::Stamp;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "os",
    help: "Name and version of the distribution.",
    default_on: true,
    flags: &[],
    build: |context| {
        let paths = ["etc/os-release", "usr/lib/os-release"].map(|path| context.root.rootfs.join(path));
        Ok(Box::new(Os { paths, known: None }))
    },
};

struct Os {
    /// The first one that is there counts.
    paths: [PathBuf; 2],
    known: Option<Known>,
}

struct Known {
    stamp: Option<Stamp>,
    path: PathBuf,
    release: OsRelease,
}

impl Collector for Os {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        for path in &self.paths {
            match release(path, &mut self.known) {
                Ok(release) => {
                    add(page, release);
                    return Ok(Outcome::Collected);
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Outcome::Nothing)
    }
}

/// The file, parsed again only if it has changed.
fn release<'a>(path: &Path, known: &'a mut Option<Known>) -> Result<&'a OsRelease, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let stamp = Stamp::of(&metadata);
    let is_fresh = |known: &Known| stamp.is_some() && known.stamp == stamp && known.path == path;
    let fresh = match known.take().filter(is_fresh) {
        Some(fresh) => fresh,
        None => Known { stamp, path: path.to_owned(), release: os_release::parse(CachedFile::new(path).read()?) },
    };
    Ok(&known.insert(fresh).release)
}

fn add(page: &mut Page, release: &OsRelease) {
    let of = |key| release.get(key).unwrap_or_default();
    let family = page.family("node_os_info", "Name and version of the distribution, as labels.", Kind::Gauge);
    let labels = [
        ("build_id", of("BUILD_ID")),
        ("id", of("ID")),
        ("id_like", of("ID_LIKE")),
        ("image_id", of("IMAGE_ID")),
        ("image_version", of("IMAGE_VERSION")),
        ("name", of("NAME")),
        ("pretty_name", of("PRETTY_NAME")),
        ("variant", of("VARIANT")),
        ("variant_id", of("VARIANT_ID")),
        ("version", of("VERSION")),
        ("version_codename", of("VERSION_CODENAME")),
        ("version_id", of("VERSION_ID")),
    ];
    page.sample(family, &labels, 1.0);
    if let Some(version) = major_minor(of("VERSION_ID")).filter(|version| *version > 0.0) {
        let help = "Version of the distribution as a number: major and minor part.";
        let family = page.family("node_os_version", help, Kind::Gauge);
        page.sample(family, &[("id", of("ID")), ("id_like", of("ID_LIKE")), ("name", of("NAME"))], version);
    }
    if let Some(end) = midnight(of("SUPPORT_END")) {
        let help = "Unix time at which the support of the distribution ends.";
        page.single("node_os_support_end_timestamp_seconds", help, Kind::Gauge, end as f64);
    }
}

/// `22.04.1` is 22.04.
fn major_minor(version: &str) -> Option<f64> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let major = digits(version);
    let minor = match version.get(major..)?.strip_prefix('.') {
        Some(rest) => major + 1 + digits(rest),
        None => major,
    };
    version.get(..minor)?.parse().ok()
}

/// Unix time of a date such as `2026-12-31`, at 00:00 UTC.
fn midnight(date: &str) -> Option<i64> {
    let date = time::Date::parse(date, format_description!("[year]-[month]-[day]")).ok()?;
    Some(date.midnight().assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_numbers() {
        #[track_caller]
        fn check(version: &str, want: Option<f64>) {
            assert_eq!(major_minor(version), want, "{version}");
        }
        check("12", Some(12.0));
        check("22.04", Some(22.04));
        check("22.04.1", Some(22.04));
        check("12.", Some(12.0));
        check("12sp3", Some(12.0));
        check("rolling", None);
        check("", None);
    }

    #[test]
    fn dates_as_times() {
        #[track_caller]
        fn check(date: &str, want: Option<i64>) {
            assert_eq!(midnight(date), want, "{date}");
        }
        check("1970-01-01", Some(0));
        check("2000-03-01", Some(951_868_800));
        check("2024-02-29", Some(1_709_164_800));
        check("2026-12-31", Some(1_798_675_200));
        check("2023-02-29", None);
        check("2023-13-01", None);
        check("2023-00-01", None);
        check("2023-1-1", None);
        check("", None);
        check("soon", None);
    }
}
