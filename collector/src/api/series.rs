//! `series`, `labels`, `label/NAME/values`.

use axum::extract::{Path, State};
use axum::response::Response;
use collector_model::{Matcher, Select, Selection};

use super::error::{ApiError, success, success_value};
use super::json::{push_labels, push_list};
use super::params::Params;
use crate::Shared;

/// `/api/v1/series`
pub async fn series(State(shared): State<Shared>, params: Params) -> Result<Response, ApiError> {
    let selections = selections(&params)?;
    if selections.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = params.limit("limit")?;
    let mut series = read(&shared, move |select| select.series(&selections)).await?;
    let warnings = truncate(&mut series, limit);
    let mut data = String::new();
    push_list(&mut data, &series, push_labels_of);
    Ok(success(&data, &warnings, &[]))
}

fn push_labels_of(out: &mut String, labels: &collector_model::Labels) {
    push_labels(out, labels);
}

/// `/api/v1/labels`
pub async fn labels(State(shared): State<Shared>, params: Params) -> Result<Response, ApiError> {
    let selections = selections(&params)?;
    let limit = params.limit("limit")?;
    let mut names = read(&shared, move |select| select.label_names(&selections)).await?;
    let warnings = truncate(&mut names, limit);
    strings(&names, &warnings)
}

/// `/api/v1/label/NAME/values`
pub async fn label_values(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    // Names outside the old character set come as `U__` with `_HEX_` for each odd character.
    let name = unescape_label_name(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data("invalid label name: \"\""));
    }
    let selections = selections(&params)?;
    let limit = params.limit("limit")?;
    let mut values = read(&shared, move |select| select.label_values(&name, &selections)).await?;
    let warnings = truncate(&mut values, limit);
    strings(&values, &warnings)
}

fn strings(items: &[String], warnings: &[String]) -> Result<Response, ApiError> {
    if warnings.is_empty() {
        return Ok(success_value(&items));
    }
    let data = serde_json::to_string(items).map_err(|e| ApiError::internal(e.to_string()))?;
    Ok(success(&data, warnings, &[]))
}

fn truncate<T>(items: &mut Vec<T>, limit: Option<usize>) -> Vec<String> {
    match limit {
        Some(limit) if items.len() > limit => {
            items.truncate(limit);
            vec!["results truncated due to limit".to_owned()]
        }
        _ => Vec::new(),
    }
}

async fn read<T: Send + 'static>(
    shared: &Shared,
    ask: impl FnOnce(&dyn Select) -> Result<T, collector_model::SelectError> + Send + 'static,
) -> Result<T, ApiError> {
    shared.queries.read(ask).await
}

fn selections(params: &Params) -> Result<Vec<Selection>, ApiError> {
    let min_ms = params.time("start")?.unwrap_or(i64::MIN);
    let max_ms = params.time("end")?.unwrap_or(i64::MAX);
    if max_ms < min_ms {
        return Err(ApiError::bad_parameter("end", "end timestamp must not be before start time"));
    }
    let mut selections = params
        .all("match[]")
        .map(|text| {
            let matchers = collector_promql::parse_selector(text)
                .map_err(|e| ApiError::bad_parameter("match[]", &e.to_string()))?;
            if matchers.iter().all(|m| m.matches("")) {
                return Err(ApiError::bad_parameter("match[]", "match[] must contain at least one non-empty matcher"));
            }
            Ok(Selection { min_ms, max_ms, matchers })
        })
        .collect::<Result<Vec<_>, _>>()?;
    // Without a selector the bounds still count: ask for every series that has a name.
    if selections.is_empty() && (params.get("start").is_some() || params.get("end").is_some()) {
        let any = Matcher::new(collector_model::MatchOp::NotEqual, collector_model::METRIC_NAME, "")
            .map_err(|e| ApiError::internal(e.to_string()))?;
        selections.push(Selection { min_ms, max_ms, matchers: vec![any] });
    }
    Ok(selections)
}

fn unescape_label_name(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("U__") else { return name.to_owned() };
    let mut plain = String::new();
    while let Some(at) = rest.find('_') {
        plain.push_str(rest.get(..at).unwrap_or(""));
        rest = rest.get(at + 1..).unwrap_or("");
        if let Some(tail) = rest.strip_prefix('_') {
            plain.push('_');
            rest = tail;
            continue;
        }
        let Some((hex, tail)) = rest.split_once('_') else { return name.to_owned() };
        match u32::from_str_radix(hex, 16).ok().and_then(char::from_u32) {
            Some(c) => plain.push(c),
            None => return name.to_owned(),
        }
        rest = tail;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::unescape_label_name;

    #[test]
    fn escaped_label_names_are_read() {
        assert_eq!(unescape_label_name("job"), "job");
        assert_eq!(unescape_label_name("U__http_2e_status:sum"), "http.status:sum");
        assert_eq!(unescape_label_name("U__a__b"), "a_b");
        assert_eq!(unescape_label_name("U__a_zz_b"), "U__a_zz_b");
    }
}
