//! The whole: real Redis and PostgreSQL, and the three programs by their binaries.

use std::sync::atomic::{AtomicU64, Ordering};

use provisioning_parts::{Answer, Postgres, Redis, Service, eventually, form, send};

/// All parts. The programs end before the servers.
pub struct App {
    pub vote: Service,
    pub worker: Service,
    pub result: Service,
    pub redis: Redis,
    pub postgres: Postgres,
}

impl App {
    pub fn start() -> Self {
        Self::with_options(&[])
    }

    /// With further settings of the two pages.
    pub fn with_options(options: &[(&str, &str)]) -> Self {
        Self::on(Redis::durable(), Postgres::start(), options)
    }

    /// With a table that was made before.
    pub fn with_table(sql: &str) -> Self {
        let postgres = Postgres::start();
        postgres.query(sql);
        Self::on(Redis::durable(), postgres, &[])
    }

    fn on(redis: Redis, postgres: Postgres, options: &[(&str, &str)]) -> Self {
        let options = || options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let vote = Service::start(env!("CARGO_BIN_EXE_vote"), redis.env().into_iter().chain(options()));
        let worker = worker(&redis, &postgres);
        let result = Service::start(env!("CARGO_BIN_EXE_vote-result"), postgres.env().into_iter().chain(options()));
        for service in [&vote, &worker, &result] {
            service.await_ready();
        }
        Self { vote, worker, result, redis, postgres }
    }

    /// A vote of this voter; status and page.
    pub fn vote(&self, voter: &str, vote: &str) -> Answer {
        post(&self.vote.address, voter, vote).unwrap()
    }

    /// Lets Redis itself push what is too much for a command line.
    pub fn push_from_script(&self, lua: &str) {
        self.redis.command(&["EVAL", lua, "0"]);
    }

    /// All rows, by voter.
    pub fn rows(&self) -> Vec<(String, String)> {
        let rows = self.postgres.query("SELECT id, vote FROM votes ORDER BY id");
        rows.into_iter().map(|mut row| (row.remove(0), row.remove(0))).collect()
    }

    /// Waits until the list is empty and the worker has nothing in hand, which is one: votes leave when stored.
    pub fn await_stored(&self) {
        eventually(60, "all votes are stored", || match self.redis.try_command(&["LLEN", "votes"])?.as_str() {
            "0" => Ok(()),
            left => Err(format!("{left} are left")),
        });
    }
}

/// A worker for them.
pub fn worker(redis: &Redis, postgres: &Postgres) -> Service {
    let env = redis.env().into_iter().chain([("DATABASE_URL".to_owned(), postgres.url())]);
    Service::start(env!("CARGO_BIN_EXE_vote-worker"), env)
}

/// Hands in a vote.
pub fn post(address: &str, voter: &str, vote: &str) -> Result<Answer, String> {
    let cookie = format!("voter_id={voter}");
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookie.as_str())];
    send("POST", address, "/", &headers, form(&[("vote", vote)]).as_bytes())
}

/// Numbers that differ from run to run in no way: a test that failed can be repeated.
pub struct Dice(AtomicU64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Less than `below`.
    pub fn roll(&self, below: u64) -> u64 {
        let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % below
    }
}
