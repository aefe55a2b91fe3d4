//! What the client sends, where to, how often and how long.

use std::str::FromStr;
use std::time::Duration;

use services_kit::connect::Address;

use crate::duration::{parse, parse_some};

/// The settings of the client besides those of HTTP and log.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Client")]
#[group(skip)]
pub struct Settings {
    /// Who it is, in its messages and its log.
    #[arg(long, env = "CLI_ID", value_name = "ID")]
    pub cli_id: Id,
    /// The server, by name or address.
    #[arg(long, env = "CLI_SERVER_ADDRESS", default_value = "server:12345", value_name = "HOST:PORT")]
    pub cli_server_address: Address,
    /// How long it goes on sending.
    #[arg(long, env = "CLI_LOOP_LAPSE", default_value = "1m2s", value_name = "DURATION", value_parser = parse)]
    pub cli_loop_lapse: Duration,
    /// How long it waits after each message.
    #[arg(long, env = "CLI_LOOP_PERIOD", default_value = "10s", value_name = "DURATION", value_parser = parse_some)]
    pub cli_loop_period: Duration,
}

/// The id of a client: some characters that stay on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(pub String);

/// As many bytes as an id may have.
const ID_BYTES: usize = 64;

/// A text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: 1 to {ID_BYTES} bytes without control characters, such as 1")]
pub struct IdError;

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (1..=ID_BYTES).contains(&text.len()) && !text.contains(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(IdError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_on_its_line() {
        assert_eq!("1".parse(), Ok(Id("1".to_owned())));
        assert_eq!("ñ b".parse(), Ok(Id("ñ b".to_owned())));
        for wrong in ["", "a\nb", "\u{7f}", &"x".repeat(65)] {
            assert_eq!(wrong.parse::<Id>(), Err(IdError), "{wrong:?}");
        }
    }
}
