//! From the form to the result, through the three programs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[allow(dead_code, reason = "each test uses its part")]
mod app;

use app::App;
use provisioning_parts::eventually;
use serde_json::json;

#[test]
fn votes_go_from_the_form_to_the_result_and_the_last_of_a_voter_counts() {
    let mut app = App::start();
    assert_eq!(app.result.get("/api/result").json(), json!({"a": 0, "b": 0}));
    assert!(app.result.get("/").text().contains("No votes yet"));
    for (voter, vote) in [("1a", "a"), ("2b", "b"), ("3c", "a"), ("1a", "b"), ("1a", "a"), ("2b", "a"), ("2b", "b")] {
        assert_eq!(app.vote(voter, vote).status, 200);
    }
    app.await_stored();
    let rows = [("1a", "a"), ("2b", "b"), ("3c", "a")].map(|(id, vote)| (id.to_owned(), vote.to_owned()));
    assert_eq!(app.rows(), rows);
    eventually(10, "the result is shown", || {
        let result = app.result.get("/api/result").json();
        (result == json!({"a": 2, "b": 1})).then_some(()).ok_or_else(|| result.to_string())
    });
    let page = app.result.get("/");
    for text in ["66.7%", "33.3%", "3 votes"] {
        assert!(page.text().contains(text), "{text} in {}", page.text());
    }

    assert_eq!(app.vote.metric("voting_votes_accepted_total"), Some(7.0));
    eventually(10, "the worker tells", || {
        let told =
            ["voting_votes_processed_total", "voting_votes_queued", "voting_lag_seconds", "voting_worker_active"]
                .map(|name| app.worker.metric(name));
        (told == [Some(7.0), Some(0.0), Some(0.0), Some(1.0)]).then_some(()).ok_or_else(|| format!("{told:?}"))
    });
    assert!(app.worker.metric("voting_batch_duration_seconds_count") >= Some(1.0));
    assert_eq!(app.result.metric("voting_result_votes{vote=\"a\"}"), Some(2.0));
    for service in [&mut app.vote, &mut app.worker, &mut app.result] {
        assert_eq!(service.get("/readyz").status, 200);
        assert!(service.terminate().success());
        assert!(!service.process().log().contains("a-tests-own"), "the password is in the log");
    }
}

#[test]
fn the_list_and_the_table_are_those_that_others_know() {
    let mut app = App::start();
    app.worker.process().stop();
    app.vote("1f", "a");
    assert_eq!(app.redis.command(&["LRANGE", "votes", "0", "-1"]), r#"{"voter_id":"1f","vote":"a"}"#);
    app.redis.command(&["RPUSH", "votes", r#"{"voter_id": "2f", "vote": "b"}"#]);
    app.worker.process().cont();
    app.await_stored();
    assert_eq!(app.rows().len(), 2);
    let columns = "SELECT column_name, data_type, character_maximum_length, is_nullable FROM \
                   information_schema.columns WHERE table_name = 'votes' ORDER BY ordinal_position";
    let want = [["id", "character varying", "255", "NO"], ["vote", "character varying", "255", "NO"]];
    assert_eq!(app.postgres.query(columns), want);
}

#[test]
fn messages_that_are_no_votes_are_put_aside_and_hold_up_nothing() {
    let app = App::with_table(
        "CREATE TABLE votes (id VARCHAR(255) NOT NULL UNIQUE CHECK (id <> 'bad'), \
                               vote VARCHAR(255) NOT NULL)",
    );
    let huge = "x".repeat(100_000);
    let long = format!(r#"{{"voter_id":"{}","vote":"a"}}"#, "1".repeat(256));
    let poison = [
        ("not_json", "no vote"),
        ("not_json", r#"{"voter_id":"1f","vote":"a""#),
        ("not_an_object", "[1]"),
        ("voter_id", r#"{"vote":"a"}"#),
        ("voter_id", &long),
        ("voter_id", r#"{"voter_id":"a\u0000b","vote":"a"}"#),
        ("vote", r#"{"voter_id":"1f","vote":"c"}"#),
        ("too_long", &huge),
        ("database", r#"{"voter_id":"bad","vote":"a"}"#),
    ];
    for (n, (_, message)) in poison.iter().enumerate() {
        app.vote(&format!("{n:x}"), "a");
        app.redis.command(&["RPUSH", "votes", message]);
    }
    app.push_from_script("for i = 1, 30 do redis.call('RPUSH', 'votes', string.rep('x', 1024 * 1024)) end");
    app.vote("ff", "b");
    app.await_stored();
    assert_eq!(app.rows().len(), poison.len() + 1);
    let kept = app.redis.command(&["LRANGE", "votes:rejected", "0", "-1"]);
    for (reason, message) in &poison {
        let beginning: String = message.chars().take(15).collect();
        let told = kept
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .any(|entry| entry["reason"] == *reason && entry["message"].as_str().unwrap().starts_with(&beginning));
        assert!(told, "{reason}: {beginning} is not in {kept}");
    }
    let rejected = |reason: &str| app.worker.metric(&format!("voting_votes_rejected_total{{reason=\"{reason}\""));
    assert_eq!([rejected("too_long"), rejected("voter_id"), rejected("database")], [Some(31.0), Some(3.0), Some(1.0)]);
    assert_eq!(app.worker.metric("voting_votes_processed_total"), Some(10.0));

    app.push_from_script("for i = 1, 3000 do redis.call('RPUSH', 'votes', 'poison') end");
    app.await_stored();
    assert_eq!(app.redis.command(&["LLEN", "votes:rejected"]), "1000");
}

#[test]
fn a_key_that_is_no_list_stops_the_worker_until_it_is_gone_and_says_so() {
    let app = App::start();
    app.redis.command(&["SET", "votes", "x"]);
    eventually(10, "the worker is not ready", || {
        let answer = app.worker.get("/readyz");
        (answer.status == 503 && answer.text().contains("WRONGTYPE")).then_some(()).ok_or_else(|| format!("{answer:?}"))
    });
    let refused = app.vote("1f", "a");
    assert_eq!(refused.status, 503, "{}", refused.text());
    app.redis.command(&["DEL", "votes"]);
    assert_eq!(app.vote("1f", "b").status, 200);
    app.await_stored();
    assert_eq!(app.rows(), [("1f".to_owned(), "b".to_owned())]);
}
