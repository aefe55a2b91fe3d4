//! The two pages over plain HTTP: cookies, wrong forms, hostile names, servers that are away or hang, live events.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[allow(dead_code, reason = "each test uses its part")]
mod app;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use app::{App, post};
use provisioning_parts::{Answer, Postgres, Redis, Service, Start, eventually, send};
use serde_json::{Value, json};

fn vote(redis: &Redis) -> Service {
    let vote = Service::start(env!("CARGO_BIN_EXE_vote"), redis.env());
    vote.await_ready();
    vote
}

fn set_cookies(answer: &Answer) -> Vec<&str> {
    let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")).map(|(_, value)| value).collect()
}

fn given_id(answer: &Answer) -> &str {
    let cookies = set_cookies(answer);
    let rest = cookies.iter().find_map(|cookie| cookie.strip_prefix("voter_id=")).unwrap();
    let (id, attributes) = rest.split_once(';').unwrap();
    assert!(attributes.contains("HttpOnly") && attributes.contains("SameSite=Lax"), "{attributes}");
    id
}

#[test]
fn every_answer_gives_the_voter_an_identity_and_keeps_one_that_is_right() {
    let redis = Redis::start();
    let vote = vote(&redis);
    let ask = |method, headers: &[(&str, &str)], body: &[u8]| send(method, &vote.address, "/", headers, body).unwrap();
    let id = given_id(&ask("GET", &[], b"")).to_owned();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    assert_ne!(given_id(&ask("GET", &[], b"")), id);
    for (sent, kept) in [
        (id.as_str(), true),
        ("1F", true),
        (&"a".repeat(64), true),
        (&"a".repeat(65), false),
        ("xyz", false),
        ("", false),
        ("<script>", false),
    ] {
        let cookie = format!("other=1; voter_id={sent}");
        for (method, body, status) in [("GET", "", 200), ("POST", "vote=a", 200), ("POST", "vote=c", 400)] {
            let form = ("Content-Type", "application/x-www-form-urlencoded");
            let answer = ask(method, &[("Cookie", &cookie), form], body.as_bytes());
            assert_eq!(answer.status, status);
            assert_eq!(given_id(&answer) == sent, kept, "{method} {body} as {sent}");
        }
    }
    assert!(!redis.command(&["LRANGE", "votes", "0", "-1"]).contains("script"));
}

#[test]
fn a_wrong_form_is_400_names_the_field_and_queues_nothing() {
    let redis = Redis::start();
    let vote = vote(&redis);
    let long = format!("vote={}", "a".repeat(100_000));
    let form = "application/x-www-form-urlencoded";
    for (content_type, body) in [
        (form, ""),
        (form, "vote="),
        (form, "vote=A"),
        (form, "vote=a&vote=b"),
        (form, "other=a"),
        (form, "vote=%ff"),
        (form, &long),
        ("application/json", r#"{"vote":"a"}"#),
        ("text/plain", "vote=a"),
    ] {
        let answer = send("POST", &vote.address, "/", &[("Content-Type", content_type)], body.as_bytes()).unwrap();
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains("The form field “vote” "), "{}", answer.text());
    }
    assert_eq!(redis.command(&["EXISTS", "votes"]), "0");
    assert_eq!(vote.metric("voting_votes_refused_total{reason=\"form\""), Some(9.0));
}

#[test]
fn the_page_shows_host_and_own_vote_needs_no_script_and_loads_nothing_from_elsewhere() {
    let redis = Redis::start();
    let vote = vote(&redis);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let page = vote.get("/");
    assert!(page.text().contains(host.trim()) && page.text().contains("You have not voted yet"));
    assert!(!page.text().contains("<script") && !page.text().contains("://"), "{}", page.text());
    assert!(page.header("Content-Security-Policy").unwrap().contains("default-src 'self'"));
    assert_eq!(page.header("Cache-Control"), Some("no-store"));
    let voted = post(&vote.address, "1f", "b").unwrap();
    assert!(voted.text().contains("Your vote: Dogs."), "{}", voted.text());
    let cookie =
        set_cookies(&voted).iter().find_map(|c| c.split(';').next().filter(|c| c.starts_with("voted="))).unwrap();
    let again = send("GET", &vote.address, "/", &[("Cookie", cookie)], b"").unwrap();
    assert!(again.text().contains("Your vote: Dogs."), "{}", again.text());
    for file in ["/vote.css", "/base.css"] {
        assert_eq!(vote.get(file).header("Content-Type"), Some("text/css; charset=utf-8"));
    }
}

#[test]
fn names_of_options_are_text_whatever_they_hold() {
    let name = r#"<b onclick="x">"Rust" & 'Go'</b>{{host}}"#;
    let app = App::with_options(&[("OPTION_A", name), ("OPTION_B", "Ñandú")]);
    for page in [app.vote.get("/"), app.vote("1f", "a"), app.result.get("/")] {
        let text = page.text();
        let escaped = "&lt;b onclick=&quot;x&quot;&gt;&quot;Rust&quot; &amp; &#39;Go&#39;&lt;/b&gt;{{host}}";
        assert!(text.contains(escaped) && text.contains("Ñandú") && !text.contains("<b "), "{text}");
    }
    for wrong in ["  ", &"x".repeat(81)] {
        let mut refused = Start::new(env!("CARGO_BIN_EXE_vote")).clean_environment().env("OPTION_A", wrong).spawn();
        assert_eq!(refused.await_exit().code(), Some(2));
        assert!(refused.log().contains("OPTION_A"), "{}", refused.log());
    }
}

#[test]
fn a_wrong_database_url_is_named_by_its_key_and_not_shown() {
    for program in [env!("CARGO_BIN_EXE_vote-worker"), env!("CARGO_BIN_EXE_vote-result")] {
        let url = "postgres://u:s3cret@h:port/d";
        let mut refused = Start::new(program).clean_environment().env("DATABASE_URL", url).spawn();
        assert!(!refused.await_exit().success());
        assert!(refused.log().contains("DATABASE_URL") && !refused.log().contains("s3cret"), "{}", refused.log());
    }
}

#[test]
fn without_redis_the_page_says_so_and_keeps_the_choice_and_no_vote_looks_accepted() {
    let mut redis = Redis::durable();
    let vote = vote(&redis);
    assert_eq!(post(&vote.address, "1f", "a").unwrap().status, 200);
    redis.kill();
    let refused = post(&vote.address, "1f", "b").unwrap();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("Retry-After"), Some("2"));
    let text = refused.text();
    assert!(text.contains("your vote for Dogs was") || text.contains("Your vote for Dogs was not counted"), "{text}");
    assert!(text.contains(r#"<span class="name">Dogs</span><span class="mark">Try again</span>"#), "{text}");
    assert_eq!(set_cookies(&refused).len(), 1, "the vote must not be kept as cast");
    // By now it is known that nobody is there.
    let refused = post(&vote.address, "1f", "b").unwrap();
    assert!(refused.text().contains("Your vote for Dogs was not counted"), "{}", refused.text());
    assert_eq!((vote.get("/").status, vote.get("/healthz").status, vote.get("/readyz").status), (200, 200, 503));
    redis.restart();
    eventually(10, "votes are taken again", || {
        let status = post(&vote.address, "1f", "b")?.status;
        (status == 200).then_some(()).ok_or_else(|| status.to_string())
    });
    let list = redis.command(&["LRANGE", "votes", "0", "-1"]);
    assert_eq!(list.lines().count(), 2, "{list}");
    assert_eq!(vote.metric("voting_votes_accepted_total"), Some(2.0));
    assert!(vote.metric("voting_votes_refused_total{reason=\"redis_away\"") >= Some(1.0));
}

#[test]
fn a_redis_that_hangs_is_noticed_and_the_voter_is_told_the_truth() {
    let redis = Redis::start();
    let vote = vote(&redis);
    assert_eq!(post(&vote.address, "1f", "a").unwrap().status, 200);
    redis.stop();
    let begun = Instant::now();
    let refused = post(&vote.address, "1f", "b").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("We cannot tell whether your vote for Dogs was counted"), "{}", refused.text());
    redis.cont();
    eventually(10, "votes are taken again", || {
        let status = post(&vote.address, "1f", "a")?.status;
        (status == 200).then_some(()).ok_or_else(|| status.to_string())
    });
    // The vote that nobody could tell of may be there; it is never after the one that was accepted later.
    let list = redis.command(&["LRANGE", "votes", "0", "-1"]);
    assert!(list.ends_with(r#""vote":"a"}"#), "{list}");
}

/// Listens to `/events`.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn open(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n").unwrap();
        Self(BufReader::new(stream))
    }

    fn status(&mut self) -> u16 {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn next(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the events ended");
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }
}

#[test]
fn the_result_comes_at_once_and_at_each_change_and_says_when_postgresql_is_away() {
    let mut app = App::start();
    app.vote("1a", "a");
    let seen = |app: &App, want: Value| {
        eventually(15, "the result is shown", || {
            let answer = app.result.try_get("/api/result")?;
            // 503 until the table has been read once.
            if answer.status != 200 {
                return Err(answer.text().to_owned());
            }
            let result = answer.json();
            (result == want).then_some(()).ok_or_else(|| result.to_string())
        });
    };
    seen(&app, json!({"a": 1, "b": 0}));
    let mut listener = Listener::open(&app.result.address);
    assert_eq!(listener.status(), 200);
    let first = listener.next();
    assert_eq!((first["percent_a"].as_str(), first["total"].as_str()), (Some("100.0%"), Some("1 vote")));
    app.vote("2b", "b");
    let changed = listener.next();
    assert_eq!((changed["percent_b"].as_str(), changed["total"].as_str()), (Some("50.0%"), Some("2 votes")));

    app.postgres.kill();
    let away = listener.next();
    assert_eq!((away["votes_a"].as_str(), away["total"].as_str()), (Some("1"), Some("2 votes")));
    assert!(away["problem"].as_str().unwrap().contains("The database is away"), "{away}");
    assert_eq!(app.result.get("/api/result").json(), json!({"a": 1, "b": 1, "stale": true}));
    let page = app.result.get("/");
    assert!(page.text().contains("The database is away: these are the last votes"), "{}", page.text());
    assert_eq!((app.result.get("/readyz").status, app.result.get("/healthz").status), (503, 200));
    app.vote("3a", "a");
    app.postgres.restart();
    loop {
        let view = listener.next();
        if view["total"] == "3 votes" && view["problem"] == "" {
            break;
        }
    }
    // A server that hangs is away too.
    app.postgres.stop();
    let begun = Instant::now();
    let away = listener.next();
    assert!(away["problem"].as_str().unwrap().contains("away") && begun.elapsed() < Duration::from_secs(9), "{away}");
    app.postgres.cont();
    assert_eq!(listener.next()["problem"], "");
    seen(&app, json!({"a": 2, "b": 1}));
    assert!(app.result.metric("voting_reconnects_total{peer=\"postgres\"") >= Some(2.0));
}

#[test]
fn a_result_that_was_never_known_is_not_zero() {
    let postgres = Postgres::start();
    postgres.stop();
    let result = Service::start(env!("CARGO_BIN_EXE_vote-result"), postgres.env());
    assert_eq!(result.get("/api/result").status, 503);
    let page = result.get("/");
    assert!(page.status == 200 && page.text().contains("Votes: <span id=\"votes_a\">–</span>"), "{}", page.text());
    assert_eq!(result.metric("voting_result_votes"), None);
    postgres.cont();
    eventually(15, "the result is known", || {
        let answer = result.try_get("/api/result")?;
        (answer.status == 200 && answer.json() == json!({"a": 0, "b": 0})).then_some(()).ok_or_else(String::new)
    });
}

#[test]
fn listeners_are_bounded_and_end_with_the_service() {
    let postgres = Postgres::start();
    let env = postgres.env().into_iter().chain([("MAX_LISTENERS".to_owned(), "2".to_owned())]);
    let mut result = Service::start(env!("CARGO_BIN_EXE_vote-result"), env);
    let mut listeners: Vec<Listener> = (0..2).map(|_| Listener::open(&result.address)).collect();
    for listener in &mut listeners {
        assert_eq!(listener.status(), 200);
        listener.next();
    }
    let refused = result.get("/events");
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("5")));
    assert_eq!(result.metric("voting_result_listeners"), Some(2.0));
    assert_eq!(result.metric("voting_result_listeners_refused_total"), Some(1.0));
    listeners.pop();
    eventually(10, "a place is free", || {
        let mut listener = Listener::open(&result.address);
        match listener.status() {
            200 => {
                listeners.push(listener);
                Ok(())
            }
            other => Err(other.to_string()),
        }
    });
    let begun = Instant::now();
    assert!(result.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    listeners[0].0.read_to_end(&mut rest).unwrap();
}
