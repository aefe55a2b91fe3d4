//! Queues of destinations that are no longer configured.
//!
//! They stay on disk for a while: a destination that comes back (after a mistake in the configuration, say) goes on
//! where it stopped. After that they are removed, as nobody will.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{fs, io};

/// How long a queue without a destination is kept after it was last written to.
const KEEP: Duration = Duration::from_hours(7 * 24);

/// Removes what nobody has asked for in a week; gives how many are left.
pub(crate) fn sweep(directory: &Path, used: &HashSet<String>, now: SystemTime) -> io::Result<usize> {
    let mut left = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if used.contains(&name) || !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        let age = now.duration_since(newest(&path)?).unwrap_or_default();
        if age > KEEP {
            tracing::warn!(queue = %path.display(), "removed the queue of a destination that is no longer configured");
            fs::remove_dir_all(&path)?;
        } else {
            tracing::warn!(queue = %path.display(), "kept the queue of a destination that is no longer configured");
            left += 1;
        }
    }
    Ok(left)
}

fn newest(path: &Path) -> io::Result<SystemTime> {
    let mut newest = fs::metadata(path)?.modified()?;
    for entry in fs::read_dir(path)? {
        newest = newest.max(entry?.metadata()?.modified()?);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_queue_goes_after_a_week() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["used", "forgotten"] {
            fs::create_dir(directory.path().join(name)).unwrap();
            fs::write(directory.path().join(name).join("cursor"), "x").unwrap();
        }
        fs::write(directory.path().join("file"), "x").unwrap();
        let used = HashSet::from(["used".to_owned()]);
        let now = SystemTime::now();
        assert_eq!(sweep(directory.path(), &used, now).unwrap(), 1);
        assert!(directory.path().join("forgotten").exists());
        assert_eq!(sweep(directory.path(), &used, now + KEEP + Duration::from_mins(1)).unwrap(), 0);
        assert!(!directory.path().join("forgotten").exists());
        assert!(directory.path().join("used").exists() && directory.path().join("file").exists());
    }
}
