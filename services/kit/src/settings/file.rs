//! A file of settings: a line `KEY=VALUE` each, with white space around both allowed. `#` and `;` begin a comment line,
//! `[section]` lines are passed over, so that a file for Docker's `--env-file` and a plain INI file both do.

use std::path::{Path, PathBuf};

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Left of `=`.
    pub key: String,
    /// Right of it, without quotes around it.
    pub value: String,
    /// Where it stands, from 1; 0 if that is not known.
    pub line: usize,
}

/// A file of settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read settings file {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is neither a setting nor a comment.
    #[error("{path}:{line}: {text:?} is not of the form KEY=VALUE")]
    Form {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// It has not the form that the program's own reader wants.
    #[error("settings file {path}")]
    Other {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A key stands there twice.
    #[error("{path}:{line}: {key} stands in line {first} already")]
    Twice {
        /// Which file.
        path: PathBuf,
        /// The second line.
        line: usize,
        /// Which key.
        key: String,
        /// The first line.
        first: usize,
    },
}

/// Reads the settings of a file, in order.
///
/// # Errors
/// See [`FileError`].
pub fn read(path: &Path) -> Result<Vec<Entry>, FileError> {
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, FileError> {
    let mut entries: Vec<Entry> = Vec::new();
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with(['#', ';']) || (text.starts_with('[') && text.ends_with(']')) {
            continue;
        }
        let form = || FileError::Form { path: path.to_owned(), line, text: text.to_owned() };
        let (key, value) = text.split_once('=').ok_or_else(form)?;
        let (key, value) = (key.trim(), unquote(value.trim()));
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err(form());
        }
        if let Some(first) = entries.iter().find(|entry| entry.key == key) {
            let (path, key, first) = (path.to_owned(), key.to_owned(), first.line);
            return Err(FileError::Twice { path, line, key, first });
        }
        entries.push(Entry { key: key.to_owned(), value: value.to_owned(), line });
    }
    Ok(entries)
}

fn unquote(value: &str) -> &str {
    let within = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<&[(&str, &str, usize)], &str>) {
        let got = parse(text, Path::new("a.env"));
        let got = got.map_err(|error| error.to_string());
        let want = want.map_err(str::to_owned).map(|entries| {
            let owned = |(key, value, line): &(&str, &str, usize)| Entry {
                key: (*key).into(),
                value: (*value).into(),
                line: *line,
            };
            entries.iter().map(owned).collect::<Vec<_>>()
        });
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn settings_comments_and_sections() {
        check("", Ok(&[]));
        check("A=1\n# c\n\n; d\n[DEFAULT]\n B = x = y \r\n", Ok(&[("A", "1", 1), ("B", "x = y", 6)]));
        check("A=\"a b\"\nB='\nC=", Ok(&[("A", "a b", 1), ("B", "'", 2), ("C", "", 3)]));
        check("A=1\nB", Err("a.env:2: \"B\" is not of the form KEY=VALUE"));
        check("=1", Err("a.env:1: \"=1\" is not of the form KEY=VALUE"));
        check("A B=1", Err("a.env:1: \"A B=1\" is not of the form KEY=VALUE"));
        check("A=1\n\nA=2", Err("a.env:3: A stands in line 1 already"));
    }
}
