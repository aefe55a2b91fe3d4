//! One connection to PostgreSQL, with a deadline for everything that is asked of it.

use std::time::Duration;

use services_kit::connect::{Address, connect};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

/// How long a statement or a log-in may take.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Where PostgreSQL is: a URL, or its pieces.
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "PostgreSQL")]
#[group(skip)]
pub struct Settings {
    /// All in one: postgres://USER:PASSWORD@HOST:PORT/DATABASE; what it leaves out, the following say. Also from the
    /// file that DATABASE_URL_FILE names.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Name or address of PostgreSQL.
    #[arg(long, env = "POSTGRES_HOST", default_value = "127.0.0.1", value_name = "HOST")]
    pub postgres_host: String,
    /// Its TCP port.
    #[arg(long, env = "POSTGRES_PORT", default_value = "5432", value_name = "PORT")]
    pub postgres_port: u16,
    /// The user to log in as.
    #[arg(long, env = "POSTGRES_USER", default_value = "postgres", value_name = "USER")]
    pub postgres_user: String,
    /// The user's password; also from the file that POSTGRES_PASSWORD_FILE names.
    #[arg(long, env = "POSTGRES_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub postgres_password: Option<String>,
    /// The database; the user's name if empty.
    #[arg(long, env = "POSTGRES_DB", default_value = "postgres", value_name = "DATABASE")]
    pub postgres_db: String,
}

/// `DATABASE_URL` cannot be used. The URL itself is not told: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("DATABASE_URL: {reason}")]
pub struct UrlError {
    /// What is wrong.
    pub reason: String,
}

/// Where to log in, and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    config: Config,
    address: Address,
}

impl Settings {
    /// Puts the pieces together.
    ///
    /// # Errors
    /// `DATABASE_URL` is no URL, or asks for what is not supported here.
    pub fn target(&self) -> Result<Target, UrlError> {
        let wrong = |reason: &str| UrlError { reason: reason.to_owned() };
        let mut config = match &self.database_url {
            None => Config::new(),
            Some(url) if !url.starts_with("postgres://") && !url.starts_with("postgresql://") => {
                return Err(wrong("not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE"));
            }
            Some(url) => url.parse().map_err(|error| UrlError { reason: chain(&error) })?,
        };
        if config.get_ssl_mode() == SslMode::Require {
            return Err(wrong("sslmode=require is not supported: the connection is not encrypted"));
        }
        let host = match config.get_hosts() {
            [] => self.postgres_host.clone(),
            [Host::Tcp(host)] => host.trim_matches(['[', ']']).to_owned(),
            _ => return Err(wrong("one host is needed, by name or address")),
        };
        let port = config.get_ports().first().copied().unwrap_or(self.postgres_port);
        if config.get_user().is_none() {
            config.user(&self.postgres_user);
        }
        if let (None, Some(password)) = (config.get_password(), &self.postgres_password) {
            config.password(password);
        }
        if config.get_dbname().is_none() && !self.postgres_db.is_empty() {
            config.dbname(&self.postgres_db);
        }
        Ok(Target { config, address: Address { host, port } })
    }
}

/// PostgreSQL does not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no connection, or it broke.
    #[error("postgresql at {address} is away: {reason}")]
    Away {
        /// Where it should be.
        address: Address,
        /// Why.
        reason: String,
    },
    /// It did not answer within [`DEADLINE`].
    #[error("postgresql at {address} gave no answer in {} s", DEADLINE.as_secs())]
    Silent {
        /// Where.
        address: Address,
    },
    /// It said no.
    #[error("postgresql at {address} refused: {reason}")]
    Refused {
        /// Where.
        address: Address,
        /// Its words.
        reason: String,
        /// Its code.
        code: SqlState,
    },
}

impl Error {
    /// Whether it is what was sent that PostgreSQL does not take (classes 22, data exception, and 23, integrity
    /// constraint violation), so that the same would be refused again.
    #[must_use]
    pub fn is_about_the_data(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.code().starts_with("22") || code.code().starts_with("23"))
    }

    /// Whether the table is not there.
    #[must_use]
    pub fn is_missing_table(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == SqlState::UNDEFINED_TABLE)
    }
}

/// A connection that is logged in. It is closed when this is dropped.
pub struct Session {
    /// To ask with, [`Session::within`] the deadline.
    pub client: Client,
    address: Address,
    driver: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // The driver owns the socket: without this it would wait for answers that nobody wants.
        self.driver.abort();
    }
}

impl Session {
    /// Connects and logs in.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(target: &Target) -> Result<Self, Error> {
        let address = target.address.clone();
        let stream = connect(&address)
            .await
            .map_err(|error| Error::Away { address: address.clone(), reason: error.to_string() })?;
        let (client, connection) = within(&address, target.config.connect_raw(stream, NoTls)).await?;
        let driver = tokio::spawn(async move {
            // Whoever asks over the connection is told what broke it.
            let _ = connection.await;
        });
        Ok(Self { client, address, driver })
    }

    /// Waits for an answer, [`DEADLINE`] at most. After an error other than [`Error::Refused`] the session is of no
    /// further use.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn within<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Error> {
        within(&self.address, asked).await
    }
}

async fn within<T>(
    address: &Address,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    let address = address.clone();
    match tokio::time::timeout(DEADLINE, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(match error.code() {
            Some(code) => Error::Refused { code: code.clone(), reason: chain(&error), address },
            None => Error::Away { reason: chain(&error), address },
        }),
        Err(_) => Err(Error::Silent { address }),
    }
}

/// An error and its causes on one line; the library keeps what the server said among the causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let line: Vec<String> = causes.map(ToString::to_string).collect();
    line.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: Option<&str>) -> Settings {
        Settings {
            database_url: url.map(str::to_owned),
            postgres_host: "db".to_owned(),
            postgres_port: 5432,
            postgres_user: "postgres".to_owned(),
            postgres_password: Some("piece".to_owned()),
            postgres_db: "votes".to_owned(),
        }
    }

    #[track_caller]
    fn check(url: Option<&str>, want: Result<(&str, &str, &str, &str), &str>) {
        let got = settings(url).target().map_err(|error| error.to_string()).map(|target| {
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let password = String::from_utf8_lossy(target.config.get_password().unwrap_or_default()).into_owned();
            let config = &target.config;
            (target.address.to_string(), text(config.get_user()), password, text(config.get_dbname()))
        });
        let want = want.map(|(a, b, c, d)| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned()));
        assert_eq!(got, want.map_err(|reason| format!("DATABASE_URL: {reason}")), "{url:?}");
    }

    #[test]
    fn a_url_goes_before_the_pieces_and_they_fill_what_it_leaves_out() {
        check(None, Ok(("db:5432", "postgres", "piece", "votes")));
        check(Some("postgres://u:p@h:1/d"), Ok(("h:1", "u", "p", "d")));
        check(Some("postgresql://u:p%40ss@h/d"), Ok(("h:5432", "u", "p@ss", "d")));
        check(Some("postgres://h"), Ok(("h:5432", "postgres", "piece", "votes")));
        check(Some("postgres://[::1]:1/d"), Ok(("[::1]:1", "postgres", "piece", "d")));
    }

    #[test]
    fn what_cannot_be_used_is_told_without_the_password() {
        check(Some("mysql://u:p@h/d"), Err("not of the form postgres://USER:PASSWORD@HOST:PORT/DATABASE"));
        check(
            Some("postgres://u:p@h/d?sslmode=require"),
            Err("sslmode=require is not supported: the connection is not encrypted"),
        );
        check(Some("postgres://u:p@h,i/d"), Err("one host is needed, by name or address"));
        check(Some("postgres://%2Frun%2Fpg/d"), Err("one host is needed, by name or address"));
        let error = settings(Some("postgres://u:s3cret@h:port/d")).target().unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
