//! A command line that is wrong, in one line that names the flag and what would be right.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::foreign;

/// A command line that is wrong, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FlagError(String);

impl FlagError {
    /// With the line, which names the flag and what would be right.
    pub(super) fn new(line: String) -> Self {
        Self(line)
    }
}

/// Refuses a command line so.
pub(super) fn wrong<T>(text: impl Into<String>) -> Result<T, FlagError> {
    Err(FlagError(text.into()))
}

/// A clap error in one line.
pub(super) fn explain(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let flag = text(ContextKind::InvalidArg).unwrap_or_default();
    let name = flag.split([' ', '=', '[']).next().unwrap_or("").to_owned();
    match error.kind() {
        ErrorKind::UnknownArgument if !flag.starts_with('-') => {
            format!("unexpected argument {flag:?}: flags are written --name=value (--help lists them)")
        }
        ErrorKind::UnknownArgument => match (foreign::instead_of(&flag), text(ContextKind::SuggestedArg)) {
            (Some(instead), _) => format!("there is no flag {flag} any more: {instead}"),
            (None, Some(near)) => format!("unknown flag {flag}: did you mean {near}? (--help lists all flags)"),
            (None, None) => format!("unknown flag {flag} (--help lists all flags)"),
        },
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = text(ContextKind::InvalidValue).unwrap_or_default();
            let reason = match (error.get(ContextKind::ValidValue), std::error::Error::source(error)) {
                (Some(ContextValue::Strings(valid)), _) if !valid.is_empty() => format!("one of {}", valid.join(", ")),
                (_, Some(source)) => source.to_string(),
                _ => "a value is needed".to_owned(),
            };
            format!("{name}={value}: {reason}")
        }
        _ => {
            let rendered = error.to_string();
            rendered.lines().next().unwrap_or("").trim_start_matches("error: ").to_owned()
        }
    }
}
