//! Kill -9, frozen servers and several workers, under load: one row a voter, with the last vote that was accepted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[allow(dead_code, reason = "each test uses its part")]
mod app;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use app::{App, Dice, post, worker};
use provisioning_parts::eventually;

const CLIENTS: u64 = 6;
/// About how many votes a voter has, and among how many voters they are mixed.
const VOTES_OF_EACH: u64 = 3;
const MIXED: u64 = 8;

/// What may stand in a voter's row at the end.
#[derive(Debug, Default)]
struct Allowed {
    /// The last vote that was accepted.
    accepted: Option<&'static str>,
    /// Votes refused since then: they may be counted, and need not.
    refused: Vec<&'static str>,
}

impl Allowed {
    fn holds(&self, vote: Option<&str>) -> bool {
        match vote {
            None => self.accepted.is_none(),
            Some(vote) => self.accepted == Some(vote) || self.refused.contains(&vote),
        }
    }
}

/// Votes until told to stop, each voter a few times and then never again: a vote that is lost is not covered up by a
/// later one.
fn vote_on(address: &str, client: u64, stop: &AtomicBool) -> BTreeMap<String, Allowed> {
    let dice = Dice::new(client);
    let mut voters: BTreeMap<String, Allowed> = BTreeMap::new();
    let mut step = 0;
    while !stop.load(Ordering::Relaxed) {
        let voter = format!("{client:x}{:08x}", step / VOTES_OF_EACH + dice.roll(MIXED));
        step += 1;
        let vote = if dice.roll(2) == 0 { "a" } else { "b" };
        let taken = post(address, &voter, vote).is_ok_and(|answer| answer.status == 200);
        let allowed = voters.entry(voter).or_default();
        if taken {
            *allowed = Allowed { accepted: Some(vote), refused: Vec::new() };
        } else {
            allowed.refused.push(vote);
            // What is away stays away for moments.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    voters
}

/// Votes while `faults` happen; then everything accepted must be stored, once a voter.
fn under_load(app: &mut App, faults: impl FnOnce(&mut App)) {
    let stop = AtomicBool::new(false);
    let address = app.vote.address.clone();
    let mut voters = BTreeMap::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (address, stop) = (&address, &stop);
                scope.spawn(move || vote_on(address, client, stop))
            })
            .collect();
        let happened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| faults(app)));
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            voters.extend(client.join().unwrap());
        }
        happened.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    app.await_stored();
    let rows = app.rows();
    let stored: BTreeMap<String, String> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), stored.len(), "a voter has two rows");
    let wrong: Vec<_> = voters
        .iter()
        .map(|(voter, allowed)| (voter, allowed, stored.get(voter)))
        .filter(|(_, allowed, vote)| !allowed.holds(vote.map(String::as_str)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} voters have a wrong row or none: {wrong:?}", wrong.len(), voters.len());
    assert!(stored.keys().all(|voter| voters.contains_key(voter)), "there are rows of nobody");
    let certain = voters.values().filter(|allowed| allowed.accepted.is_some() && allowed.refused.is_empty()).count();
    println!("{certain} of {} voters were sure of their vote", voters.len());
    assert!(certain > 300, "{certain} voters are no load");
}

#[test]
fn whatever_is_killed_and_comes_back_no_vote_is_lost_or_goes_back() {
    let mut app = App::start();
    let mut other = worker(&app.redis, &app.postgres);
    let dice = Dice::new(7);
    under_load(&mut app, |app| {
        for round in 0..15 {
            let pause = Duration::from_millis(100 + dice.roll(900));
            std::thread::sleep(pause);
            match round % 5 {
                0 => app.worker.restart(),
                1 => app.redis.restart(),
                2 => app.postgres.restart(),
                3 => other.restart(),
                _ => app.vote.restart(),
            }
        }
    });
}

#[test]
fn what_is_away_for_long_is_caught_up_with() {
    let mut app = App::start();
    under_load(&mut app, |app| {
        app.postgres.kill();
        std::thread::sleep(Duration::from_secs(3));
        let queued: u64 = app.redis.command(&["LLEN", "votes"]).parse().unwrap();
        assert!(queued > 100, "{queued} votes wait");
        eventually(5, "the worker tells of the lag", || {
            let (queued, lag) = (app.worker.metric("voting_votes_queued"), app.worker.metric("voting_lag_seconds"));
            (queued > Some(100.0) && lag >= Some(2.0) && lag < Some(8.0))
                .then_some(())
                .ok_or_else(|| format!("{queued:?} {lag:?}"))
        });
        assert_eq!((app.worker.get("/readyz").status, app.worker.get("/healthz").status), (503, 200));
        app.postgres.restart();
        eventually(15, "the worker is ready", || {
            let answer = app.worker.get("/readyz");
            (answer.status == 200).then_some(()).ok_or_else(|| answer.text().to_owned())
        });
        assert!(app.worker.metric("voting_reconnects_total{peer=\"postgres\"") >= Some(1.0));
        app.redis.kill();
        std::thread::sleep(Duration::from_secs(2));
        eventually(5, "figures that nobody knows are absent", || {
            let queued = app.worker.metric("voting_votes_queued");
            queued.is_none().then_some(()).ok_or_else(|| format!("{queued:?}"))
        });
        app.redis.restart();
    });
}

#[test]
fn servers_that_hang_are_noticed_and_no_vote_is_lost() {
    let mut app = App::start();
    under_load(&mut app, |app| {
        std::thread::sleep(Duration::from_millis(500));
        app.postgres.stop();
        eventually(15, "the worker notices that PostgreSQL hangs", || {
            let answer = app.worker.get("/readyz");
            (answer.status == 503 && answer.text().contains("postgresql"))
                .then_some(())
                .ok_or_else(|| format!("{answer:?}"))
        });
        app.postgres.cont();
        eventually(20, "the worker stores again", || {
            let active = app.worker.metric("voting_worker_active");
            (active == Some(1.0)).then_some(()).ok_or_else(|| app.worker.get("/readyz").text().to_owned())
        });
        app.redis.stop();
        eventually(15, "the worker notices that Redis hangs", || {
            let answer = app.worker.get("/readyz");
            (answer.status == 503 && answer.text().contains("redis")).then_some(()).ok_or_else(|| format!("{answer:?}"))
        });
        app.redis.cont();
    });
}

#[test]
fn of_two_workers_one_works_and_the_other_takes_over_from_one_that_is_killed_or_frozen() {
    let mut app = App::start();
    eventually(10, "the first worker works", || {
        let active = app.worker.metric("voting_worker_active");
        (active == Some(1.0)).then_some(()).ok_or_else(|| format!("{active:?}"))
    });
    let other = worker(&app.redis, &app.postgres);
    eventually(10, "the other stands by", || {
        let ready = other.get("/readyz");
        (ready.status == 200).then_some(()).ok_or_else(|| ready.text().to_owned())
    });
    assert_eq!(other.metric("voting_worker_active"), Some(0.0));
    let other_works = || {
        eventually(30, "the other works", || {
            let active = other.metric("voting_worker_active");
            (active == Some(1.0)).then_some(()).ok_or_else(|| format!("{active:?}"))
        });
    };
    under_load(&mut app, |app| {
        std::thread::sleep(Duration::from_millis(300));
        // It holds the lock, and votes in hand. PostgreSQL lets go of it, and what it does when it wakes does no harm.
        app.worker.process().stop();
        other_works();
        std::thread::sleep(Duration::from_millis(500));
        app.worker.process().cont();
        std::thread::sleep(Duration::from_secs(1));
    });
    assert_eq!(app.worker.metric("voting_worker_active"), Some(0.0));
    assert_eq!(other.metric("voting_worker_active"), Some(1.0));
}

#[test]
fn a_worker_ends_soon_though_its_servers_hang() {
    let mut app = App::start();
    app.postgres.stop();
    app.vote("1f", "a");
    eventually(15, "the worker notices that PostgreSQL hangs", || {
        let answer = app.worker.get("/readyz");
        (answer.status == 503).then_some(()).ok_or_else(|| format!("{answer:?}"))
    });
    // Now it hangs in the log-in, or will at once.
    let begun = Instant::now();
    assert!(app.worker.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    app.postgres.cont();
    app.worker.restart();
    app.await_stored();
    assert_eq!(app.rows(), [("1f".to_owned(), "a".to_owned())]);
}
