//! What a request asks for besides its path.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ApiError;

/// The parameters of a query. Those that no endpoint has are passed over, as cAdvisor does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters<'a>(pub(super) &'a [(String, String)]);

impl<'a> Parameters<'a> {
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn flag(self, name: &'static str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(Some(true)),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(Some(false)),
            Some(value) => wrong(name, value, "true or false"),
        }
    }

    /// How many; all of them for a negative number.
    pub(super) fn count(self, name: &'static str, default: usize) -> Result<usize, ApiError> {
        let Some(value) = self.get(name) else { return Ok(default) };
        match value.parse::<i64>() {
            Ok(count) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            Err(_) => wrong(name, value, "a whole number, such as 10, or -1 for all"),
        }
    }

    /// As Go writes durations.
    pub(super) fn duration(self, name: &'static str) -> Result<Option<Duration>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match agent_procfs::duration::parse(value) {
            Some(duration) => Ok(Some(duration)),
            None => wrong(name, value, "a duration, such as 500ms, 10s or 1m30s"),
        }
    }

    pub(super) fn time(self, name: &'static str) -> Result<Option<SystemTime>, ApiError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        // A plus sign in a query stands for a blank.
        match OffsetDateTime::parse(&value.replace(' ', "+"), &Rfc3339) {
            Ok(time) => Ok(Some(time.into())),
            Err(_) => wrong(name, value, "a time in RFC 3339, such as 2026-11-27T10:00:00Z"),
        }
    }
}

pub(super) fn wrong<T>(name: &str, value: &str, right: &'static str) -> Result<T, ApiError> {
    let value = value.chars().take(100).collect();
    Err(ApiError::Parameter { name: name.to_owned(), value, right })
}

/// A request for one container's history in version 1: in the body, or as parameters of the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InfoRequest {
    pub(super) most: usize,
    pub(super) start: Option<SystemTime>,
    pub(super) end: Option<SystemTime>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Body {
    num_stats: Option<serde_json::Value>,
    start: Option<String>,
    end: Option<String>,
}

impl InfoRequest {
    /// cAdvisor's own default.
    const MOST: usize = 60;

    pub(super) fn new(parameters: Parameters<'_>, body: &[u8]) -> Result<Self, ApiError> {
        let mut named: Vec<(String, String)> = Vec::new();
        if !body.iter().all(u8::is_ascii_whitespace) {
            let body: Body =
                serde_json::from_slice(body).map_err(|error| ApiError::Body { reason: error.to_string() })?;
            named.extend(body.num_stats.map(|value| ("num_stats".to_owned(), value.to_string())));
            // Go writes the year 1 for no time at all.
            let times = [("start", body.start), ("end", body.end)];
            let given = times.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            named.extend(given.filter(|(_, value)| !value.starts_with("0001-")));
        }
        named.extend_from_slice(parameters.0);
        let all = Parameters(&named);
        Ok(Self { most: all.count("num_stats", Self::MOST)?, start: all.time("start")?, end: all.time("end")? })
    }

    pub(super) fn wants(&self, at: SystemTime) -> bool {
        self.start.is_none_or(|start| at >= start) && self.end.is_none_or(|end| at <= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let query = [("max_age".to_owned(), "1m30s".to_owned()), ("interval".to_owned(), "10".to_owned())];
        let parameters = Parameters(&query);
        assert_eq!(parameters.duration("max_age").unwrap(), Some(Duration::from_secs(90)));
        assert_eq!(parameters.duration("age").unwrap(), None);
        let said = parameters.duration("interval").unwrap_err().to_string();
        assert!(said.contains("parameter interval=10: expected a duration, such as 500ms"), "{said}");
    }

    #[track_caller]
    fn check(query: &[(&str, &str)], body: &str, want: Result<usize, &str>) {
        let query: Vec<_> = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let got = InfoRequest::new(Parameters(&query), body.as_bytes());
        match (got, want) {
            (Ok(got), Ok(want)) => assert_eq!(got.most, want, "{body}"),
            (Err(got), Err(want)) => assert!(got.to_string().contains(want), "{got}"),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn bodies_and_queries() {
        check(&[], "", Ok(60));
        check(&[], " \n", Ok(60));
        check(&[], r#"{"num_stats":3,"start":"0001-01-01T00:00:00Z","end":"0001-01-01T00:00:00Z"}"#, Ok(3));
        check(&[("num_stats", "-1")], "", Ok(usize::MAX));
        check(&[("num_stats", "5")], r#"{"num_stats":3}"#, Ok(3));
        check(&[("num_stats", "many")], "", Err("parameter num_stats=many: expected a whole number"));
        check(&[], r#"{"num_stats":"x"}"#, Err("num_stats"));
        check(&[], r#"{"start":"yesterday"}"#, Err("parameter start=yesterday: expected a time in RFC 3339"));
        check(&[], "{", Err("the body is not the JSON of a request"));
    }
}
