//! A kernel file and its parser, read at every scrape.

use std::path::{Path, PathBuf};

use agent_procfs::{CachedFile, Error, Lossy, Malformed, SHORT_LINE};

/// A file that a collector reads at every scrape. Lines that make no sense are left out, and said so once.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: CachedFile,
    complained: bool,
}

impl Source {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { file: CachedFile::new(&path), path, complained: false }
    }

    /// The same for a file of lines that are not long, or that the kernel makes as a whole; see
    /// [`CachedFile::with_lines_of`].
    pub(crate) fn with_short_lines(self) -> Self {
        Self { file: self.file.with_lines_of(SHORT_LINE), ..self }
    }

    /// The file as it is.
    pub(crate) fn read(&mut self) -> Result<&[u8], Error> {
        self.file.read()
    }

    /// The file through a parser that takes it whole or not at all.
    pub(crate) fn parse<'a, T>(&'a mut self, parse: impl FnOnce(&'a [u8]) -> Result<T, Malformed>) -> Result<T, Error> {
        parse(self.file.read()?).map_err(|malformed| malformed.at(&self.path))
    }

    /// The file through a parser that leaves bad lines out.
    pub(crate) fn parse_lossy<'a, T>(
        &'a mut self,
        parse: impl FnOnce(&'a [u8]) -> Result<Lossy<T>, Malformed>,
    ) -> Result<T, Error> {
        let lossy = parse(self.file.read()?).map_err(|malformed| malformed.at(&self.path))?;
        Ok(keep(&self.path, &mut self.complained, lossy))
    }
}

/// What a parser made of a file. That lines were left out is said once.
pub(crate) fn keep<T>(path: &Path, complained: &mut bool, lossy: Lossy<T>) -> T {
    let Lossy { value, bad_lines, first_bad } = lossy;
    if let Some(first) = first_bad.filter(|_| !*complained) {
        *complained = true;
        tracing::warn!(path = %path.display(), bad_lines, %first, "leaving out lines that make no sense");
    }
    value
}
