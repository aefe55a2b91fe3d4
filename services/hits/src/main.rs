//! The hit counter.

use std::process::ExitCode;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use services_kit as kit;

async fn seen(State(redis): State<kit::redis::Client>) -> Result<String, kit::Refusal> {
    let count: u64 = redis
        .ask(redis::cmd("INCR").arg("hits"))
        .await
        .map_err(|error| kit::Refusal::unavailable(error.to_string()))?;
    Ok(format!("Hello from Redis! I have been seen {count} times.\n"))
}

async fn serve(settings: kit::redis::Settings, process: kit::Process) -> Result<(), kit::Failure> {
    let redis = kit::redis::Client::new(settings);
    let asked = redis.clone();
    let readiness = kit::Readiness::default().with("redis", move || {
        let redis = asked.clone();
        async move { redis.ping().await }
    });
    process.serve(Router::new().route("/", get(seen)).with_state(redis), readiness).await
}

fn main() -> ExitCode {
    kit::run(&kit::Program { name: "hits", about: "Counts how often it has been seen, in Redis.", port: 5003 }, serve)
}
