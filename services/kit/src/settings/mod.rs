//! Settings from flags, the environment and a file, in this order: a flag wins over the environment, the environment
//! over the file, the file over the default. A variable that is set to nothing counts as not set, since compose files
//! say it that way (`KEY: ${KEY:-}`). What is wrong is told in one line that names the key and where it stands.

mod file;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory as _};

pub use file::{Entry, FileError, read};

use crate::program::{Program, in_one_line, tell};
use crate::{http, log};

/// What the command line of every service holds.
#[derive(Debug, clap::Parser)]
pub struct CommandLine<S: clap::Args> {
    /// The service's own.
    #[command(flatten)]
    pub service: S,
    /// Where it listens.
    #[command(flatten)]
    pub http: http::Settings,
    /// What it tells.
    #[command(flatten)]
    pub log: log::Settings,
    /// File with settings: a line `KEY=VALUE` each, the keys as in the environment.
    #[arg(long, env = "CONFIG_FILE", value_name = "PATH")]
    pub config_file: Option<PathBuf>,
    /// Nothing: serve.
    #[command(subcommand)]
    pub task: Option<Task>,
}

/// What the command line of a tool holds, which serves nothing and logs nothing.
#[derive(Debug, clap::Parser)]
struct ToolLine<S: clap::Args> {
    #[command(flatten)]
    own: S,
    /// File with settings: a line `KEY=VALUE` each, the keys as in the environment.
    #[arg(long, env = "CONFIG_FILE", value_name = "PATH")]
    config_file: Option<PathBuf>,
}

/// What a service does besides serving.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Task {
    /// Ask the running service on this machine whether it is well: exit code 0 if so
    Health,
}

/// Settings that are not to be had.
#[derive(Debug)]
pub enum Refused {
    /// In our own words: one line.
    Line(String),
    /// In clap's: an unknown flag; or help and version, which are no errors.
    Clap(clap::Error),
}

impl Refused {
    /// Tells it; the exit code is 2, or 0 for help and version.
    pub fn print(self, program: &Program) -> ExitCode {
        match self {
            Self::Line(line) => {
                tell(program, &line);
                ExitCode::from(2)
            }
            Self::Clap(error) => {
                // With standard error closed there is nobody to tell.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
        }
    }
}

/// Reads the settings of this process.
///
/// # Errors
/// A flag, variable or line of the file is unknown or wrong, or the file cannot be read.
pub fn parse<S: clap::Args>(program: &Program) -> Result<CommandLine<S>, Refused> {
    parse_with(program, read)
}

/// Reads a file of settings, in order. A line of 0 means that it is not known.
pub type Reader = fn(&Path) -> Result<Vec<Entry>, FileError>;

/// As [`parse`], for a program whose file of settings has a form of its own.
///
/// # Errors
/// As [`parse`].
pub fn parse_with<S: clap::Args>(program: &Program, read: Reader) -> Result<CommandLine<S>, Refused> {
    parse_from(program, read, &mut std::env::args_os(), &|key| std::env::var_os(key))
}

/// As [`parse`], for a tool that serves nothing and logs nothing.
///
/// # Errors
/// As [`parse`].
pub fn parse_tool<S: clap::Args>(program: &Program) -> Result<S, Refused> {
    let words = std::env::args_os().collect();
    let line: ToolLine<S> = matched(ToolLine::<S>::command(), program, read, words, &|key| std::env::var_os(key))?;
    Ok(line.own)
}

/// The environment, as a function, for tests.
type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn parse_from<S: clap::Args>(
    program: &Program,
    read: Reader,
    words: &mut dyn Iterator<Item = OsString>,
    environment: Environment<'_>,
) -> Result<CommandLine<S>, Refused> {
    let command = CommandLine::<S>::command()
        .mut_arg("bind_port", |arg| arg.default_value(program.port.to_string()).required(false));
    matched(command, program, read, words.collect(), environment)
}

/// Fills the command line from all places.
fn matched<P: clap::Parser>(
    command: Command,
    program: &Program,
    read: Reader,
    words: Vec<OsString>,
    environment: Environment<'_>,
) -> Result<P, Refused> {
    let command = command.name(program.name).about(program.about).version(env!("CARGO_PKG_VERSION"));
    let full: Environment<'_> = &|key| environment(key).filter(|value| !value.is_empty());
    let mut origins = Origins::default();
    let command = with_file(command, read, &words, full, &mut origins)?;
    let command = with_secrets(command, full, &mut origins)?;
    let keys = keys(command.clone());
    let matched = without_empty(command, environment).try_get_matches_from(words);
    matched.and_then(|found| P::from_arg_matches(&found)).map_err(|error| origins.explain(error, &keys, full))
}

/// The environment's name of each flag, and whether its value is a secret: flag as clap writes it → key.
fn keys(mut command: Command) -> BTreeMap<String, Key> {
    // Only a command that is built knows how its flags are written.
    command.build();
    let known = command.get_arguments().filter_map(|arg| {
        let key = Key { name: key(arg)?, secret: arg.is_hide_env_values_set() };
        Some((arg.to_string(), key))
    });
    known.collect()
}

struct Key {
    name: String,
    secret: bool,
}

/// Keeps clap, which reads the environment itself, from variables that are set to nothing.
fn without_empty(command: Command, environment: Environment<'_>) -> Command {
    command.mut_args(|arg| match key(&arg).and_then(|key| environment(&key)) {
        Some(value) if value.is_empty() => arg.env(Resettable::Reset),
        _ => arg,
    })
}

fn key(arg: &Arg) -> Option<String> {
    arg.get_env().map(|key| key.to_string_lossy().into_owned())
}

/// Makes the values of the file the defaults.
fn with_file(
    mut command: Command,
    read: Reader,
    words: &[OsString],
    environment: Environment<'_>,
    origins: &mut Origins,
) -> Result<Command, Refused> {
    let found = command.clone().ignore_errors(true).try_get_matches_from(words).ok();
    let flag = found.and_then(|found| found.get_one::<PathBuf>("config_file").cloned());
    // Clap has looked into the environment too.
    let flag = flag.filter(|path| !path.as_os_str().is_empty());
    let Some(path) = flag.or_else(|| environment("CONFIG_FILE").map(PathBuf::from)) else {
        return Ok(command);
    };
    let known: Vec<String> = command.get_arguments().filter_map(key).filter(|key| key != "CONFIG_FILE").collect();
    for entry in read(&path).map_err(|error| Refused::Line(in_one_line(&error)))? {
        let place = match entry.line {
            0 => path.display().to_string(),
            line => format!("{}:{line}", path.display()),
        };
        if !known.contains(&entry.key) {
            let reason = format!("{place}: unknown key {:?}; known are {}", entry.key, known.join(", "));
            return Err(Refused::Line(reason));
        }
        if !entry.value.is_empty() {
            origins.of.insert(entry.key.clone(), place);
            command = with_default(command, &entry.key, entry.value);
        }
    }
    Ok(command)
}

/// Reads each secret `KEY` whose `KEY_FILE` is set from that file.
fn with_secrets(mut command: Command, environment: Environment<'_>, origins: &mut Origins) -> Result<Command, Refused> {
    let secret = command.get_arguments().filter(|arg| arg.is_hide_env_values_set()).filter_map(key);
    for key in secret.collect::<Vec<_>>() {
        let Some(path) = environment(&format!("{key}_FILE")) else { continue };
        if environment(&key).is_some() {
            return Err(Refused::Line(format!("both {key} and {key}_FILE are set; unset one")));
        }
        let path = Path::new(&path);
        let text = std::fs::read_to_string(path)
            .map_err(|error| Refused::Line(format!("{key}_FILE: cannot read {}: {error}", path.display())))?;
        origins.of.insert(key.clone(), path.display().to_string());
        command = with_default(command, &key, text.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(command)
}

fn with_default(command: Command, key: &str, value: String) -> Command {
    command.mut_args(|arg| match arg.get_env() {
        // A value from a file may be a secret: help does not show it.
        Some(known) if known == key => arg.default_value(value.clone()).hide_default_value(true).required(false),
        _ => arg,
    })
}

/// Where values come from that do not come from the environment: key → place.
#[derive(Default)]
struct Origins {
    of: BTreeMap<String, String>,
}

impl Origins {
    /// Names key and place where clap would name a flag that nobody typed.
    fn explain(&self, error: clap::Error, keys: &BTreeMap<String, Key>, environment: Environment<'_>) -> Refused {
        let line = match error.kind() {
            ErrorKind::ValueValidation | ErrorKind::InvalidValue => self.wrong(&error, keys, environment),
            ErrorKind::MissingRequiredArgument => missing(&error, keys),
            ErrorKind::InvalidUtf8 => {
                let mut names = keys.values().map(|key| &key.name);
                let name = names.find(|name| environment(name).is_some_and(|value| value.to_str().is_none()));
                name.map(|name| format!("{name} (environment): not UTF-8"))
            }
            _ => None,
        };
        line.map_or(Refused::Clap(error), Refused::Line)
    }

    /// None for a value that was typed on the command line: clap's words fit.
    fn wrong(&self, error: &clap::Error, keys: &BTreeMap<String, Key>, environment: Environment<'_>) -> Option<String> {
        let flag = texts(error, ContextKind::InvalidArg).pop()?;
        let value = texts(error, ContextKind::InvalidValue).pop().unwrap_or_default();
        let Key { name, secret } = keys.get(&flag)?;
        let place = match (environment(name), self.of.get(name)) {
            (Some(set), _) if set.to_string_lossy() == value => "environment",
            (None, Some(place)) => place,
            _ => return None,
        };
        if *secret {
            return Some(format!("{name} ({place}): not a right value"));
        }
        let right = texts(error, ContextKind::ValidValue).join(", ");
        let reason = match std::error::Error::source(error) {
            Some(cause) => cause.to_string(),
            None if right.is_empty() => "not a right value".to_owned(),
            None => format!("one of {right} is right"),
        };
        Some(format!("{name} ({place}): {value:?}: {reason}"))
    }
}

fn missing(error: &clap::Error, keys: &BTreeMap<String, Key>) -> Option<String> {
    let flags = texts(error, ContextKind::InvalidArg);
    let names: Option<Vec<&str>> = flags.iter().map(|flag| keys.get(flag).map(|key| key.name.as_str())).collect();
    match names?.as_slice() {
        [] => None,
        [name] => Some(format!("{name} is missing: set it, or give {}", flags.join(" "))),
        names => Some(format!("{} are missing: set them, or give {}", names.join(", "), flags.join(" "))),
    }
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Program = Program { name: "hits", about: "Counts.", port: 5003 };

    #[derive(Debug, clap::Args)]
    struct Own {
        /// Where Redis is.
        #[arg(long, env = "REDIS_HOST")]
        redis_host: String,
        /// What it asks for.
        #[arg(long, env = "REDIS_PASSWORD", hide_env_values = true)]
        redis_password: Option<String>,
    }

    fn parse(words: &[&str], environment: &[(&str, &str)]) -> Result<CommandLine<Own>, String> {
        let words = std::iter::once("hits").chain(words.iter().copied()).map(OsString::from);
        let environment = |key: &str| environment.iter().find(|(k, _)| *k == key).map(|(_, value)| value.into());
        parse_from(&PROGRAM, read, &mut words.collect::<Vec<_>>().into_iter(), &environment).map_err(|refused| {
            match refused {
                Refused::Line(line) => line,
                Refused::Clap(error) => error.to_string(),
            }
        })
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = file("# where\nREDIS_HOST = db\nBIND_PORT=80\n");
        let path = file.path().to_str().unwrap();
        let all = parse(&["--config-file", path], &[]).unwrap();
        assert_eq!((all.service.redis_host.as_str(), all.http.bind_port), ("db", 80));
        let all = parse(&["--config-file", path, "--redis-host", "other"], &[]).unwrap();
        assert_eq!(all.service.redis_host, "other");
        assert_eq!(parse(&["--redis-host=db"], &[]).unwrap().http.bind_port, 5003);
        let all = parse(&[], &[("CONFIG_FILE", path)]).unwrap();
        assert_eq!(all.service.redis_host, "db");
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named_with_its_line() {
        let unknown = file("REDIS_HOST=db\nREDIS_PROT=1\n");
        let path = unknown.path().to_str().unwrap();
        let error = parse(&[], &[("CONFIG_FILE", path)]).unwrap_err();
        assert!(error.starts_with(&format!("{path}:2: unknown key \"REDIS_PROT\"; known are REDIS_HOST,")), "{error}");
        let wrong = file("REDIS_HOST=db\n\nBIND_PORT=eighty\n");
        let path = wrong.path().to_str().unwrap();
        let error = parse(&[], &[("CONFIG_FILE", path)]).unwrap_err();
        assert_eq!(error, format!("BIND_PORT ({path}:3): \"eighty\": invalid digit found in string"));
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = parse(&[], &[]).unwrap_err();
        assert!(error.contains("REDIS_HOST"), "{error}");
    }

    #[test]
    fn a_secret_comes_from_its_file_and_not_from_two_places() {
        let file = file("s3cret\n");
        let path = file.path().to_str().unwrap();
        let all = parse(&["--redis-host=db"], &[("REDIS_PASSWORD_FILE", path)]).unwrap();
        assert_eq!(all.service.redis_password.as_deref(), Some("s3cret"));
        let both = [("REDIS_PASSWORD_FILE", path), ("REDIS_PASSWORD", "x")];
        let error = parse(&["--redis-host=db"], &both).unwrap_err();
        assert_eq!(error, "both REDIS_PASSWORD and REDIS_PASSWORD_FILE are set; unset one");
        let error = parse(&["--redis-host=db"], &[("REDIS_PASSWORD_FILE", "/no/such")]).unwrap_err();
        assert!(error.starts_with("REDIS_PASSWORD_FILE: cannot read /no/such: "), "{error}");
    }

    #[test]
    fn health_is_a_task() {
        let all = parse(&["--redis-host=db", "health"], &[]).unwrap();
        assert!(matches!(all.task, Some(Task::Health)));
    }
}
