//! Secrets: never printed, and read anew from their files for each use.

use std::fmt;
use std::path::Path;

use serde::Deserialize;

use crate::ClientError;

/// A secret from the configuration. Neither `Debug` nor `Display` shows it.
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, to be sent and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The secret that a file holds now, without the white space around it. Read for each use, so that a rotated
    /// secret is used from the next request on.
    ///
    /// # Errors
    /// When the file cannot be read or is not UTF-8.
    pub fn from_file(path: &Path) -> Result<Self, ClientError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ClientError::ReadFile { path: path.to_owned(), source })?;
        Ok(Self(text.trim().to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}
