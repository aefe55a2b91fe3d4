//! Votes per second from the form into PostgreSQL; and the worker beside one that stores one vote after another.
//!
//! All parts are real and each write is on disk before it is answered for: Redis with an append-only file and fsync
//! always, PostgreSQL as it comes. Load, programs and servers share one machine. Figures depend on it and on its disk;
//! the ratio at the end is what to compare.
//!
//! `cargo bench --profile service -p services-voting --bench peers`. Needs `apt-get install redis-server postgresql`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use provisioning_parts::{Postgres, Redis, Service, eventually};
use services_kit::connect::Address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;

/// Votes of one run over HTTP, each of another voter, and over how many connections that are kept alive.
const VOTES: usize = 60_000;
const CONNECTIONS: usize = 64;
/// Votes that lie on the list when the workers' race begins. The naive one gets fewer, or it would take minutes.
const QUEUED: usize = 60_000;
const QUEUED_NAIVE: usize = 4_000;
/// The median of so many runs is shown.
const RUNS: usize = 3;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("\n{VOTES} votes over {CONNECTIONS} connections, fsync always; median of {RUNS} runs");
    let mut runs: Vec<Whole> = (0..RUNS).map(|_| runtime.block_on(whole())).collect();
    runs.sort_by(|x, y| x.stored.total_cmp(&y.stored));
    let Whole { accepted, stored, p50, p99 } = &runs[RUNS / 2];
    println!("accepted {accepted:>9.0} votes/s, answered in {p50:.2?} (p50), {p99:.2?} (p99)");
    println!("stored   {stored:>9.0} votes/s, from the first request to the last row; all that was accepted is there");

    println!("\nvotes that wait on the list, stored by");
    let median = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[RUNS / 2]
    };
    let ours = median((0..RUNS).map(|_| drained(QUEUED)).collect());
    let naive = median((0..RUNS).map(|_| runtime.block_on(drained_naively(QUEUED_NAIVE))).collect());
    println!("vote-worker                          {ours:>9.0} votes/s");
    println!("one LPOP and one INSERT after another {naive:>8.0} votes/s");
    println!("vote-worker: {:.1} times the naive worker", ours / naive);
}

struct Whole {
    accepted: f64,
    stored: f64,
    p50: Duration,
    p99: Duration,
}

/// All three programs but the result page, which only reads.
async fn whole() -> Whole {
    let (redis, postgres) = (Redis::durable(), Postgres::start());
    let vote = Service::start(env!("CARGO_BIN_EXE_vote"), redis.env());
    let worker = worker(&redis, &postgres);
    // The table is there, and both have warmed up.
    load(&vote.address, "f", 2_000).await;
    await_empty(&redis);

    let begun = Instant::now();
    let mut latencies = load(&vote.address, "e", VOTES).await;
    let accepted = begun.elapsed();
    await_empty(&redis);
    let stored = begun.elapsed();
    assert_eq!(postgres.query("SELECT count(*) FROM votes WHERE id LIKE 'e%'"), [[VOTES.to_string()]]);
    assert_eq!(worker.metric("voting_votes_processed_total"), Some((VOTES + 2_000) as f64));
    latencies.sort();
    Whole {
        accepted: VOTES as f64 / accepted.as_secs_f64(),
        stored: VOTES as f64 / stored.as_secs_f64(),
        p50: latencies[VOTES / 2],
        p99: latencies[VOTES * 99 / 100],
    }
}

/// Votes, each of another voter; every one must be accepted. Gives how long each took.
async fn load(address: &str, prefix: &str, votes: usize) -> Vec<Duration> {
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|client| {
            let (address, prefix) = (address.to_owned(), prefix.to_owned());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut buffer = Vec::with_capacity(16 << 10);
                let mut latencies = Vec::new();
                for n in (client..votes).step_by(CONNECTIONS) {
                    let vote = if n % 3 == 0 { "a" } else { "b" };
                    let request = format!(
                        "POST / HTTP/1.1\r\nHost: {address}\r\nCookie: voter_id={prefix}{n:015x}\r\n\
                         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\nvote={vote}"
                    );
                    let begun = Instant::now();
                    stream.write_all(request.as_bytes()).await.unwrap();
                    let head = answer(&mut stream, &mut buffer).await;
                    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                    latencies.push(begun.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut all = Vec::with_capacity(votes);
    for client in clients {
        all.append(&mut client.await.unwrap());
    }
    all
}

/// Reads one answer to its end; gives its head.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> String {
    buffer.clear();
    loop {
        assert!(stream.read_buf(buffer).await.unwrap() > 0, "closed");
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let whole = end + 4 + length.parse::<usize>().unwrap();
        while buffer.len() < whole {
            assert!(stream.read_buf(buffer).await.unwrap() > 0, "closed");
        }
        assert_eq!(buffer.len(), whole);
        return String::from_utf8_lossy(&buffer[..end]).into_owned();
    }
}

fn worker(redis: &Redis, postgres: &Postgres) -> Service {
    let env = redis.env().into_iter().chain([("DATABASE_URL".to_owned(), postgres.url())]);
    Service::start(env!("CARGO_BIN_EXE_vote-worker"), env)
}

/// Votes leave the list when they are stored.
fn await_empty(redis: &Redis) {
    eventually(120, "the list is empty", || match redis.try_command(&["LLEN", "votes"])?.as_str() {
        "0" => Ok(()),
        left => Err(format!("{left} votes are left")),
    });
}

fn fill(redis: &Redis, votes: usize) {
    let script = format!(
        "for i = 1, {votes} do redis.call('RPUSH', 'votes', \
         string.format('{{\"voter_id\": \"%032x\", \"vote\": \"%s\"}}', i, i % 3 == 0 and 'a' or 'b')) end"
    );
    redis.command(&["EVAL", &script, "0"]);
}

fn assert_all_stored(postgres: &Postgres, votes: usize) {
    assert_eq!(postgres.query("SELECT count(*) FROM votes"), [[votes.to_string()]]);
}

/// Votes per second that our worker stores, from the first row to the last.
fn drained(votes: usize) -> f64 {
    let (redis, postgres) = (Redis::durable(), Postgres::start());
    let _worker = worker(&redis, &postgres);
    eventually(20, "the table is there", || postgres.try_query("SELECT count(*) FROM votes"));
    fill(&redis, votes);
    let begun = Instant::now();
    await_empty(&redis);
    let took = begun.elapsed();
    assert_all_stored(&postgres, votes);
    votes as f64 / took.as_secs_f64()
}

/// Votes per second of a worker that takes one by LPOP and stores it by one INSERT, as the application that this one
/// descends from does. It loses the vote in hand when it dies.
async fn drained_naively(votes: usize) -> f64 {
    let (redis, postgres) = (Redis::durable(), Postgres::start());
    postgres.query("CREATE TABLE votes (id VARCHAR(255) NOT NULL UNIQUE, vote VARCHAR(255) NOT NULL)");
    fill(&redis, votes);
    let settings = services_kit::redis::Settings {
        redis_host: "127.0.0.1".to_owned(),
        redis_port: redis.port,
        redis_password: None,
    };
    let mut queue = services_kit::redis::dedicated(&settings).await.unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: postgres.port };
    let stream = services_kit::connect::connect(&address).await.unwrap();
    let config: tokio_postgres::Config = postgres.url().parse().unwrap();
    let (client, connection) = config.connect_raw(stream, NoTls).await.unwrap();
    tokio::spawn(connection);
    let insert = "INSERT INTO votes (id, vote) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET vote = excluded.vote";
    let insert = client.prepare(insert).await.unwrap();

    let begun = Instant::now();
    loop {
        let message: Option<Vec<u8>> = redis::cmd("LPOP").arg("votes").query_async(&mut queue).await.unwrap();
        let Some(message) = message else { break };
        let vote: serde_json::Value = serde_json::from_slice(&message).unwrap();
        let (id, vote) = (vote["voter_id"].as_str().unwrap(), vote["vote"].as_str().unwrap());
        client.execute(&insert, &[&id, &vote]).await.unwrap();
    }
    let took = begun.elapsed();
    assert_all_stored(&postgres, votes);
    votes as f64 / took.as_secs_f64()
}
