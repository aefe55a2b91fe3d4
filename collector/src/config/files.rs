//! The files that a configuration names.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// Reads a text file.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// The files that match a pattern, sorted; a relative pattern is relative to the file that names it.
pub(super) fn matching(named_in: &Path, pattern: &str) -> Result<Vec<PathBuf>, ConfigError> {
    let wrong = || ConfigError::Pattern { path: named_in.to_owned(), pattern: pattern.to_owned() };
    let directory = named_in.parent().map(Path::to_owned).unwrap_or_default();
    // Only the pattern may hold wildcards, not the folder in front of it.
    let whole = if Path::new(pattern).is_absolute() || directory.as_os_str().is_empty() {
        pattern.to_owned()
    } else {
        format!("{}/{pattern}", glob::Pattern::escape(&directory.to_string_lossy()))
    };
    let mut found: Vec<PathBuf> = glob::glob(&whole).map_err(|_| wrong())?.filter_map(Result::ok).collect();
    found.sort();
    Ok(found)
}
