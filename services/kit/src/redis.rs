//! One shared connection to Redis that comes back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisConnectionInfo, RedisError, RedisResult};
use tokio::sync::Mutex;

use crate::connect::{Address, connect};

/// How long a command may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// After a failed attempt to connect, requests fail at once for this long rather than queue behind the next.
const AGAIN: Duration = Duration::from_millis(250);

/// Where Redis is.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Redis")]
#[group(skip)]
pub struct Settings {
    /// Name or address of Redis.
    #[arg(long, env = "REDIS_HOST", default_value = "127.0.0.1", value_name = "HOST")]
    pub redis_host: String,
    /// Its TCP port.
    #[arg(long, env = "REDIS_PORT", default_value = "6379", value_name = "PORT")]
    pub redis_port: u16,
    /// Its password, if it asks for one; also from the file that REDIS_PASSWORD_FILE names.
    #[arg(long, env = "REDIS_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub redis_password: Option<String>,
}

impl Settings {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { host: self.redis_host.clone(), port: self.redis_port }
    }
}

/// Redis does not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection.
    #[error("redis at {address} is away: {reason}")]
    Away {
        /// Where it should be.
        address: Address,
        /// Why.
        reason: String,
    },
    /// The command was sent, and no answer came in time or the connection broke: it may have been carried out.
    #[error("redis at {address} gave no answer: {reason}")]
    NoAnswer {
        /// Where.
        address: Address,
        /// Why.
        reason: String,
    },
    /// It said no.
    #[error("redis at {address} refused: {reason}")]
    Refused {
        /// Where.
        address: Address,
        /// Its words.
        reason: String,
    },
}

/// A client that many tasks share.
#[derive(Clone)]
pub struct Client {
    settings: Arc<Settings>,
    link: Arc<Mutex<Link>>,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    failed: Option<(Instant, Error)>,
}

#[derive(Clone)]
struct Connection {
    commands: MultiplexedConnection,
    /// Turned false when the connection has ended.
    open: Arc<AtomicBool>,
}

impl Client {
    /// One that connects when it is first used.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), link: Arc::default() }
    }

    /// Sends one command and waits for its answer, 2 seconds at most. It is never sent twice.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let connection = self.connection().await?;
        let mut commands = connection.commands.clone();
        self.within(&connection, command.query_async(&mut commands)).await
    }

    /// Sends several commands at once and waits for their answers, 2 seconds at most for all. None is sent twice.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Error> {
        let connection = self.connection().await?;
        let mut link = connection.commands.clone();
        self.within(&connection, commands.query_async(&mut link)).await
    }

    async fn within<T>(
        &self,
        connection: &Connection,
        asked: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(DEADLINE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(connection, &error)),
            Err(_) => {
                // A server that hangs is not asked again over this connection.
                connection.open.store(false, Ordering::Relaxed);
                Err(Error::NoAnswer {
                    address: self.settings.address(),
                    reason: format!("in {} s", DEADLINE.as_secs()),
                })
            }
        }
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub async fn ping(&self) -> Result<(), String> {
        self.ask::<String>(&redis::cmd("PING")).await.map(drop).map_err(|error| error.to_string())
    }

    fn explain(&self, connection: &Connection, error: &RedisError) -> Error {
        let (address, reason) = (self.settings.address(), error.to_string());
        if error.is_io_error() || error.is_unrecoverable_error() {
            connection.open.store(false, Ordering::Relaxed);
            Error::NoAnswer { address, reason }
        } else {
            Error::Refused { address, reason }
        }
    }

    async fn connection(&self) -> Result<Connection, Error> {
        let mut link = self.link.lock().await;
        if let Some(connection) = link.connection.as_ref().filter(|c| c.open.load(Ordering::Relaxed)) {
            return Ok(connection.clone());
        }
        if let Some((_, error)) = link.failed.as_ref().filter(|(at, _)| at.elapsed() < AGAIN) {
            return Err(error.clone());
        }
        match open(&self.settings).await {
            Ok(connection) => {
                tracing::info!(address = %self.settings.address(), "connected to redis");
                *link = Link { connection: Some(connection.clone()), failed: None };
                Ok(connection)
            }
            Err(error) => {
                *link = Link { connection: None, failed: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }
}

/// A connection of one's own, for commands that block; each answer may take as long as it takes.
///
/// # Errors
/// [`Error::Away`].
pub async fn dedicated(settings: &Settings) -> Result<MultiplexedConnection, Error> {
    open(settings).await.map(|connection| connection.commands)
}

async fn open(settings: &Settings) -> Result<Connection, Error> {
    let away = |reason: String| Error::Away { address: settings.address(), reason };
    let stream = connect(&settings.address()).await.map_err(|error| away(error.to_string()))?;
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(password) = &settings.redis_password {
        info = info.set_password(password.as_str());
    }
    let unlimited = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let opened = MultiplexedConnection::new_with_config(&info, stream, unlimited);
    let opened = tokio::time::timeout(DEADLINE, opened).await;
    let opened = opened.map_err(|_| away(format!("no greeting in {} s", DEADLINE.as_secs())))?;
    let (commands, driver) = opened.map_err(|error| away(error.to_string()))?;
    let open = Arc::new(AtomicBool::new(true));
    let ended = open.clone();
    tokio::spawn(async move {
        driver.await;
        ended.store(false, Ordering::Relaxed);
    });
    Ok(Connection { commands, open })
}
