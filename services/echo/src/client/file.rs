//! The client's file of settings: lines `KEY=VALUE` as for every service, or, in a file called `….yaml` or `….yml`:
//!
//! ```yaml
//! id: 1
//! server:
//!   address: server:12345
//! loop:
//!   lapse: 1m2s
//!   period: 10s
//! log:
//!   level: info
//! ```

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::path::Path;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use services_kit::connect::Address;
use services_kit::settings::{Entry, FileError, read as read_lines};

use super::settings::Id;
use crate::duration::{self, DurationError};

/// Reads either form.
///
/// # Errors
/// The file cannot be read, or has not its form.
pub fn read(path: &Path) -> Result<Vec<Entry>, FileError> {
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    if !yaml {
        return read_lines(path);
    }
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    parse(&text).map_err(|source| FileError::Other { path: path.to_owned(), source: source.into() })
}

fn parse(text: &str) -> Result<Vec<Entry>, serde_yaml_ng::Error> {
    // An empty file, or one of comments alone, is null.
    let file: File = serde_yaml_ng::from_str::<Option<File>>(text)?.unwrap_or_default();
    let (server, turn, log) = (file.server.unwrap_or_default(), file.turn.unwrap_or_default(), file.log);
    let values = [
        ("CLI_ID", file.id.map(|id| id.text)),
        ("CLI_SERVER_ADDRESS", server.address.map(|address| address.text)),
        ("CLI_LOOP_LAPSE", turn.lapse.map(|lapse| lapse.text)),
        ("CLI_LOOP_PERIOD", turn.period.map(|period| period.text)),
        ("LOG_LEVEL", log.unwrap_or_default().level.map(|level| level.text)),
    ];
    let entry = |(key, value): (&str, Option<String>)| Some(Entry { key: key.to_owned(), value: value?, line: 0 });
    Ok(values.into_iter().filter_map(entry).collect())
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: Option<Scalar<Id>>,
    server: Option<Server>,
    #[serde(rename = "loop")]
    turn: Option<Turn>,
    log: Option<Log>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    address: Option<Scalar<Address>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    lapse: Option<Scalar<Lapse>>,
    period: Option<Scalar<Period>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    level: Option<Scalar<Level>>,
}

struct Lapse;

impl FromStr for Lapse {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        duration::parse(text).map(|_| Self)
    }
}

struct Period;

impl FromStr for Period {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        duration::parse_some(text).map(|_| Self)
    }
}

struct Level;

/// A text is no level.
#[derive(Debug, thiserror::Error)]
#[error("not a level: error, warn, info, debug or trace")]
struct LevelError;

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let known = ["off", "error", "warn", "info", "debug", "trace"];
        if known.iter().any(|level| text.eq_ignore_ascii_case(level)) { Ok(Self) } else { Err(LevelError) }
    }
}

/// A text or whole number that reads as a `T`: checked here, where YAML knows its line.
struct Scalar<T> {
    text: String,
    of: PhantomData<T>,
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Scalar<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Text(PhantomData))
    }
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err: Display>> Visitor<'_> for Text<T> {
    type Value = Scalar<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar<T>, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<T>, E> {
        match text.parse::<T>() {
            Ok(_) => Ok(Scalar { text: text.to_owned(), of: PhantomData }),
            Err(reason) => Err(E::custom(format_args!("{text:?}: {reason}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<&[(&str, &str)], &str>) {
        let got = parse(text).map_err(|error| error.to_string());
        let got = got.map(|entries| entries.into_iter().map(|e| (e.key, e.value)).collect::<Vec<_>>());
        let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        assert_eq!(got, want.map(owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn what_stands_there_is_known_by_its_key() {
        check("", Ok(&[]));
        check("# nothing\n", Ok(&[]));
        check("id: 7", Ok(&[("CLI_ID", "7")]));
        check(
            "id: \"1\"\nserver:\n  address: \"server:12345\"\nloop:\n  lapse: 1m2s\n  period: 10s\nlog: {level: INFO}\n",
            Ok(&[
                ("CLI_ID", "1"),
                ("CLI_SERVER_ADDRESS", "server:12345"),
                ("CLI_LOOP_LAPSE", "1m2s"),
                ("CLI_LOOP_PERIOD", "10s"),
                ("LOG_LEVEL", "INFO"),
            ]),
        );
        check("server:\nloop:\n  lapse: 0\n", Ok(&[("CLI_LOOP_LAPSE", "0")]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let unit = "a unit (ns, us, ms, s, m or h) is missing: a duration is written as 1m2s, 1.5h or 300ms";
        check("loop:\n  period: 10\n", Err(&format!("loop.period: \"10\": {unit} at line 2 column 11")));
        check(
            "loop:\n  perod: 10s\n",
            Err("loop: unknown field `perod`, expected `lapse` or `period` at line 2 column 3"),
        );
        check("id: [1]\n", Err("id: invalid type: sequence, expected a text at line 1 column 5"));
    }
}
