//! What Docker tells of a container's files: what is mounted into it, and where its output goes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::models::MountPoint;

use crate::described::Volume;

/// Volumes of one container that are known; the rest is passed over.
const MOST_VOLUMES: usize = 256;

/// Volumes, and folders of the machine, of those that are mounted into a container.
pub(super) fn volumes(mounts: Vec<MountPoint>) -> Arc<[Volume]> {
    let known = mounts.into_iter().filter_map(|mount| {
        let is_bound = match mount.typ.as_deref() {
            Some("volume") => false,
            Some("bind") => true,
            _ => return None,
        };
        let source = mount.source.filter(|source| source.starts_with('/'))?;
        Some(Volume {
            name: mount.name.filter(|name| !is_bound && !name.is_empty()),
            driver: mount.driver.unwrap_or_default(),
            source: PathBuf::from(source).into(),
            destination: mount.destination.unwrap_or_default(),
        })
    });
    known.take(MOST_VOLUMES).collect()
}

/// Where a container's output goes. Docker does not say it of its driver `local`, which has it in the container's
/// folder; of that one knows by the file with its host name, which may be another container's.
pub(super) fn log(
    id: &str,
    path: Option<String>,
    hostname: Option<String>,
    driver: Option<String>,
) -> Option<Arc<Path>> {
    if let Some(path) = path.filter(|path| path.starts_with('/')) {
        return Some(PathBuf::from(path).into());
    }
    if driver.as_deref() != Some("local") {
        return None;
    }
    let hostname = PathBuf::from(hostname?);
    let containers = hostname.parent()?.parent().filter(|containers| containers.is_absolute())?;
    Some(containers.join(id).join("local-logs/container.log").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, name: Option<&str>, source: &str) -> MountPoint {
        MountPoint {
            typ: Some(kind.to_owned()),
            name: name.map(str::to_owned),
            source: Some(source.to_owned()),
            destination: Some("/data".to_owned()),
            driver: name.map(|_| "local".to_owned()),
            ..MountPoint::default()
        }
    }

    #[test]
    fn what_is_mounted() {
        let all = [
            mount("volume", Some("shop"), "/var/lib/docker/volumes/shop/_data"),
            mount("bind", None, "/srv"),
            mount("tmpfs", None, ""),
            mount("volume", Some("of-a-plugin"), ""),
            mount("npipe", None, "/x"),
            MountPoint::default(),
        ];
        let known = volumes(all.into());
        let seen: Vec<_> =
            known.iter().map(|volume| (volume.name.as_deref(), volume.source.to_str().unwrap())).collect();
        assert_eq!(seen, [(Some("shop"), "/var/lib/docker/volumes/shop/_data"), (None, "/srv")]);
        assert_eq!((known[0].driver.as_str(), known[0].destination.as_str()), ("local", "/data"));
        assert_eq!(volumes(vec![mount("bind", None, "/srv"); MOST_VOLUMES + 1]).len(), MOST_VOLUMES);
    }

    #[track_caller]
    fn check_log(path: &str, hostname: &str, driver: &str, want: Option<&str>) {
        let text = |text: &str| Some(text.to_owned());
        let got = log("a", text(path), text(hostname), text(driver));
        assert_eq!(got.as_deref(), want.map(Path::new));
    }

    #[test]
    fn logs() {
        let json = "/var/lib/docker/containers/a/a-json.log";
        check_log(json, "/var/lib/docker/containers/a/hostname", "json-file", Some(json));
        let local = Some("/var/lib/docker/containers/a/local-logs/container.log");
        check_log("", "/var/lib/docker/containers/a/hostname", "local", local);
        check_log("", "/var/lib/docker/containers/b/hostname", "local", local);
        check_log("", "", "local", None);
        check_log("", "hostname", "local", None);
        check_log("", "/var/lib/docker/containers/a/hostname", "journald", None);
        check_log("relative", "/x/a/hostname", "json-file", None);
    }
}
