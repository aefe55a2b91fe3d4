//! Content negotiation: which format a scraper gets, and whether compressed.

/// A format that this crate writes and reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// The text format 0.0.4.
    #[default]
    Text004,
    /// OpenMetrics 1.0.0.
    OpenMetrics100,
}

impl Format {
    /// The `Content-Type` of a page in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text004 => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics100 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that a `Content-Type` announces. `None` when it is neither of the two, such as HTML. All versions
    /// of the text format read alike, and so do those of OpenMetrics up to 1.0.
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        if media_type.eq_ignore_ascii_case("text/plain") {
            Some(Self::Text004)
        } else if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            Some(Self::OpenMetrics100)
        } else {
            None
        }
    }
}

/// The format for a request's `Accept`: the one with the highest weight, the first named where they weigh the same.
/// Who accepts neither, or says nothing, gets text.
pub fn negotiate(accept: Option<&str>) -> Format {
    let mut best = (0, Format::Text004);
    for range in accept.unwrap_or("").split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or("");
        let (mut weight, mut version) = (1000, None);
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("q") {
                weight = thousandths(value);
            } else if name.eq_ignore_ascii_case("version") {
                version = Some(value);
            }
        }
        if let Some(format) = offered(media_type, version)
            && weight > best.0
        {
            best = (weight, format);
        }
    }
    best.1
}

/// Whether a request's `Accept-Encoding` allows gzip.
pub fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let mut wildcard = false;
    for coding in accept_encoding.unwrap_or("").split(',') {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let weight = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1000, |(_, value)| thousandths(value.trim()));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return weight > 0;
        }
        wildcard |= name == "*" && weight > 0;
    }
    wildcard
}

fn offered(media_type: &str, version: Option<&str>) -> Option<Format> {
    let is = |name| media_type.eq_ignore_ascii_case(name);
    match version {
        None | Some("0.0.4") if is("text/plain") => Some(Format::Text004),
        None | Some("1.0.0") if is("application/openmetrics-text") => Some(Format::OpenMetrics100),
        _ if is("*/*") || is("text/*") => Some(Format::Text004),
        _ if is("application/*") => Some(Format::OpenMetrics100),
        _ => None,
    }
}

/// A weight from 0 to 1 in thousandths, its full precision; one that makes no sense counts as 0.
fn thousandths(weight: &str) -> u32 {
    match weight.parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, want: Format) {
        assert_eq!(negotiate(Some(accept)), want, "{accept}");
    }

    #[test]
    fn formats() {
        use Format::{OpenMetrics100, Text004};
        // Prometheus 3 and 2.42.
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OpenMetrics100,
        );
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OpenMetrics100,
        );
        check("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.1", Text004);
        check("text/plain; version=0.0.4; q=0.1, application/openmetrics-text; q=0.9", OpenMetrics100);
        check("text/plain,application/openmetrics-text", Text004);
        check("application/openmetrics-text;version=0.0.1,text/plain;q=0.1", Text004);
        check("application/openmetrics-text;version=2.0.0", Text004);
        check("application/openmetrics-text;q=0", Text004);
        check("application/openmetrics-text;q=nonsense,text/plain;q=0.001", Text004);
        check("APPLICATION/OpenMetrics-Text; VERSION=\"1.0.0\"; Q=1.0", OpenMetrics100);
        check("application/*", OpenMetrics100);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Text004);
        check("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", Text004);
        check("*/*", Text004);
        check("", Text004);
        check(";;,,=;q", Text004);
        assert_eq!(negotiate(None), Text004);
    }

    #[test]
    fn what_is_offered_is_recognised() {
        for format in [Format::Text004, Format::OpenMetrics100] {
            assert_eq!(Format::from_content_type(format.content_type()), Some(format));
        }
        assert_eq!(Format::from_content_type("text/html"), None);
        assert_eq!(Format::from_content_type(""), None);
    }

    #[test]
    fn encodings() {
        for (accepted, want) in [
            (Some("gzip"), true),
            (Some("deflate, GZIP;q=0.5"), true),
            (Some("gzip;q=0"), false),
            (Some("*;q=0.1"), true),
            (Some("*, gzip;q=0"), false),
            (Some("identity"), false),
            (Some("br, zstd"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(accepts_gzip(accepted), want, "{accepted:?}");
        }
    }
}
