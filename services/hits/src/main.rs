//! The hit counter: `GET /` counts one more in Redis and says how many there were.

mod metrics;

use std::process::ExitCode;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use services_kit as kit;

use crate::metrics::Metrics;

/// Where the count is kept in Redis.
const KEY: &str = "hits";

#[derive(Clone)]
struct Counter {
    redis: kit::redis::Client,
    metrics: Metrics,
}

/// The words are those that people know, without an end of line.
async fn seen(State(counter): State<Counter>) -> Result<String, kit::Refusal> {
    match counter.redis.ask::<i64>(redis::cmd("INCR").arg(KEY)).await {
        Ok(count) => {
            counter.metrics.counted(count);
            Ok(format!("Hello from Redis! I have been seen {count} times."))
        }
        Err(error) => {
            counter.metrics.failed(&error);
            Err(refusal(&error))
        }
    }
}

fn refusal(error: &kit::redis::Error) -> kit::Refusal {
    match error {
        // Such as another type of value at the key: the same request does not succeed later by itself.
        kit::redis::Error::Refused { .. } => kit::Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        _ => kit::Refusal::unavailable(error.to_string()),
    }
}

async fn serve(settings: kit::redis::Settings, mut process: kit::Process) -> Result<(), kit::Failure> {
    let metrics = Metrics::register(&mut process.registry);
    let counter = Counter { redis: kit::redis::Client::new(settings), metrics };
    let asked = counter.redis.clone();
    let readiness = kit::Readiness::default().with("redis", move || {
        let redis = asked.clone();
        async move { redis.ping().await }
    });
    process.serve(Router::new().route("/", get(seen)).with_state(counter), readiness).await
}

fn main() -> ExitCode {
    kit::run(&kit::Program { name: "hits", about: "Counts how often it has been seen, in Redis.", port: 5003 }, serve)
}
