//! `/metrics`: what the collector knows of itself, in OpenMetrics 1.0 or the text format 0.0.4, as the client asks.

use std::collections::HashMap;
use std::io::Write;

use atalaia_agent::exposition::{Coding, Format, negotiate_coding, negotiate_text};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Shared;

/// `/metrics`. Who does not ask for OpenMetrics gets text; who takes gzip gets it.
pub async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let asked = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let format = negotiate_text(asked(header::ACCEPT));
    let mut page = String::new();
    if prometheus_client::encoding::text::encode(&mut page, &shared.registry.lock()).is_err() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "cannot encode the metrics\n").into_response();
    }
    if format == Format::Text004 {
        page = text_from_openmetrics(&page);
    }
    let about = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept, Accept-Encoding")];
    let codings = [Coding::Identity, Coding::Gzip];
    if negotiate_coding(asked(header::ACCEPT_ENCODING), &codings) == Coding::Identity {
        return (about, page).into_response();
    }
    match gzip(page.as_bytes()) {
        Ok(packed) => (about, [(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "cannot compress the metrics\n").into_response(),
    }
}

fn gzip(page: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(page.len() / 4), Compression::fast());
    encoder.write_all(page)?;
    encoder.finish()
}

/// The same page in the text format 0.0.4. The samples are written alike in both; what differs is the name under
/// which a family is described (counters and infos with their suffix), kinds that the text format does not know, and
/// that it has neither units nor an end mark. The client library writes no exemplars here, and no times.
fn text_from_openmetrics(page: &str) -> String {
    // HELP comes before TYPE, which says under which name HELP must be.
    let kinds: HashMap<&str, &str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut text = String::with_capacity(page.len());
    for line in page.lines() {
        let described = line.strip_prefix("# HELP ").map(|rest| ("HELP", rest));
        let described = described.or_else(|| line.strip_prefix("# TYPE ").map(|rest| ("TYPE", rest)));
        let Some((keyword, (name, said))) = described.and_then(|(k, rest)| Some((k, rest.split_once(' ')?))) else {
            if !line.starts_with('#') {
                text.push_str(line);
                text.push('\n');
            }
            continue;
        };
        let (suffix, kind) = match kinds.get(name).copied().unwrap_or("unknown") {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "stateset" => ("", "gauge"),
            "gaugehistogram" => ("", "histogram"),
            "unknown" => ("", "untyped"),
            kind => ("", kind),
        };
        for part in ["# ", keyword, " ", name, suffix, " ", if keyword == "TYPE" { kind } else { said }, "\n"] {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use atalaia_agent::exposition::{Event, Parser};
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
    use prometheus_client::metrics::info::Info;
    use prometheus_client::registry::{Registry, Unit};

    use super::*;

    fn page() -> String {
        let mut registry = Registry::default();
        let requests = Family::<Vec<(&str, &str)>, Counter>::default();
        requests.get_or_create(&vec![("path", "a\"b\\c\nd")]).inc_by(7);
        registry.register("requests", "Requests # of \"all\" kinds", requests);
        let depth = Gauge::<i64>::default();
        depth.set(-3);
        registry.register_with_unit("depth", "How deep", Unit::Bytes, depth);
        let took = Histogram::new(exponential_buckets(0.1, 2.0, 3));
        took.observe(0.15);
        registry.register("took_seconds", "How long", took);
        registry.register("build", "What runs", Info::new(vec![("version", "1")]));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    /// Series → value, and described name → kind.
    fn read(format: Format, page: &str) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let (mut series, mut kinds) = (BTreeMap::new(), BTreeMap::new());
        for line in Parser::new(format, page.as_bytes()) {
            match line.unwrap() {
                Event::Sample(sample) => _ = series.insert(sample.series.to_owned(), sample.value.to_string()),
                Event::Type { name, kind } => _ = kinds.insert(name.into_owned(), format!("{kind:?}")),
                _ => {}
            }
        }
        (series, kinds)
    }

    #[test]
    fn text_says_what_openmetrics_says() {
        let page = page();
        let text = text_from_openmetrics(&page);
        let (wanted, _) = read(Format::OpenMetrics100, &page);
        let (got, kinds) = read(Format::Text004, &text);
        assert_eq!(wanted.len(), 1 + 1 + 6 + 1);
        assert_eq!(got, wanted);
        let kinds: Vec<(&str, &str)> = kinds.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
        let wanted = [
            ("build_info", "Gauge"),
            ("depth_bytes", "Gauge"),
            ("requests_total", "Counter"),
            ("took_seconds", "Histogram"),
        ];
        assert_eq!(kinds, wanted);
        assert!(text.contains("# HELP requests_total Requests # of \"all\" kinds"), "{text}");
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    }

    #[test]
    fn the_packed_page_unpacks_to_itself() {
        let page = page();
        let mut plain = String::new();
        let packed = gzip(page.as_bytes()).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut plain).unwrap();
        assert_eq!(plain, page);
    }
}
