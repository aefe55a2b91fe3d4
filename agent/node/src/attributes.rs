//! The single-value files of a device, such as those below `/sys/class/hwmon/hwmon0`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent_exposition::{FamilyId, Kind, Page};
use agent_procfs::{ATTRIBUTE, AttributeFile, scan};

/// How many of these files stay open between scrapes, all collectors of a process together. Large machines have more
/// of them than a process may have open; those beyond the bound are opened each time.
#[derive(Debug)]
pub(crate) struct Descriptors {
    left: AtomicUsize,
}

impl Descriptors {
    /// A quarter of what the process may open.
    pub(crate) fn new() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(65_536);
        Self::at_most(usize::try_from(limit / 4).unwrap_or(usize::MAX).min(8192))
    }

    fn at_most(most: usize) -> Self {
        Self { left: AtomicUsize::new(most) }
    }

    fn has_room(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    fn take(&self) {
        // Two threads may both take the last one; one more than the bound does no harm.
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(1)));
    }

    fn give_back(&self, count: usize) {
        self.left.fetch_add(count, Ordering::Relaxed);
    }
}

/// The files of one directory. One that is not there is not looked for again: which ones a device has is settled when
/// it appears. One that cannot be read now says nothing, as many cannot while their device is down or asleep.
#[derive(Debug)]
pub(crate) struct Attributes {
    directory: PathBuf,
    /// In the order in which they were first asked for, which is that of every scrape.
    files: Vec<(Box<str>, Option<AttributeFile>)>,
    next: usize,
    descriptors: Arc<Descriptors>,
}

impl Attributes {
    /// Touches nothing until a file is asked for.
    pub(crate) fn new(directory: PathBuf, descriptors: &Arc<Descriptors>) -> Self {
        Self { directory, files: Vec::new(), next: 0, descriptors: Arc::clone(descriptors) }
    }

    /// Closes all files, and forgets which ones are not there.
    pub(crate) fn forget(&mut self) {
        self.descriptors.give_back(self.files.iter().flat_map(|(_, file)| file).filter(|file| file.is_open()).count());
        self.files.clear();
        self.next = 0;
    }

    /// What `take` makes of a file's content without white space around it; `name` may hold slashes.
    pub(crate) fn get<T>(&mut self, name: &str, take: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let index = self.index(name);
        self.next = index + 1;
        let slot = &mut self.files.get_mut(index)?.1;
        let file = slot.as_mut()?;
        let mut buffer = [0; ATTRIBUTE];
        let was_open = file.is_open();
        let result = file.read(&mut buffer, was_open || self.descriptors.has_room());
        match (was_open, file.is_open()) {
            (false, true) => self.descriptors.take(),
            (true, false) => self.descriptors.give_back(1),
            _ => {}
        }
        match result {
            Ok(content) => take(content),
            Err(error) => {
                // Nor do rights to a file come while this runs.
                if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied) {
                    *slot = None;
                }
                None
            }
        }
    }

    /// A whole number, decimal or with `0x` before it.
    pub(crate) fn number(&mut self, name: &str) -> Option<f64> {
        self.get(name, number)
    }

    /// The content as text; `None` also when it is empty. Bytes that are no UTF-8 are replaced.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.get(name, |content| Some(String::from_utf8_lossy(content).into_owned()).filter(|text| !text.is_empty()))
    }

    fn index(&mut self, name: &str) -> usize {
        if self.files.get(self.next).is_some_and(|(known, _)| &**known == name) {
            return self.next;
        }
        self.files.iter().position(|(known, _)| &**known == name).unwrap_or_else(|| {
            self.files.push((name.into(), Some(AttributeFile::new(self.directory.join(name)))));
            self.files.len() - 1
        })
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Reads a whole number as sysfs prints it. Above 2^53 its last digits are lost, as in any metric.
pub(crate) fn number(content: &[u8]) -> Option<f64> {
    match content.strip_prefix(b"0x") {
        Some(digits) => scan::hex(digits).map(|n| n as f64),
        None => scan::number(content).map(|n| n as f64).or_else(|| scan::signed(content).map(|n| n as f64)),
    }
}

/// A family that one file of each device gives.
pub(crate) struct Row {
    file: &'static str,
    family: &'static str,
    help: &'static str,
    kind: Kind,
    /// What turns the kernel's unit into the metric's: a factor, then a divisor, as one of the two is a round number.
    scale: (f64, f64),
}

impl Row {
    /// A family whose value is the file's.
    pub(crate) const fn gauge(file: &'static str, family: &'static str, help: &'static str) -> Self {
        Self { file, family, help, kind: Kind::Gauge, scale: (1.0, 1.0) }
    }

    /// The same for what only grows.
    pub(crate) const fn counter(file: &'static str, family: &'static str, help: &'static str) -> Self {
        Self { file, family, help, kind: Kind::Counter, scale: (1.0, 1.0) }
    }

    /// The same row for a file in a smaller unit, of which so many make one of the metric's.
    pub(crate) const fn over(self, divisor: f64) -> Self {
        Self { scale: (1.0, divisor), ..self }
    }

    /// The same row for a file in a larger unit, each of which is so many of the metric's.
    pub(crate) const fn times(self, factor: f64) -> Self {
        Self { scale: (factor, 1.0), ..self }
    }

    /// Adds a sample for each row whose file the device has.
    pub(crate) fn add_all(rows: &[Self], attributes: &mut Attributes, labels: &[(&str, &str)], page: &mut Page) {
        for row in rows {
            if let Some(value) = attributes.number(row.file) {
                row.add(page, labels, value);
            }
        }
    }

    /// Adds a sample with what the file says.
    pub(crate) fn add(&self, page: &mut Page, labels: &[(&str, &str)], value: f64) {
        let family = self.family(page);
        page.sample(family, labels, self.scaled(value));
    }

    /// The family on that page.
    pub(crate) fn family(&self, page: &mut Page) -> FamilyId {
        page.family(self.family, self.help, self.kind)
    }

    /// What the file says, in the metric's unit.
    pub(crate) fn scaled(&self, value: f64) -> f64 {
        value * self.scale.0 / self.scale.1
    }

    /// The file.
    pub(crate) const fn file(&self) -> &'static str {
        self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_sysfs_prints_them() {
        #[track_caller]
        fn check(content: &str, want: Option<f64>) {
            assert_eq!(number(content.as_bytes()), want, "{content}");
        }
        check("0", Some(0.0));
        check("-1", Some(-1.0));
        check("0x1003", Some(4099.0));
        check("18446744073709551615", Some(u64::MAX as f64));
        check("", None);
        check("N/A", None);
        check("0x", None);
        check("1.5", None);
    }

    #[test]
    fn a_file_that_is_not_there_is_not_looked_for_again() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("b"), "7\n").unwrap();
        let mut attributes = Attributes::new(directory.path().to_owned(), &Arc::new(Descriptors::new()));
        for _ in 0..2 {
            assert_eq!((attributes.number("a"), attributes.number("b")), (None, Some(7.0)));
        }
        std::fs::write(directory.path().join("a"), "1").unwrap();
        assert_eq!((attributes.number("b"), attributes.number("a")), (Some(7.0), None));
    }

    #[test]
    fn no_more_files_than_allowed_stay_open() {
        let descriptors = Arc::new(Descriptors::at_most(1));
        let mut attributes = Attributes::new("/proc/sys/kernel".into(), &descriptors);
        let mut read = |count: usize| {
            for name in ["ostype", "osrelease"] {
                assert!(attributes.text(name).is_some());
            }
            assert_eq!(attributes.files.iter().flat_map(|(_, file)| file).filter(|f| f.is_open()).count(), count);
        };
        read(1);
        read(1);
        assert!(!descriptors.has_room());
        drop(attributes);
        assert!(descriptors.has_room());
    }
}
