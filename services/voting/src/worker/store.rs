//! The PostgreSQL table, seen from the worker.

use tokio_postgres::Statement;

use crate::ballot::Ballot;
use crate::database::{Error, Session};

/// What readers rely on.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS votes (id VARCHAR(255) NOT NULL UNIQUE, vote VARCHAR(255) NOT NULL)";
/// All votes of a batch in one statement, so in one commit. What is there already is not written again.
const UPSERT: &str = "INSERT INTO votes (id, vote) SELECT * FROM UNNEST($1::text[], $2::text[]) \
                      ON CONFLICT (id) DO UPDATE SET vote = excluded.vote \
                      WHERE votes.vote IS DISTINCT FROM excluded.vote";
/// Our lock among all advisory locks of the database: the bytes of `vote`.
const LOCK: i64 = 0x766f_7465;
/// How the session is to be: a commit is on disk; nothing runs for long after its worker has given up on it; a worker
/// that is frozen or unreachable loses its session, and with it the lock, after 15 s at most. Settings that the server
/// does not have (older than 14) are passed over.
const ALIVE: &str = "SELECT set_config(name, value, false) FROM (VALUES \
                     ('application_name', 'vote-worker'), ('synchronous_commit', 'on'), ('statement_timeout', '4s'), \
                     ('lock_timeout', '3s'), ('idle_session_timeout', '15s'), \
                     ('idle_in_transaction_session_timeout', '15s'), ('tcp_keepalives_idle', '5'), \
                     ('tcp_keepalives_interval', '3'), ('tcp_keepalives_count', '3')) \
                     AS wanted (name, value) JOIN pg_settings USING (name)";

/// Sets the session up so that its lock is a lease.
///
/// # Errors
/// See [`Error`].
pub async fn prove_alive(session: &Session) -> Result<(), Error> {
    session.within(session.client.batch_execute(ALIVE)).await
}

/// Asks for the lock; true if this session has it now. It lasts as long as the session.
///
/// # Errors
/// See [`Error`].
pub async fn claim(session: &Session) -> Result<bool, Error> {
    let row = session.within(session.client.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK])).await?;
    Ok(row.get(0))
}

/// The table, of the one worker that has the lock.
pub struct Store {
    session: Session,
    upsert: Statement,
}

impl Store {
    /// Makes the table if it is missing. The session must hold the lock.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(session: Session) -> Result<Self, Error> {
        session.within(session.client.batch_execute(TABLE)).await?;
        let upsert = session.within(session.client.prepare(UPSERT)).await?;
        Ok(Self { session, upsert })
    }

    /// Stores votes, one of each voter. Gives back those that PostgreSQL does not take, whatever is tried.
    ///
    /// # Errors
    /// See [`Error`]; some may be stored all the same.
    pub async fn put(&self, ballots: Vec<Ballot>) -> Result<Vec<Ballot>, Error> {
        let mut refused = Vec::new();
        let mut parts = vec![ballots];
        while let Some(mut part) = parts.pop() {
            match self.put_all(&part).await {
                Ok(()) => {}
                // One bad vote does not hold up the others: halve until it is alone.
                Err(error) if error.is_about_the_data() && part.len() > 1 => {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                Err(error) if error.is_about_the_data() => {
                    tracing::warn!(%error, "a vote is not stored");
                    refused.append(&mut part);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(refused)
    }

    async fn put_all(&self, ballots: &[Ballot]) -> Result<(), Error> {
        if ballots.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = ballots.iter().map(|ballot| ballot.voter_id.as_str()).collect();
        let votes: Vec<&str> = ballots.iter().map(|ballot| ballot.vote.as_str()).collect();
        self.session.within(self.session.client.execute(&self.upsert, &[&ids, &votes])).await.map(drop)
    }

    /// Shows the server that the session lives, and finds out whether the server does.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn beat(&self) -> Result<(), Error> {
        self.session.within(self.session.client.batch_execute("SELECT 1")).await
    }
}
