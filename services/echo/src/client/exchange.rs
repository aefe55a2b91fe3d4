//! One message and its answer, over a connection of their own.

use std::io;
use std::time::Duration;

use services_kit::connect::{Address, connect};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

/// How long the server may take for its answer, once there is a connection.
const DEADLINE: Duration = Duration::from_secs(5);
/// As much of an answer as is read.
const ANSWER_BYTES: u64 = 64 << 10;

/// A message was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// Nobody took the connection.
    #[error("cannot connect to {address}")]
    Connect {
        /// Where to.
        address: Address,
        /// Why.
        source: io::Error,
    },
    /// The connection broke.
    #[error("lost the connection to {address}")]
    Broken {
        /// Where to.
        address: Address,
        /// How.
        source: io::Error,
    },
    /// The server closed it without a word.
    #[error("{address} closed the connection without an answer")]
    Closed {
        /// Who.
        address: Address,
    },
    /// Nothing came in time.
    #[error("no answer from {address} in {DEADLINE:?}")]
    Silent {
        /// Who.
        address: Address,
    },
}

impl ExchangeError {
    /// For the metric.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Broken { .. } => "broken",
            Self::Closed { .. } => "closed",
            Self::Silent { .. } => "silent",
        }
    }
}

/// Sends a line, and gives the line that comes back, without its end. The connection closes with it.
///
/// # Errors
/// See [`ExchangeError`].
pub async fn exchange(address: &Address, message: &str) -> Result<String, ExchangeError> {
    let away = |source| ExchangeError::Connect { address: address.clone(), source };
    let mut stream = connect(address).await.map_err(away)?;
    let mut answer = Vec::new();
    let answered = async {
        stream.write_all(format!("{message}\n").as_bytes()).await?;
        BufReader::new(stream.take(ANSWER_BYTES)).read_until(b'\n', &mut answer).await
    };
    match timeout(DEADLINE, answered).await {
        Ok(Ok(0)) => Err(ExchangeError::Closed { address: address.clone() }),
        Ok(Ok(_)) => Ok(String::from_utf8_lossy(&answer).trim_end_matches(['\r', '\n']).to_owned()),
        Ok(Err(source)) => Err(ExchangeError::Broken { address: address.clone(), source }),
        Err(_) => Err(ExchangeError::Silent { address: address.clone() }),
    }
}
