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

/// What a page can be sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Representation {
    /// As text.
    Text(Format),
    /// As protobuf messages of the type `io.prometheus.client.MetricFamily`, each behind its length.
    Protobuf,
}

impl Representation {
    /// The `Content-Type` of a page sent so.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text(format) => format.content_type(),
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// A way in which a page can be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// `gzip`
    Gzip,
    /// `zstd`
    Zstd,
}

impl Coding {
    /// The `Content-Encoding`; there is none for what is not compressed.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// The representation for a request's `Accept`: the one with the highest weight, the first named where they weigh the
/// same. Who names none, or says nothing, gets text 0.0.4. As in client_golang a range such as `*/*` names none: it
/// stands at the end of what scrapers send and is not to win over what they list.
pub fn negotiate(accept: Option<&str>) -> Representation {
    best(accept, offered)
}

/// As [`negotiate`], for pages that are there as text alone.
pub fn negotiate_text(accept: Option<&str>) -> Format {
    let text = best(accept, |media_type, parameters| {
        offered(media_type, parameters).filter(|offer| *offer != Representation::Protobuf)
    });
    match text {
        Representation::Text(format) => format,
        Representation::Protobuf => Format::default(),
    }
}

/// The coding for a request's `Accept-Encoding`: of the codings in `offers` the one with the highest weight, the first
/// of them where they weigh the same, as in client_golang. Who takes none of them gets the page as it is.
pub fn negotiate_coding(accept_encoding: Option<&str>, offers: &[Coding]) -> Coding {
    let weight = |offer: &Coding| {
        let (mut named, mut wildcard) = (None, None);
        for coding in accept_encoding.unwrap_or("").split(',') {
            let (name, parameters) = parts(coding);
            let weight = weight(parameters);
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is(offer.name().unwrap_or("identity")) || (*offer == Coding::Gzip && is("x-gzip")) {
                named = named.or(Some(weight));
            } else if name == "*" {
                wildcard = wildcard.or(Some(weight));
            }
        }
        named.or(wildcard).unwrap_or(0)
    };
    let mut best = (0, Coding::Identity);
    for offer in offers {
        let weight = weight(offer);
        if weight > best.0 {
            best = (weight, *offer);
        }
    }
    best.1
}

fn best(accept: Option<&str>, offered: impl Fn(&str, &str) -> Option<Representation>) -> Representation {
    let mut best = (0, Representation::Text(Format::Text004));
    for range in accept.unwrap_or("").split(',') {
        let (media_type, parameters) = parts(range);
        let weight = weight(parameters);
        if let Some(offer) = offered(media_type, parameters)
            && weight > best.0
        {
            best = (weight, offer);
        }
    }
    best.1
}

/// Parameters that are not asked for here do not matter, such as `escaping`: all names are legal without any.
fn offered(media_type: &str, parameters: &str) -> Option<Representation> {
    let is = |name| media_type.eq_ignore_ascii_case(name);
    let has = |name, value| parameter(parameters, name).is_some_and(|given| given == value);
    let version = |wanted| parameter(parameters, "version").is_none_or(|version| version == wanted);
    if is("text/plain") && version("0.0.4") {
        Some(Representation::Text(Format::Text004))
    } else if is("application/openmetrics-text") && version("1.0.0") {
        Some(Representation::Text(Format::OpenMetrics100))
    } else if is("application/vnd.google.protobuf")
        && has("proto", "io.prometheus.client.MetricFamily")
        && has("encoding", "delimited")
    {
        Some(Representation::Protobuf)
    } else {
        None
    }
}

/// An item of a list, without and with its parameters.
fn parts(item: &str) -> (&str, &str) {
    let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
    (name.trim(), parameters)
}

fn parameter<'a>(parameters: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().trim_matches('"'))
}

/// A weight from 0 to 1 in thousandths, its full precision. None is 1, and one that makes no sense counts as 0.
fn weight(parameters: &str) -> u32 {
    let Some(weight) = parameter(parameters, "q") else { return 1000 };
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
        assert_eq!(negotiate(Some(accept)), Representation::Text(want), "{accept}");
        assert_eq!(negotiate_text(Some(accept)), want, "{accept}");
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
        check("application/*, text/plain;q=0.1", Text004);
        check("*/*, application/openmetrics-text;q=0.1", OpenMetrics100);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Text004);
        check("*/*", Text004);
        check("", Text004);
        check(";;,,=;q", Text004);
        assert_eq!(negotiate(None), Representation::Text(Text004));
        assert_eq!(negotiate_text(None), Text004);
    }

    #[test]
    fn protobuf_is_for_who_names_it_in_full() {
        use Format::{OpenMetrics100, Text004};
        let protobuf =
            |more: &str| format!("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;{more}");
        let text = |format| (Representation::Text(format), format);
        for (accept, (want, want_of_text)) in [
            // Prometheus 2.42 with native histograms, and 3 with them.
            (
                protobuf("encoding=delimited")
                    + ",application/openmetrics-text;version=1.0.0;q=0.8,\
                       application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                (Representation::Protobuf, OpenMetrics100),
            ),
            (
                protobuf("encoding=delimited;q=0.6")
                    + ",application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;q=0.2",
                (Representation::Protobuf, OpenMetrics100),
            ),
            (protobuf("encoding=delimited;q=0.5,*/*"), (Representation::Protobuf, Text004)),
            (protobuf("encoding=delimited;escaping=underscores"), (Representation::Protobuf, Text004)),
            (protobuf("encoding=delimited;q=0.5,text/plain;version=0.0.4"), text(Text004)),
            (protobuf("encoding=delimited;q=0"), text(Text004)),
            (protobuf("encoding=text"), text(Text004)),
            (protobuf("encoding=compact-text,application/openmetrics-text;q=0.1"), text(OpenMetrics100)),
            ("application/vnd.google.protobuf;encoding=delimited".to_owned(), text(Text004)),
            ("application/vnd.google.protobuf".to_owned(), text(Text004)),
        ] {
            assert_eq!(negotiate(Some(&accept)), want, "{accept}");
            assert_eq!(negotiate_text(Some(&accept)), want_of_text, "{accept}");
        }
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
    fn codings() {
        use Coding::{Gzip, Identity, Zstd};
        for (accepted, want) in [
            (Some("gzip"), Gzip),
            (Some("deflate, GZIP;q=0.5"), Gzip),
            (Some("x-gzip"), Gzip),
            (Some("gzip;q=0"), Identity),
            (Some("gzip;q=0.5, identity"), Identity),
            (Some("gzip, identity"), Identity),
            (Some("gzip, identity;q=0.5"), Gzip),
            (Some("identity;q=0, gzip"), Gzip),
            (Some("identity;q=0, *"), Gzip),
            (Some("identity;q=0"), Identity),
            (Some("*"), Identity),
            (Some("*, gzip;q=0"), Identity),
            (Some("zstd"), Zstd),
            (Some("zstd, gzip"), Gzip),
            (Some("deflate, gzip, br, zstd"), Gzip),
            (Some("zstd, gzip;q=0.9"), Zstd),
            (Some("gzip;q=0, zstd;q=0.1"), Zstd),
            (Some("zstd;q=0, *;q=0.5"), Identity),
            (Some("br"), Identity),
            (Some(""), Identity),
            (None, Identity),
        ] {
            assert_eq!(negotiate_coding(accepted, &[Identity, Gzip, Zstd]), want, "{accepted:?}");
        }
        assert_eq!(negotiate_coding(Some("zstd, gzip;q=0.1"), &[Identity, Gzip]), Gzip);
    }
}
