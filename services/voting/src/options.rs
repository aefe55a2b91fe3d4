//! The two options that are voted on.

use std::fmt;

/// As many characters of a name as still look well on a button.
const NAME_CHARACTERS: usize = 80;

/// What they are called.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Options")]
#[group(skip)]
pub struct Settings {
    /// Name of the first option.
    #[arg(long, env = "OPTION_A", default_value = "Cats", value_name = "NAME", value_parser = name)]
    pub option_a: String,
    /// Name of the second option.
    #[arg(long, env = "OPTION_B", default_value = "Dogs", value_name = "NAME", value_parser = name)]
    pub option_b: String,
}

impl Settings {
    /// What an option is called.
    #[must_use]
    pub fn name(&self, choice: Choice) -> &str {
        match choice {
            Choice::A => &self.option_a,
            Choice::B => &self.option_b,
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    match name.chars().count() {
        0 => Err("a name is needed".to_owned()),
        1..=NAME_CHARACTERS => Ok(name.to_owned()),
        count => Err(format!("{count} characters are too long, {NAME_CHARACTERS} are allowed")),
    }
}

/// One of the two. On the wire and in the table: `a` or `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The first.
    A,
    /// The second.
    B,
}

impl Choice {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// Reads what [`Choice::as_str`] gives.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "a" => Some(Self::A),
            "b" => Some(Self::B),
            _ => None,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_has_a_bound() {
        assert_eq!(name(" Cats "), Ok("Cats".to_owned()));
        assert_eq!(name("\t"), Err("a name is needed".to_owned()));
        assert!(name(&"ñ".repeat(80)).is_ok());
        assert_eq!(name(&"ñ".repeat(81)), Err("81 characters are too long, 80 are allowed".to_owned()));
    }
}
