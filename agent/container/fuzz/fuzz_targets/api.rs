//! Any question to cAdvisor's API: a path, parameters and a body, each behind a line feed.
#![no_main]

mod machine;

use std::sync::LazyLock;

use agent_container::api::{Reply, Request};
use agent_container::{Config, Containers, Sets};
use machine::Machine;

static ASKED: LazyLock<(Machine, Containers)> = LazyLock::new(|| {
    let machine = Machine::from_fixture("v2");
    let containers = Containers::new(Config { sets: Sets::all(), ..machine.config() }).unwrap();
    (machine, containers)
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (path, query, body) = (part(), part(), part());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    };
    let parameters: Vec<_> = query.split('&').map(pair).collect();
    match ASKED.1.api(Request { path, parameters: &parameters, body: body.as_bytes() }) {
        Ok(Reply::Json(json)) => assert!(json.starts_with(['{', '[', '"']), "{json}"),
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
    }
    let _ = ASKED.1.info(path);
});
