//! `GET /files`: all files, as a page or, for who asks for `application/json`, as a list of objects.

use std::fmt::Write as _;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CACHE_CONTROL, HeaderValue, VARY};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use services_kit::Refusal;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{App, page};
use crate::store::Entry;

/// A file in the JSON listing.
#[derive(serde::Serialize)]
struct Listed<'a> {
    name: &'a str,
    /// Length in bytes.
    size: u64,
    /// RFC 3339, in UTC.
    modified: String,
}

pub(super) async fn list(State(app): State<App>, headers: HeaderMap) -> Result<Response, Refusal> {
    let entries = app.ask(|store| store.list()).await?;
    let mut response = match wants_json(&headers) {
        true => {
            let listed = entries.iter().map(|entry| Listed {
                name: entry.name.as_str(),
                size: entry.bytes,
                modified: moment(entry.modified),
            });
            Json(listed.collect::<Vec<_>>()).into_response()
        }
        false => page::listing(&rows(&entries)),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Whether JSON is named, and liked at least as much as HTML. Who takes anything gets HTML.
fn wants_json(headers: &HeaderMap) -> bool {
    let mut liked = (0.0_f32, 0.0_f32);
    let lines = headers.get_all(ACCEPT).into_iter().filter_map(|line| line.to_str().ok());
    for kind in lines.flat_map(|line| line.split(',')) {
        let mut words = kind.split(';').map(str::trim);
        let name = words.next().unwrap_or_default();
        let quality = words.find_map(|word| word.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        if name.eq_ignore_ascii_case("application/json") {
            liked.0 = quality;
        } else if name.eq_ignore_ascii_case("text/html") {
            liked.1 = quality;
        }
    }
    liked.0 > 0.0 && liked.0 >= liked.1
}

fn moment(time: SystemTime) -> String {
    // Times of the folder are within the years that RFC 3339 can tell.
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

fn rows(entries: &[Entry]) -> String {
    let mut rows = String::new();
    for Entry { name, bytes, modified } in entries {
        let path = utf8_percent_encode(name.as_str(), NON_ALPHANUMERIC);
        let (shown, moment) = (escape(name.as_str()), moment(*modified));
        let day = moment.get(..19).unwrap_or(&moment).replace('T', " ");
        // Writing to a string cannot fail.
        let _ = writeln!(
            rows,
            "<tr><td class=\"name\"><a href=\"/files/{path}\">{shown}</a></td><td class=\"number\">{bytes}</td>\
             <td><time datetime=\"{moment}\">{day}</time></td></tr>"
        );
    }
    rows
}

/// Text as it may stand in HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::Name;

    #[track_caller]
    fn check(accept: &str, json: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        assert_eq!(wants_json(&headers), json, "{accept}");
    }

    #[test]
    fn json_is_for_who_asks_for_it() {
        assert!(!wants_json(&HeaderMap::new()));
        check("*/*", false);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false);
        check("application/json", true);
        check("Application/JSON; charset=utf-8", true);
        check("application/json, text/plain, */*", true);
        check("text/html;q=0.5, application/json;q=0.9", true);
        check("text/html, application/json;q=0.9", false);
        check("application/json;q=0", false);
    }

    #[test]
    fn a_name_cannot_become_markup() {
        let name = Name::parse(b"<b>\"&'.txt").unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(
            rows(&[Entry { name, bytes: 7, modified }]),
            "<tr><td class=\"name\"><a href=\"/files/%3Cb%3E%22%26%27%2Etxt\">&lt;b&gt;&quot;&amp;'.txt</a></td>\
             <td class=\"number\">7</td>\
             <td><time datetime=\"1970-01-01T00:00:01.5Z\">1970-01-01 00:00:01</time></td></tr>\n"
        );
    }
}
