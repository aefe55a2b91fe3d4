//! Asks PostgreSQL for the counts, once for everyone.

use std::time::Duration;

use services_kit as kit;
use tokio::sync::watch;

use super::metrics::Metrics;
use super::tally::Tally;
use crate::database::{Error, Session, Target};
use crate::options::Choice;

/// How often.
const EVERY: Duration = Duration::from_secs(1);
const COUNT: &str = "SELECT vote, COUNT(id) FROM votes GROUP BY vote";
/// A server that we gave up on gives up too.
const SETUP: &str = "SET application_name = 'vote-result'; SET statement_timeout = '4s'";

/// What is known now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The last counts that PostgreSQL gave, if it ever did.
    pub tally: Option<Tally>,
    /// Why they may be old.
    pub trouble: Option<String>,
}

impl Default for Known {
    fn default() -> Self {
        Self { tally: None, trouble: Some("not connected yet".to_owned()) }
    }
}

/// Keeps `known` up to date until shutdown. Whoever watches it is woken by changes alone.
pub async fn run(target: Target, known: watch::Sender<Known>, metrics: Metrics, shutdown: kit::Shutdown) {
    let mut session = None;
    while !shutdown.has_begun() {
        let asked = count(&mut session, &target).await;
        match &asked {
            Ok(tally) => metrics.read(*tally),
            Err(error) => {
                session = None;
                metrics.failed();
                tracing::warn!("cannot count votes: {error}");
            }
        }
        known.send_if_modified(|known| {
            let now = match asked {
                Ok(tally) => Known { tally: Some(tally), trouble: None },
                Err(error) => Known { tally: known.tally, trouble: Some(error.to_string()) },
            };
            let changed = *known != now;
            *known = now;
            changed
        });
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.wait() => {}
        }
    }
}

async fn count(session: &mut Option<Session>, target: &Target) -> Result<Tally, Error> {
    let open = match session.take() {
        Some(open) => open,
        None => {
            let open = Session::open(target).await?;
            open.within(open.client.batch_execute(SETUP)).await?;
            tracing::info!("connected to postgresql");
            open
        }
    };
    let counted = open.within(open.client.query(COUNT, &[])).await;
    let rows = match counted {
        Ok(rows) => rows,
        // Nobody has voted, and no worker has made the table.
        Err(error) if error.is_missing_table() => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut tally = Tally::default();
    for row in rows {
        let count = u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
        match Choice::read(row.get(0)) {
            Some(Choice::A) => tally.a = count,
            Some(Choice::B) => tally.b = count,
            // Not an option here.
            None => {}
        }
    }
    *session = Some(open);
    Ok(tally)
}
