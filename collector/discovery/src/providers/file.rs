//! `file_sd_configs`: targets from JSON and YAML files, read again whenever they change.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use collector_model::PromDuration;
use notify::{RecursiveMode, Watcher};
use serde::Deserialize;
use tokio::sync::mpsc;
use tracing::warn;

use crate::group::WrittenGroup;
use crate::metrics::{File, Mechanism, Metrics};
use crate::{
    Context, DiscoveryConfig, DiscoveryError, Provider, ProviderConfig, ProviderRun, Spec, TargetGroup, Updates,
};

pub(crate) const SPEC: Spec = Spec {
    name: "file",
    key: "file_sd_configs",
    parse: |list| {
        let configs = Option::<Vec<FileConfig>>::deserialize(list)?.unwrap_or_default();
        Ok(configs.into_iter().map(DiscoveryConfig::new).collect())
    },
};

/// A file is read this long after the watch reported it, so that its writer may finish.
const SETTLE: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
struct FileConfig {
    files: Vec<PathBuf>,
    refresh_interval: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default)]
    files: Vec<PathBuf>,
    #[serde(default = "five_minutes")]
    refresh_interval: PromDuration,
}

fn five_minutes() -> PromDuration {
    PromDuration::from_secs(300)
}

impl TryFrom<Keys> for FileConfig {
    type Error = DiscoveryError;

    fn try_from(keys: Keys) -> Result<Self, DiscoveryError> {
        if keys.files.is_empty() {
            return Err(DiscoveryError::NoFiles);
        }
        if let Some(path) = keys.files.iter().find(|path| !is_pattern(path)) {
            return Err(DiscoveryError::Pattern(path.clone()));
        }
        if keys.refresh_interval.0.is_zero() {
            return Err(DiscoveryError::ZeroInterval("refresh_interval"));
        }
        Ok(Self { files: keys.files, refresh_interval: keys.refresh_interval.0 })
    }
}

fn is_pattern(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    let folder = path.parent().map(|p| p.to_string_lossy().contains('*'));
    matches!(extension.as_deref(), Some("json" | "yml" | "yaml")) && folder != Some(true)
}

impl ProviderConfig for FileConfig {
    fn name(&self) -> &'static str {
        SPEC.name
    }

    fn resolve_paths(&mut self, directory: &Path) {
        for path in &mut self.files {
            // `join` keeps an absolute path as it is.
            *path = directory.join(&*path);
        }
    }

    fn build(&self, context: &Context) -> Result<Box<dyn Provider>, DiscoveryError> {
        let (config, metrics) = (self.clone(), context.metrics.clone());
        Ok(Box::new(FileProvider { config, metrics, known: BTreeMap::new() }))
    }
}

struct FileProvider {
    config: FileConfig,
    metrics: Metrics,
    /// How many groups each file had when it was last read well.
    known: BTreeMap<PathBuf, usize>,
}

impl Provider for FileProvider {
    fn run(mut self: Box<Self>, updates: Updates) -> ProviderRun {
        Box::pin(async move {
            // Room for one: a bell that has rung need not ring again before it is heard.
            let (bell, mut changes) = mpsc::channel(1);
            let _watcher = self.watch(bell.clone());
            loop {
                let scanned = tokio::task::spawn_blocking(move || (self.scan(), self)).await;
                // It fails at shutdown alone.
                let Ok((groups, provider)) = scanned else { return };
                self = provider;
                updates.send(groups);
                if let Ok(Some(())) = tokio::time::timeout(self.config.refresh_interval, changes.recv()).await {
                    tokio::time::sleep(SETTLE).await;
                    let _ = changes.try_recv();
                }
            }
        })
    }
}

impl FileProvider {
    /// Watches the folders of all paths. Where that fails the refresh interval has to do.
    fn watch(&self, bell: mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
        let failed = |error: notify::Error| {
            self.metrics.file_watcher_errors.inc();
            warn!(%error, "cannot watch the files of file discovery; they are read at the refresh interval alone");
        };
        let ring = move |event: notify::Result<notify::Event>| {
            // Reading the files rings no bell, or it would never end.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = bell.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(ring).map_err(failed).ok()?;
        let folders: BTreeSet<&Path> = self.config.files.iter().filter_map(|path| path.parent()).collect();
        for folder in folders {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let _ = watcher.watch(folder, RecursiveMode::NonRecursive).map_err(failed);
        }
        Some(watcher)
    }

    /// Reads all files: the groups that are there now, and an empty one for each that went away.
    fn scan(&mut self) -> Vec<TargetGroup> {
        let mut groups = Vec::new();
        let mut before = std::mem::take(&mut self.known);
        for path in self.paths(&before) {
            let had = before.remove(&path).unwrap_or(0);
            let has = match read(&path) {
                Ok(found) => {
                    let has = found.len();
                    groups.extend(found);
                    groups.extend((has..had).map(|position| empty(&path, position)));
                    has
                }
                Err(error) => {
                    self.failed(&error, "the last good targets of this file stay");
                    had
                }
            };
            self.note_mtime(&path);
            self.known.insert(path, has);
        }
        for (path, had) in before {
            warn!(path = %path.display(), "a file with targets is gone, and so are its targets");
            groups.extend((0..had).map(|position| empty(&path, position)));
            self.metrics.file_mtime.remove(&File { filename: path.display().to_string() });
        }
        groups
    }

    /// The files that the patterns name now. A plain path counts only when it exists. Where nobody can say what is
    /// there, what was `known` is taken to be there still.
    fn paths(&self, known: &BTreeMap<PathBuf, usize>) -> BTreeSet<PathBuf> {
        let mut paths = BTreeSet::new();
        for pattern in &self.config.files {
            match expand(pattern) {
                Ok(found) => paths.extend(found),
                Err(source) => {
                    let error = DiscoveryError::Read { path: pattern.clone(), source };
                    self.failed(&error, "the last good targets of these files stay");
                    paths.extend(known.keys().filter(|path| names(pattern, path)).cloned());
                }
            }
        }
        paths
    }

    fn failed(&self, error: &DiscoveryError, what_stays: &'static str) {
        self.metrics.file_read_errors.inc();
        self.metrics.refresh_failures.get_or_create(&Mechanism { mechanism: SPEC.name }).inc();
        let cause = std::error::Error::source(error).map(ToString::to_string);
        warn!(%error, cause, "{what_stays}");
    }

    fn note_mtime(&self, path: &Path) {
        let modified = std::fs::metadata(path).and_then(|m| m.modified()).ok();
        if let Some(since) = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
            let file = File { filename: path.display().to_string() };
            self.metrics.file_mtime.get_or_create(&file).set(since.as_secs_f64());
        }
    }
}

/// The files of a pattern. A folder that does not exist has none; one that cannot be read is an error.
fn expand(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().unwrap_or_default().to_string_lossy();
    if !name.contains('*') {
        return Ok(if pattern.try_exists()? { vec![pattern.to_owned()] } else { Vec::new() });
    }
    let folder = pattern.parent().filter(|p| !p.as_os_str().is_empty());
    let entries = match std::fs::read_dir(folder.unwrap_or(Path::new("."))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let file = entry?.file_name();
        if matches(&name, &file.to_string_lossy()) {
            found.push(folder.unwrap_or(Path::new("")).join(file));
        }
    }
    Ok(found)
}

/// Whether a path is one of those that a pattern can name.
fn names(pattern: &Path, path: &Path) -> bool {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    pattern.parent() == path.parent() && matches(&name(pattern), &name(path))
}

/// Whether a file's name fits a pattern, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(head) else { return false };
    rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| rest.get(at..).is_some_and(|r| matches(tail, r)))
}

fn read(path: &Path) -> Result<Vec<TargetGroup>, DiscoveryError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| DiscoveryError::Read { path: path.to_owned(), source })?;
    // In one line, though a key that is quoted may be of several.
    let malformed = |reason: String| DiscoveryError::Malformed {
        path: path.to_owned(),
        reason: reason.replace(char::is_control, " "),
    };
    let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    let groups: Vec<WrittenGroup> = if json {
        serde_json::from_str(&text).map_err(|e| malformed(e.to_string()))?
    } else {
        // An empty YAML document is an empty list.
        let groups: Option<_> = serde_yaml_ng::from_str(&text).map_err(|e| malformed(e.to_string()))?;
        groups.unwrap_or_default()
    };
    let shown = path.display().to_string();
    let more = [("__meta_filepath", shown.as_str())];
    let groups = groups.into_iter().enumerate();
    Ok(groups.map(|(position, group)| group.into_group(source(path, position), &more)).collect())
}

fn source(path: &Path, position: usize) -> String {
    format!("{}:{position}", path.display())
}

fn empty(path: &Path, position: usize) -> TargetGroup {
    TargetGroup { source: source(path, position), targets: Vec::new(), labels: collector_model::Labels::empty() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_their_star_in_the_last_part() {
        for (path, want) in [
            ("a.json", true),
            ("/etc/x/*.yml", true),
            ("x/web-*.YAML", true),
            ("x/a*b*.yaml", true),
            ("a.txt", false),
            ("a", false),
            ("*/a.yml", false),
            ("x/*/a.yml", false),
        ] {
            assert_eq!(is_pattern(Path::new(path)), want, "{path}");
        }
    }

    #[test]
    fn stars_match_any_text() {
        for (pattern, name, want) in [
            ("*.yml", "a.yml", true),
            ("*.yml", ".yml", true),
            ("a*b*.yml", "axxbyy.yml", true),
            ("a*b*.yml", "b.yml", false),
            ("a*.yml", "é.yml", false),
            ("*.yml", "a.yaml", false),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} on {name}");
        }
    }
}
