//! One shared connection to Redis that comes back by itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisConnectionInfo, RedisError, RedisResult};
use tokio::task::AbortHandle;
use tokio::time::{timeout, timeout_at};

use crate::connect::{Address, connect};

/// How long a command may take, with the connection that it may need: who asks us has its answer within 2 seconds.
const DEADLINE: Duration = Duration::from_millis(1500);
/// How long it may take to connect.
const CONNECT: Duration = Duration::from_millis(1200);
/// The same for a connection of one's own, for which nobody waits.
const CONNECT_OWN: Duration = Duration::from_secs(4);
/// After a failed attempt to connect, requests fail at once for this long.
const AGAIN: Duration = Duration::from_millis(250);
/// Codes of answers that say that Redis serves nobody now, and may later.
const NOT_NOW: [&str; 4] = ["LOADING", "MASTERDOWN", "READONLY", "BUSY"];

/// Where Redis is.
#[derive(Clone, clap::Args)]
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

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        f.debug_struct("Settings").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// Redis does not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection, or Redis says that it serves nobody now: the command was not carried out.
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
enum Link {
    /// Never used.
    #[default]
    None,
    /// One attempt, for which all wait together.
    Connecting(Attempt),
    Connected(Connection),
    Failed(Instant, Error),
}

type Attempt = Shared<BoxFuture<'static, Result<Connection, Error>>>;

#[derive(Clone)]
struct Connection {
    commands: MultiplexedConnection,
    driver: Arc<Driver>,
}

/// The task that moves the bytes of a connection.
struct Driver {
    task: AbortHandle,
    /// Turned false when the connection is of no more use.
    open: AtomicBool,
    /// Whether the task outlives this handle.
    detached: AtomicBool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.detached.load(Ordering::Relaxed) {
            self.task.abort();
        }
    }
}

impl Connection {
    fn is_open(&self) -> bool {
        self.driver.open.load(Ordering::Relaxed) && !self.driver.task.is_finished()
    }

    /// Lets go of it at once: a server that hangs would hold it for as long as it owes an answer.
    fn close(&self) {
        self.driver.open.store(false, Ordering::Relaxed);
        self.driver.task.abort();
    }
}

impl Client {
    /// One that connects when it is first used.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), link: Arc::default() }
    }

    /// Sends one command and waits for its answer, 1.5 seconds at most. It is never sent twice.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.within(async |mut commands| command.query_async(&mut commands).await).await
    }

    /// Sends several commands at once and waits for their answers, 1.5 seconds at most for all. None is sent twice.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Error> {
        self.within(async |mut link| commands.query_async(&mut link).await).await
    }

    async fn within<T>(&self, ask: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>) -> Result<T, Error> {
        let (address, deadline) = (|| self.settings.address(), tokio::time::Instant::now() + DEADLINE);
        let slow = || format!("{} ms passed", DEADLINE.as_millis());
        let connection = timeout_at(deadline, self.connection()).await;
        let connection = connection.map_err(|_| Error::Away { address: address(), reason: slow() })??;
        match timeout_at(deadline, ask(connection.commands.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if error.is_io_error() || error.is_unrecoverable_error() {
                    connection.close();
                }
                Err(explain(&self.settings, &error))
            }
            Err(_) => {
                // A server that hangs is not asked again over this connection.
                connection.close();
                Err(Error::NoAnswer { address: address(), reason: slow() })
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

    async fn connection(&self) -> Result<Connection, Error> {
        let attempt = {
            let mut link = self.link.lock();
            match &*link {
                Link::Connected(connection) if connection.is_open() => return Ok(connection.clone()),
                Link::Failed(at, error) if at.elapsed() < AGAIN => return Err(error.clone()),
                Link::Connecting(attempt) => attempt.clone(),
                _ => {
                    let attempt = self.clone().attempt().boxed().shared();
                    // It goes on when those who wait for it have gone.
                    tokio::spawn(attempt.clone());
                    *link = Link::Connecting(attempt.clone());
                    attempt
                }
            }
        };
        attempt.await
    }

    async fn attempt(self) -> Result<Connection, Error> {
        let opened = open(&self.settings, CONNECT).await;
        *self.link.lock() = match &opened {
            Ok(connection) => Link::Connected(connection.clone()),
            Err(error) => Link::Failed(Instant::now(), error.clone()),
        };
        if opened.is_ok() {
            tracing::info!(address = %self.settings.address(), "connected to redis");
        }
        opened
    }
}

/// A connection of one's own, for commands that block; each answer may take as long as it takes.
///
/// # Errors
/// [`Error::Away`], or [`Error::Refused`] for a wrong password.
pub async fn dedicated(settings: &Settings) -> Result<MultiplexedConnection, Error> {
    let Connection { commands, driver } = open(settings, CONNECT_OWN).await?;
    driver.detached.store(true, Ordering::Relaxed);
    Ok(commands)
}

/// Connects, gives the password, and sees that it answers.
async fn open(settings: &Settings, within: Duration) -> Result<Connection, Error> {
    let opened = timeout(within, greet(settings)).await;
    opened.unwrap_or_else(|_| {
        let reason = format!("no greeting in {} ms", within.as_millis());
        Err(Error::Away { address: settings.address(), reason })
    })
}

async fn greet(settings: &Settings) -> Result<Connection, Error> {
    let away = |reason: String| Error::Away { address: settings.address(), reason };
    // Whatever breaks here, nothing that was asked for has been sent.
    let failed = |error: RedisError| match explain(settings, &error) {
        Error::NoAnswer { reason, .. } => away(reason),
        other => other,
    };
    let stream = connect(&settings.address()).await.map_err(|error| away(error.to_string()))?;
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(password) = &settings.redis_password {
        info = info.set_password(password.as_str());
    }
    let unlimited = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let (mut commands, driver) =
        MultiplexedConnection::new_with_config(&info, stream, unlimited).await.map_err(failed)?;
    let task = tokio::spawn(driver).abort_handle();
    let driver = Driver { task, open: AtomicBool::new(true), detached: AtomicBool::new(false) };
    let connection = Connection { commands: commands.clone(), driver: Arc::new(driver) };
    let _: String = redis::cmd("PING").query_async(&mut commands).await.map_err(failed)?;
    Ok(connection)
}

fn explain(settings: &Settings, error: &RedisError) -> Error {
    let (address, reason) = (settings.address(), error.to_string());
    match error.code() {
        Some(code) if NOT_NOW.contains(&code) => Error::Away { address, reason },
        Some(_) => Error::Refused { address, reason },
        None if error.kind() == ErrorKind::AuthenticationFailed => Error::Refused { address, reason },
        None if error.is_io_error() || error.is_unrecoverable_error() => Error::NoAnswer { address, reason },
        None => Error::Refused { address, reason },
    }
}
