//! The names of the window's files: eight digits and what they are.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;

/// Segments of the write-ahead log, in the directory `wal`.
pub(crate) const LOG: &str = "log";
/// Checkpoints, beside the log; the number is that of the first segment to read after it.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Closed chunks, in the directory `chunks`.
pub(crate) const CHUNKS: &str = "chunks";

/// The path of a file.
pub(crate) fn path(dir: &Path, number: u64, kind: &str) -> PathBuf {
    dir.join(format!("{number:08}.{kind}"))
}

/// The numbers of the files of a kind in a directory, ascending.
pub(crate) fn numbers(disk: &dyn Disk, dir: &Path, kind: &str) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> =
        disk.list(dir)?.iter().filter_map(|name| name.strip_suffix(kind)?.strip_suffix('.')?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}
