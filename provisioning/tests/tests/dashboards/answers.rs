//! Asks what Grafana would ask: fills a board's variables and Grafana's own names in, and sends the query where the
//! provisioned data source leads.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use provisioning_parts::{eventually, form, send};
use serde_json::Value;

use crate::queries::{LabelValues, Language, Query, names, queries, substituted};
use crate::schema::{Board, DataSourceRef, Variable, VariableKind};
use crate::sources::DataSources;
use crate::stack::Stack;

/// Of the running stack, where everything is scraped and evaluated each second. Grafana takes four intervals too.
const RATE_INTERVAL: &str = "4s";

pub struct Asker<'a> {
    stack: &'a Stack,
    sources: DataSources,
    since: u64,
}

/// A board's variables, and the values that their queries give.
type Values<'a> = BTreeMap<&'a str, (&'a Variable, Vec<String>)>;

/// Which values a query is asked with.
#[derive(Clone, Copy)]
enum Choice<'a> {
    /// What the board shows at first: all values, of a list the one it names.
    First,
    /// One value of one variable, as if a person had chosen it.
    Of(&'a str, &'a str),
}

impl<'a> Asker<'a> {
    /// For answers about the time from now on.
    pub fn new(stack: &'a Stack, sources: DataSources) -> Self {
        Self { stack, sources, since: seconds_now() }
    }

    /// Waits until each query of the boards and of their variables has had an answer that is not empty: with what a
    /// board shows at first, and for each variable with one of its values alone.
    pub fn await_answers(&self, boards: &[Board]) {
        for board in boards {
            let values = eventually(30, &format!("the variables of {} have values", board.stem), || self.values(board));
            let mut waiting = queries(board);
            eventually(30, &format!("each query of {} has an answer", board.stem), || {
                let mut reasons = Vec::new();
                waiting.retain(|query| {
                    let why = self.unanswered(query, &values).err();
                    reasons.extend(why.iter().map(|why| format!("{}: {why}", query.place)));
                    why.is_some()
                });
                if reasons.is_empty() { Ok(()) } else { Err(reasons.join("\n")) }
            });
        }
    }

    fn unanswered(&self, query: &Query<'_>, values: &Values<'_>) -> Result<(), String> {
        self.answered(query, values, Choice::First)?;
        for name in names(query.text) {
            let Some((variable, options)) = values.get(name.as_str()) else { continue };
            let mut tried = Vec::new();
            let works = |option: &String| {
                let answer = self.answered(query, values, Choice::Of(&variable.name, option));
                tried.extend(answer.as_ref().err().cloned());
                answer.is_ok()
            };
            if !options.iter().any(works) {
                return Err(format!("no value of {name} alone gives anything: {}", tried.join("; ")));
            }
        }
        Ok(())
    }

    fn answered(&self, query: &Query<'_>, values: &Values<'_>, choice: Choice<'_>) -> Result<(), String> {
        let text = filled(query.text, values, choice, query.source)?;
        let numbers = match query.language {
            Language::PromQl { instant } => self.promql(query.source, &text, instant)?,
            Language::InfluxQl => self.influxql(query.source, &text)?,
        };
        if numbers == 0 { Err(format!("nothing for {text}")) } else { Ok(()) }
    }

    /// The values of each variable, asked for in the board's order with all of those before.
    fn values<'b>(&self, board: &'b Board) -> Result<Values<'b>, String> {
        let mut values = Values::new();
        for variable in &board.dashboard.templating.list {
            let found = match (variable.kind, &variable.datasource) {
                (VariableKind::Query, Some(source)) => {
                    let text = filled(&variable.query, &values, Choice::First, source)?;
                    self.options(source, &text)?
                }
                _ => variable.query.split(',').map(|value| value.trim().to_owned()).collect(),
            };
            if found.is_empty() {
                return Err(format!("{} has no value", variable.name));
            }
            values.insert(&variable.name, (variable, found));
        }
        Ok(values)
    }

    fn options(&self, source: &DataSourceRef, text: &str) -> Result<Vec<String>, String> {
        if source.kind == "influxdb" {
            let series = self.influx_series(source, text)?;
            let rows = series.iter().flat_map(|series| series["values"].as_array().unwrap());
            return Ok(rows.map(|row| row[1].as_str().unwrap().to_owned()).collect());
        }
        let LabelValues { selector, label } = LabelValues::read(text).ok_or_else(|| format!("{text} is none"))?;
        let matches: Vec<(&str, &str)> = selector.iter().map(|selector| ("match[]", *selector)).collect();
        let data = self.prometheus(source, "GET", &format!("/api/v1/label/{label}/values?{}", form(&matches)), "")?;
        Ok(data.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect())
    }

    /// How many numbers PromQL gives.
    fn promql(&self, source: &DataSourceRef, text: &str, instant: bool) -> Result<usize, String> {
        let (from, to) = (self.since.to_string(), seconds_now().to_string());
        let (path, fields) = match instant {
            true => ("/api/v1/query", vec![("query", text)]),
            false => ("/api/v1/query_range", vec![("query", text), ("start", &from), ("end", &to), ("step", "2s")]),
        };
        let data = self.prometheus(source, "POST", path, &form(&fields))?;
        let rows = data["result"].as_array().ok_or_else(|| format!("{text}: {data}"))?;
        let samples = rows.iter().flat_map(|row| match row.get("values") {
            Some(samples) => samples.as_array().unwrap().clone(),
            None => vec![row["value"].clone()],
        });
        Ok(samples.filter(|sample| sample[1] != "NaN").count())
    }

    fn prometheus(&self, source: &DataSourceRef, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = send(method, &self.address(source), path, &kind, body.as_bytes())?;
        let mut json = answer.json();
        if json["status"] == "success" { Ok(json["data"].take()) } else { Err(format!("{body}: {json}")) }
    }

    /// How many numbers InfluxQL gives.
    fn influxql(&self, source: &DataSourceRef, text: &str) -> Result<usize, String> {
        let series = self.influx_series(source, text)?;
        let rows = series.iter().flat_map(|series| series["values"].as_array().unwrap());
        Ok(rows.filter(|row| row[1].is_number()).count())
    }

    fn influx_series(&self, source: &DataSourceRef, text: &str) -> Result<Vec<Value>, String> {
        let provisioned = self.sources.get(&source.uid);
        let settings = &provisioned.json_data;
        // InfluxDB 1 has no token: the variable is empty there.
        let header = &provisioned.secure_json_data.as_ref().unwrap().http_header_value;
        let header = substituted(header, |name| name.ends_with("_TOKEN").then(String::new)).unwrap();
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            (settings.http_header_name.as_deref().unwrap(), header.as_str()),
        ];
        let fields = form(&[("db", settings.db_name.as_deref().unwrap()), ("epoch", "ms")]);
        let path = format!("/query?{fields}");
        let method = settings.http_mode.as_deref().unwrap();
        let answer = send(method, &self.address(source), &path, &headers, form(&[("q", text)]).as_bytes())?;
        let json = answer.json();
        match json["results"][0].get("error").or(json.get("error")) {
            Some(error) => Err(format!("{text}: {error}")),
            None => Ok(json["results"][0]["series"].as_array().cloned().unwrap_or_default()),
        }
    }

    /// Where the data source leads when its variables mean the running stack.
    fn address(&self, source: &DataSourceRef) -> String {
        let stack = self.stack;
        let url = substituted(&self.sources.get(&source.uid).url, |name| match name {
            "COLLECTOR_URL" => Some(format!("http://{}", stack.collector.address)),
            "INFLUXDB_VMS_URL" => Some(format!("http://{}", stack.vms.address)),
            "INFLUXDB_CONTAINERS_URL" => Some(format!("http://{}", stack.containers.address)),
            _ => None,
        });
        url.unwrap().strip_prefix("http://").unwrap().to_owned()
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A query as Grafana would send it.
fn filled(text: &str, values: &Values<'_>, choice: Choice<'_>, source: &DataSourceRef) -> Result<String, String> {
    let escape = if source.kind == "influxdb" { "\\" } else { "\\\\" };
    let filled = substituted(text, |name| match name {
        "__rate_interval" => Some(RATE_INTERVAL.to_owned()),
        "__interval" => Some("5s".to_owned()),
        "__range" => Some("1m".to_owned()),
        "timeFilter" => Some("time >= now() - 5m".to_owned()),
        name => {
            let (variable, all) = values.get(name)?;
            Some(match choice {
                Choice::Of(chosen, value) if chosen == name && variable.multi => escaped(value, escape),
                Choice::Of(chosen, value) if chosen == name => value.to_owned(),
                _ => first(variable, all, escape),
            })
        }
    });
    filled.map_err(|name| format!("{text}: ${name} has no value"))
}

/// What a variable is when nobody has chosen yet.
fn first(variable: &Variable, all: &[String], escape: &str) -> String {
    match &variable.all_value {
        _ if !variable.include_all => variable.current.value.first().to_owned(),
        Some(value) => value.clone(),
        None => format!("({})", all.iter().map(|value| escaped(value, escape)).collect::<Vec<_>>().join("|")),
    }
}

/// A value as a part of a regular expression. In PromQL that stands within a string, with escapes of its own.
fn escaped(value: &str, escape: &str) -> String {
    let special = |c: char| "\\^$*{}[]+?.()|/'".contains(c);
    value.chars().flat_map(|c| special(c).then_some(escape).into_iter().flat_map(str::chars).chain([c])).collect()
}
