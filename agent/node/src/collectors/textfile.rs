//! Metrics that other programs leave in files: every `*.prom` of the directories given.
//!
//! A file is parsed again only when it has changed. One that is wrong costs itself: the others are reported, and
//! `node_textfile_scrape_error` is 1.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use agent_exposition::{Kind, Page};
use agent_procfs::CachedFile;

use crate::stamp::Stamp;
use crate::text_families::{self, TextFamily};
use crate::{CollectError, Collector, FlagSpec, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "textfile",
    help: "Metrics that other programs leave in files.",
    default_on: true,
    flags: &[DIRECTORY],
    build: |context| {
        let directories = context.flags.all(DIRECTORY.name).iter().filter(|d| !d.is_empty()).cloned().collect();
        Ok(Box::new(Textfile { directories, ..Textfile::default() }))
    },
};

const DIRECTORY: FlagSpec =
    FlagSpec::repeated("collector.textfile.directory", "Directory with files *.prom; may have wildcards.");

#[derive(Default)]
struct Textfile {
    directories: Vec<String>,
    files: BTreeMap<PathBuf, Known>,
    joined: Joined,
    /// What is wrong, so that it is said once and not at every scrape.
    complaints: BTreeSet<String>,
}

/// A file as last read.
struct Known {
    stamp: Option<Stamp>,
    modified: i64,
    content: Result<Vec<TextFamily>, String>,
}

/// The families of all files, with the help they go under.
#[derive(Default)]
struct Joined {
    families: Vec<(TextFamily, String)>,
    complaints: Vec<String>,
}

impl Collector for Textfile {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let mut complaints = BTreeSet::new();
        let found = self.find(&mut complaints);
        if self.refresh(found) {
            self.joined = join(&self.files);
        }
        for (path, known) in &self.files {
            complaints.extend(known.content.as_ref().err().map(|error| format!("{}: {error}", path.display())));
        }
        complaints.extend(self.joined.complaints.iter().cloned());
        for (family, help) in &self.joined.families {
            family.add_to(page, help);
        }
        self.add_own(page, !complaints.is_empty());
        for complaint in complaints.difference(&self.complaints) {
            tracing::warn!(complaint, "cannot report all text files");
        }
        self.complaints = complaints;
        Ok(Outcome::Collected)
    }
}

impl Textfile {
    /// The files there are now.
    fn find(&self, complaints: &mut BTreeSet<String>) -> BTreeMap<PathBuf, Metadata> {
        let mut found = BTreeMap::new();
        for directory in self.directories.iter().flat_map(|pattern| expand(pattern)) {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    complaints.insert(format!("{}: {error}", directory.display()));
                    continue;
                }
            };
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            for path in paths.filter(|path| path.extension().is_some_and(|e| e == "prom")) {
                // A pipe or a device could keep a reader waiting for ever.
                match fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => drop(found.insert(path, metadata)),
                    Ok(_) => drop(complaints.insert(format!("{}: not a file", path.display()))),
                    Err(error) => drop(complaints.insert(format!("{}: {error}", path.display()))),
                }
            }
        }
        found
    }

    /// Reads what has changed; false when nothing has.
    fn refresh(&mut self, found: BTreeMap<PathBuf, Metadata>) -> bool {
        let mut changed = self.files.len() != found.len();
        let mut before = std::mem::take(&mut self.files);
        for (path, metadata) in found {
            let stamp = Stamp::of(&metadata);
            let known = match before.remove(&path).filter(|known| stamp.is_some() && known.stamp == stamp) {
                Some(known) => known,
                None => {
                    changed = true;
                    Known { stamp, modified: metadata.mtime(), content: read(&path) }
                }
            };
            self.files.insert(path, known);
        }
        changed
    }

    fn add_own(&self, page: &mut Page, is_wrong: bool) {
        let help = "Unix time at which a text file that could be read was last written.";
        let family = page.family("node_textfile_mtime_seconds", help, Kind::Gauge);
        for (path, known) in self.files.iter().filter(|(_, known)| known.content.is_ok()) {
            page.sample(family, &[("file", &path.to_string_lossy())], known.modified as f64);
        }
        let help = "1 when a text file or a directory of them could not be read, understood or reported whole.";
        page.single("node_textfile_scrape_error", help, Kind::Gauge, f64::from(u8::from(is_wrong)));
    }
}

/// The directories that a pattern stands for; one that stands for nothing is taken as it is, and found missing.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let found: Vec<_> = glob::glob(pattern).map(|paths| paths.filter_map(Result::ok).collect()).unwrap_or_default();
    if found.is_empty() { vec![pattern.into()] } else { found }
}

fn read(path: &Path) -> Result<Vec<TextFamily>, String> {
    let mut file = CachedFile::new(path);
    let bytes = file.read().map_err(|error| match &error {
        agent_procfs::Error::Read { source, .. } => source.to_string(),
        error => error.to_string(),
    })?;
    text_families::parse(bytes).map_err(|error| error.with_cause())
}

/// Puts the families of all files together. What contradicts an earlier file is left out: a family with another help
/// or kind, one that has a name which is a part of another's, such as `x_sum` beside a histogram `x`, and a series that is
/// already there.
fn join(files: &BTreeMap<PathBuf, Known>) -> Joined {
    let all =
        || files.iter().flat_map(|(path, known)| known.content.iter().flatten().map(move |family| (path, family)));
    let mut helps: HashMap<&str, &str> = HashMap::new();
    let mut kinds: HashMap<&str, Kind> = HashMap::new();
    let mut origins: HashMap<&str, Vec<String>> = HashMap::new();
    for (path, family) in all() {
        kinds.entry(&family.name).or_insert(family.kind);
        origins.entry(&family.name).or_default().push(path.display().to_string());
        if let Some(help) = &family.help {
            helps.entry(&family.name).or_insert(help);
        }
    }
    let mut joined = Joined::default();
    let mut seen = HashSet::new();
    let mut owners: HashMap<String, &str> = HashMap::new();
    for (path, family) in all() {
        let name = family.name.as_str();
        let help = helps.get(name).copied();
        let mut complain = |what: &str| joined.complaints.push(format!("{}: {name} {what}", path.display()));
        if family.help.is_some() && family.help.as_deref() != help {
            complain("has another help in another file");
            continue;
        }
        if kinds.get(name) != Some(&family.kind) {
            complain("has another type in another file");
            continue;
        }
        if let Some(other) = family.names().find_map(|part| owners.get(&part).filter(|owner| **owner != name)) {
            complain(&format!("has a name in common with {other}"));
            continue;
        }
        owners.extend(family.names().map(|part| (part, name)));
        let mut family = family.clone();
        let metrics = family.metrics.len();
        family.metrics.retain(|metric| seen.insert((name, metric.labels.clone())));
        if family.metrics.len() < metrics {
            complain("has a series twice");
        }
        let origin = || format!("Metric read from {}", origins.get(name).map(|o| o.join(", ")).unwrap_or_default());
        joined.families.push((family, help.map_or_else(origin, str::to_owned)));
    }
    joined
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use agent_exposition::Format;

    use super::*;
    use crate::{Context, Flags};

    struct Directory {
        temporary: tempfile::TempDir,
        collector: Box<dyn Collector>,
    }

    impl Directory {
        /// Patterns are below the temporary directory.
        fn new(patterns: &[&str]) -> Self {
            let temporary = tempfile::tempdir().unwrap();
            let mut flags = Flags::default();
            for pattern in patterns {
                flags.push(DIRECTORY.name, temporary.path().join(pattern).to_str().unwrap());
            }
            let context = Context::new(agent_procfs::Root::default(), Arc::new(flags));
            Self { collector: (SPEC.build)(&context).unwrap(), temporary }
        }

        /// Written at Unix time `modified`.
        fn write(&self, name: &str, content: &str, modified: u64) {
            let path = self.temporary.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
            fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        }

        /// The page without comments, paths without the temporary directory.
        fn page(&mut self) -> String {
            let text = self.text();
            text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
        }

        fn text(&mut self) -> String {
            let mut page = Page::new();
            assert_eq!(self.collector.collect(&mut page).unwrap(), Outcome::Collected);
            let mut text = String::new();
            page.write(Format::Text004, &mut text);
            text.replace(&format!("{}/", self.temporary.path().display()), "")
        }
    }

    #[test]
    fn nothing_to_read_is_no_error() {
        assert_eq!(Directory::new(&[]).page(), "node_textfile_scrape_error 0\n");
    }

    #[test]
    fn files_with_their_time_and_nothing_else() {
        let mut directory = Directory::new(&["."]);
        directory.write("a.prom", "a 1\n", 1_600_000_000);
        directory.write("b.txt", "b 1\n", 1_600_000_000);
        assert_eq!(
            directory.page().replace("./", ""),
            "a 1\nnode_textfile_mtime_seconds{file=\"a.prom\"} 1.6e+09\nnode_textfile_scrape_error 0\n"
        );
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let mut directory = Directory::new(&["x"]);
        directory.write("x/a.prom", "a 1\n", 1000);
        assert!(directory.page().contains("a 1\n"));
        directory.write("x/a.prom", "a 2\n", 2000);
        assert!(directory.page().contains("a 2\n"));
        fs::remove_file(directory.temporary.path().join("x/a.prom")).unwrap();
        assert_eq!(directory.page(), "node_textfile_scrape_error 0\n");
    }

    #[test]
    fn a_wrong_file_costs_itself() {
        let mut directory = Directory::new(&["x"]);
        directory.write("x/a.prom", "a 1\n", 1000);
        directory.write("x/b.prom", "b one\n", 1000);
        directory.write("x/c.prom", "c 1 1395066363000\n", 1000);
        assert_eq!(
            directory.page(),
            "a 1\nnode_textfile_mtime_seconds{file=\"x/a.prom\"} 1000\nnode_textfile_scrape_error 1\n"
        );
        directory.write("x/b.prom", "b 1\n", 2000);
        directory.write("x/c.prom", "c 1\n", 2000);
        assert!(directory.page().ends_with("node_textfile_scrape_error 0\n"));
    }

    #[test]
    fn directories_by_wildcard() {
        let mut directory = Directory::new(&["*/metrics", "plain"]);
        directory.write("one/metrics/a.prom", "a{n=\"1\"} 1\n", 1000);
        directory.write("two/metrics/b.prom", "a{n=\"2\"} 1\n", 1000);
        directory.write("plain/c.prom", "c 1\n", 1000);
        let page = directory.page();
        assert!(page.starts_with("a{n=\"1\"} 1\na{n=\"2\"} 1\nc 1\n"), "{page}");
        assert!(page.ends_with("node_textfile_scrape_error 0\n"));
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        assert_eq!(Directory::new(&["none"]).page(), "node_textfile_scrape_error 1\n");
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let mut directory = Directory::new(&["x"]);
        directory.write("x/a.prom", "a 1\n", 1000);
        let pipe = directory.temporary.path().join("x/b.prom");
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let page = directory.page();
        assert!(page.starts_with("a 1\n") && page.ends_with("node_textfile_scrape_error 1\n"), "{page}");
    }

    #[test]
    fn help_is_joined_across_files() {
        let mut directory = Directory::new(&["x"]);
        directory.write("x/a.prom", "a{n=\"1\"} 1\nb 1\n", 1000);
        directory.write("x/b.prom", "# HELP a about a\na{n=\"2\"} 2\n", 1000);
        let text = directory.text();
        assert!(text.contains("# HELP a about a\n# TYPE a untyped\na{n=\"1\"} 1\na{n=\"2\"} 2\n"), "{text}");
        assert!(text.contains("# HELP b Metric read from x/a.prom\n"), "{text}");
        assert!(text.ends_with("node_textfile_scrape_error 0\n"), "{text}");
    }

    #[test]
    fn parts_of_a_histogram_are_nobody_elses() {
        let histogram = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
        let series = "h_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
        for (first, second, want) in [(histogram, "h_sum 4\n", series), ("h_sum 4\n", histogram, "h_sum 4\n")] {
            let mut directory = Directory::new(&["x"]);
            directory.write("x/a.prom", first, 1000);
            directory.write("x/b.prom", second, 1000);
            let page = directory.page();
            let of_h: String = page.lines().filter(|l| l.starts_with("h_")).map(|l| format!("{l}\n")).collect();
            assert_eq!(of_h, want);
            assert!(page.ends_with("node_textfile_scrape_error 1\n"), "{page}");
        }
    }

    #[test]
    fn contradictions_between_files_cost_the_later_one() {
        #[track_caller]
        fn check(first: &str, second: &str, want: &str) {
            let mut directory = Directory::new(&["x"]);
            directory.write("x/a.prom", first, 1000);
            directory.write("x/b.prom", second, 1000);
            let page = directory.page();
            assert!(page.starts_with(want) && page.ends_with("node_textfile_scrape_error 1\n"), "{page}");
            let count = page.lines().filter(|line| line.starts_with("a{") || line.starts_with("a ")).count();
            assert_eq!(count, want.lines().count(), "{page}");
        }
        check("# HELP a one\na{n=\"1\"} 1\n", "# HELP a two\na{n=\"2\"} 1\n", "a{n=\"1\"} 1\n");
        check("# TYPE a gauge\na{n=\"1\"} 1\n", "# TYPE a counter\na{n=\"2\"} 1\n", "a{n=\"1\"} 1\n");
        check("a 1\n", "a 2\n", "a 1\n");
        check("a 1\na 2\n", "", "a 1\n");
    }
}
