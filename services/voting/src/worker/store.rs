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

#[cfg(test)]
mod tests {
    use provisioning_parts::{Postgres, eventually};

    use super::*;
    use crate::database::Settings;
    use crate::options::Choice;

    async fn session(postgres: &Postgres) -> Session {
        let settings = Settings {
            database_url: Some(postgres.url()),
            postgres_host: String::new(),
            postgres_port: 0,
            postgres_user: String::new(),
            postgres_password: None,
            postgres_db: String::new(),
        };
        let session = Session::open(&settings.target().unwrap()).await.unwrap();
        prove_alive(&session).await.unwrap();
        session
    }

    fn ballot(voter: &str, vote: Choice) -> Ballot {
        Ballot { voter_id: voter.to_owned(), vote }
    }

    #[tokio::test]
    async fn who_loses_the_lock_cannot_store_any_more() {
        let postgres = Postgres::start();
        let (one, other) = (session(&postgres).await, session(&postgres).await);
        assert!(claim(&one).await.unwrap());
        assert!(!claim(&other).await.unwrap());
        let store = Store::open(one).await.unwrap();
        assert!(store.put(vec![ballot("1", Choice::A)]).await.unwrap().is_empty());
        // As it does with a session that is idle for too long.
        postgres.query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted");
        eventually(10, "the lock is free", || {
            let held = postgres.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted");
            held.is_empty().then_some(()).ok_or_else(|| format!("{held:?}"))
        });
        assert!(claim(&other).await.unwrap());
        assert!(Store::open(other).await.unwrap().put(vec![ballot("1", Choice::B)]).await.unwrap().is_empty());
        assert!(store.put(vec![ballot("1", Choice::A)]).await.is_err());
        assert_eq!(postgres.query("SELECT id, vote FROM votes"), [["1", "b"]]);
    }

    #[tokio::test]
    async fn the_server_ends_sessions_that_show_no_life() {
        let postgres = Postgres::start();
        let session = session(&postgres).await;
        for (name, want) in [("idle_session_timeout", "15s"), ("statement_timeout", "4s"), ("synchronous_commit", "on")]
        {
            let row = session.client.query_one(&format!("SHOW {name}"), &[]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), want, "{name}");
        }
    }

    #[tokio::test]
    async fn one_that_the_table_does_not_take_is_given_back_and_the_others_are_stored() {
        let postgres = Postgres::start();
        postgres.query("CREATE TABLE votes (id VARCHAR(255) NOT NULL UNIQUE CHECK (id NOT LIKE 'bad%'), vote VARCHAR(255) NOT NULL)");
        let store = Store::open(session(&postgres).await).await.unwrap();
        let ids = ["1", "bad1", "2", "3", "bad2", "4", "5"];
        let refused = store.put(ids.iter().map(|id| ballot(id, Choice::A)).collect()).await.unwrap();
        let mut refused: Vec<_> = refused.into_iter().map(|ballot| ballot.voter_id).collect();
        refused.sort();
        assert_eq!(refused, ["bad1", "bad2"]);
        assert_eq!(postgres.query("SELECT count(*) FROM votes"), [["5"]]);
    }
}
