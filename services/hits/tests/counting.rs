//! The counter with a real Redis: it counts, and says so when Redis is away, hangs or refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use provisioning_parts::{Redis, Service, eventually};

/// Who asks has an answer within this time, whatever Redis does.
const ANSWER: Duration = Duration::from_secs(2);

fn hits(redis: &Redis) -> Service {
    let hits = Service::start(env!("CARGO_BIN_EXE_hits"), redis.env());
    hits.await_ready();
    hits
}

/// The count that one more hit is answered with; `Err` has status and reason of another answer.
fn hit(hits: &Service) -> Result<u64, (u16, String)> {
    let asked = Instant::now();
    let answer = hits.get("/");
    assert!(asked.elapsed() < ANSWER, "{:?} for {answer:?}", asked.elapsed());
    let text = answer.text();
    let count = text.strip_prefix("Hello from Redis! I have been seen ").and_then(|rest| rest.strip_suffix(" times."));
    match (answer.status, count) {
        (200, Some(count)) => Ok(count.parse().unwrap()),
        (status, _) => Err((status, text.to_owned())),
    }
}

fn eventually_hit(hits: &Service) -> u64 {
    eventually(10, "a hit is counted", || hit(hits).map_err(|(status, reason)| format!("{status}: {reason}")))
}

#[test]
fn each_hit_is_one_more() {
    let redis = Redis::start();
    let hits = hits(&redis);
    assert_eq!(hits.get("/").text(), "Hello from Redis! I have been seen 1 times.");
    assert_eq!((hit(&hits), hit(&hits)), (Ok(2), Ok(3)));
    assert_eq!(redis.command(&["GET", "hits"]), "3");
    assert_eq!(hits.metric("hits_counted_total"), Some(3.0));
    assert_eq!(hits.metric("hits_seen"), Some(3.0));
    assert_eq!(hits.metric("hits_failed_total"), Some(0.0));
    assert_eq!(hits.metric("http_requests_total{method=\"GET\",route=\"/\",code=\"200\""), Some(3.0));
    assert_eq!(hits.get("/readyz").status, 200);
}

#[test]
fn the_loss_of_redis_is_told_and_mended_without_help() {
    let mut redis = Redis::durable();
    let hits = hits(&redis);
    assert_eq!((hit(&hits), hit(&hits)), (Ok(1), Ok(2)));

    redis.kill();
    let (status, reason) = hit(&hits).unwrap_err();
    assert_eq!(status, 503);
    assert!(reason.contains(&redis.address()), "{reason}");
    let ready = hits.get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.text().starts_with("redis: redis at 127.0.0.1:"), "{}", ready.text());
    assert_eq!(hits.get("/healthz").status, 200);
    assert_eq!(hits.metric("hits_failed_total"), Some(1.0));

    redis.restart();
    // It was away, so nothing was counted that was not answered.
    assert_eq!(eventually_hit(&hits), 3);
    assert_eq!(hits.get("/readyz").status, 200);
}

#[test]
fn a_redis_that_hangs_costs_no_more_time_than_one_that_is_away() {
    let redis = Redis::start();
    let mut hits = hits(&redis);
    let descriptors = format!("/proc/{}/fd", hits.process().pid());
    hit(&hits).unwrap();
    redis.stop();
    // The first finds out; the next waits for a greeting over a new connection, and so does the one after.
    for _ in 0..3 {
        assert_eq!(hit(&hits).unwrap_err().0, 503);
    }
    let sockets = || std::fs::read_dir(&descriptors).unwrap().count();
    let before = sockets();
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        hit(&hits).unwrap_err();
    }
    assert!(sockets() <= before + 1, "{} descriptors, {before} before", sockets());
    redis.cont();
    eventually_hit(&hits);
}

#[test]
fn many_at_once_do_not_queue_while_redis_is_away_or_hangs() {
    let mut redis = Redis::start();
    let hits = hits(&redis);
    let all_at_once = || {
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..100).map(|_| scope.spawn(|| hit(&hits))).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let mut counts: Vec<u64> = all_at_once().into_iter().map(Result::unwrap).collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=100).collect::<Vec<_>>());

    redis.stop();
    assert!(all_at_once().into_iter().all(|answer| answer.unwrap_err().0 == 503));
    redis.kill();
    assert!(all_at_once().into_iter().all(|answer| answer.unwrap_err().0 == 503));
}

#[test]
fn what_was_answered_was_counted_once_through_kills() {
    let mut redis = Redis::durable();
    let hits = hits(&redis);
    let ended = AtomicBool::new(false);
    let answered: Vec<u64> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = Vec::new();
                    while !ended.load(Ordering::Relaxed) {
                        match hit(&hits) {
                            Ok(count) => answered.push(count),
                            Err((status, reason)) => assert_eq!(status, 503, "{reason}"),
                        }
                    }
                    answered
                })
            })
            .collect();
        for _ in 0..3 {
            let before = hits.metric("hits_counted_total").unwrap();
            eventually(10, "hits are counted again", || match hits.metric("hits_counted_total").unwrap() {
                now if now > before + 50.0 => Ok(()),
                now => Err(now.to_string()),
            });
            redis.kill();
            redis.restart();
        }
        eventually_hit(&hits);
        ended.store(true, Ordering::Relaxed);
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    });
    let mut once = answered.clone();
    once.sort_unstable();
    once.dedup();
    // No count was given out twice, which a lost increment would do.
    assert_eq!(once.len(), answered.len());
    // A count that was passed over belongs to a hit that Redis took and could not answer.
    let total: u64 = redis.command(&["GET", "hits"]).parse().unwrap();
    assert!(once.last().unwrap() <= &total);
    let unanswered = hits.metric("hits_failed_total{reason=\"redis_gave_no_answer\"").unwrap();
    let passed_over = f64::from(u32::try_from(total).unwrap()) - hits.metric("hits_counted_total").unwrap();
    assert!(passed_over <= unanswered, "{passed_over} were counted without an answer, {unanswered} went unanswered");
}

#[test]
fn another_kind_of_value_at_the_key_is_told() {
    let redis = Redis::start();
    let hits = hits(&redis);
    redis.command(&["RPUSH", "hits", "a"]);
    let (status, reason) = hit(&hits).unwrap_err();
    assert_eq!(status, 500);
    assert!(reason.contains("refused") && reason.contains("WRONGTYPE"), "{reason}");
    assert_eq!(hits.metric("hits_failed_total{reason=\"redis_refused\""), Some(1.0));
    redis.command(&["SET", "hits", "many"]);
    assert_eq!(hit(&hits).unwrap_err().0, 500);
    redis.command(&["SET", "hits", "41"]);
    assert_eq!(hit(&hits), Ok(42));
}

#[test]
fn a_password_comes_from_the_environment_or_a_file() {
    let redis = Redis::start();
    redis.command(&["CONFIG", "SET", "requirepass", "open sesame"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "open sesame\n").unwrap();
    let with = |key: &str, value: &str| {
        let further = [(key.to_owned(), value.to_owned())];
        Service::start(env!("CARGO_BIN_EXE_hits"), redis.env().into_iter().chain(further))
    };
    assert_eq!(hit(&with("REDIS_PASSWORD", "open sesame")), Ok(1));
    assert_eq!(hit(&with("REDIS_PASSWORD_FILE", file.path().to_str().unwrap())), Ok(2));
    for wrong in ["", "open barley"] {
        let mut hits = with("REDIS_PASSWORD", wrong);
        let (status, reason) = hit(&hits).unwrap_err();
        assert_eq!(status, 500, "{reason}");
        assert!(reason.contains("refused"), "{reason}");
        assert!(!reason.contains("barley") && !hits.process().log().contains("barley"), "{reason}");
    }
}
