//! `query`, `query_range`, `query_exemplars`.

use axum::extract::State;
use axum::response::Response;
use collector_model::TimestampMs;
use collector_promql::{Limits, QueryResult, RangeParams, Value};

use super::error::{ApiError, success, success_value};
use super::json::push_result;
use super::params::Params;
use crate::Shared;

/// Points of one series that one range query may ask for.
const MAX_POINTS: i64 = 11_000;

/// `/api/v1/query`
pub async fn query(State(shared): State<Shared>, params: Params) -> Result<Response, ApiError> {
    let expression = params.required("query")?.to_owned();
    let at_ms = params.time("time")?.unwrap_or_else(|| shared.clock.now_ms());
    let limit = params.limit("limit")?;
    let limits = limits(&params)?;
    let result = shared
        .queries
        .run(params.duration("timeout")?, limits, move |engine, select, limits| {
            engine.instant(&expression, at_ms, select, limits)
        })
        .await?;
    Ok(answer(result, at_ms, limit))
}

/// `/api/v1/query_range`
pub async fn query_range(State(shared): State<Shared>, params: Params) -> Result<Response, ApiError> {
    let expression = params.required("query")?.to_owned();
    let missing = |name| ApiError::bad_parameter(name, "it is missing");
    let start_ms = params.time("start")?.ok_or_else(|| missing("start"))?;
    let end_ms = params.time("end")?.ok_or_else(|| missing("end"))?;
    let step_ms = params.duration("step")?.ok_or_else(|| missing("step"))?;
    if end_ms < start_ms {
        return Err(ApiError::bad_parameter("end", "end timestamp must not be before start time"));
    }
    if step_ms <= 0 {
        return Err(ApiError::bad_parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if (end_ms - start_ms) / step_ms > MAX_POINTS {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let limit = params.limit("limit")?;
    let limits = limits(&params)?;
    let range = RangeParams { start_ms, end_ms, step_ms };
    let result = shared
        .queries
        .run(params.duration("timeout")?, limits, move |engine, select, limits| {
            engine.range(&expression, range, select, limits)
        })
        .await?;
    Ok(answer(result, end_ms, limit))
}

/// `/api/v1/query_exemplars`: no exemplars are kept, so the answer is always empty.
pub async fn query_exemplars(params: Params) -> Result<Response, ApiError> {
    collector_promql::check(params.required("query")?)?;
    Ok(success_value(&[(); 0]))
}

fn limits(params: &Params) -> Result<Limits, ApiError> {
    Ok(Limits { lookback_delta_ms: params.duration("lookback_delta")?, ..Limits::default() })
}

fn answer(mut result: QueryResult, at_ms: TimestampMs, limit: Option<usize>) -> Response {
    if let Some(limit) = limit {
        let cut = match &mut result.value {
            Value::Vector(samples) if samples.len() > limit => {
                samples.truncate(limit);
                true
            }
            Value::Matrix(series) if series.len() > limit => {
                series.truncate(limit);
                true
            }
            _ => false,
        };
        if cut {
            result.warnings.push("results truncated due to limit".to_owned());
        }
    }
    let mut data = String::new();
    push_result(&mut data, &result.value, at_ms);
    success(&data, &result.warnings, &result.infos)
}
