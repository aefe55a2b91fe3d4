//! Exposition formats as `scrape_protocols` names them, and how they are asked for.

use agent_exposition::Format;
use serde::Deserialize;

/// A format that a target may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ScrapeProtocol {
    PrometheusProto,
    #[serde(rename = "PrometheusText0.0.4")]
    PrometheusText004,
    #[serde(rename = "PrometheusText1.0.0")]
    PrometheusText100,
    #[serde(rename = "OpenMetricsText0.0.1")]
    OpenMetricsText001,
    #[serde(rename = "OpenMetricsText1.0.0")]
    OpenMetricsText100,
}

/// How many protocols there are: Prometheus begins to weigh at one more.
const KNOWN: usize = 5;

impl ScrapeProtocol {
    /// What Prometheus asks for when nothing is configured.
    pub const DEFAULT: [Self; 4] =
        [Self::OpenMetricsText100, Self::OpenMetricsText001, Self::PrometheusText100, Self::PrometheusText004];

    fn media_type(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::PrometheusText004 => "text/plain;version=0.0.4",
            Self::PrometheusText100 => "text/plain;version=1.0.0",
            Self::OpenMetricsText001 => "application/openmetrics-text;version=0.0.1",
            Self::OpenMetricsText100 => "application/openmetrics-text;version=1.0.0",
        }
    }

    /// How the page is read; `None` for the one format that is not read here.
    pub(crate) fn format(self) -> Option<Format> {
        match self {
            Self::PrometheusProto => None,
            Self::PrometheusText004 | Self::PrometheusText100 => Some(Format::Text004),
            Self::OpenMetricsText001 | Self::OpenMetricsText100 => Some(Format::OpenMetrics100),
        }
    }
}

/// The `Accept` header that asks for these protocols, the first the most.
pub(crate) fn accept(protocols: &[ScrapeProtocol], escaping: EscapingScheme) -> String {
    let mut header = String::new();
    let mut weight = KNOWN + 1;
    for protocol in protocols {
        header.push_str(protocol.media_type());
        if matches!(protocol, ScrapeProtocol::PrometheusText100 | ScrapeProtocol::OpenMetricsText100) {
            header.push_str(";escaping=");
            header.push_str(escaping.as_str());
        }
        header.push_str(&format!(";q=0.{weight},"));
        weight = weight.saturating_sub(1);
    }
    header.push_str(&format!("*/*;q=0.{weight}"));
    header
}

/// `metric_name_validation_scheme`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidationScheme {
    /// Any text is a name.
    #[default]
    Utf8,
    /// Letters, digits, underscores, and colons in metric names.
    Legacy,
}

impl ValidationScheme {
    pub(crate) fn allows_metric(self, name: &str) -> bool {
        !name.is_empty() && (self == Self::Utf8 || is_legacy(name, true))
    }

    pub(crate) fn allows_label(self, name: &str) -> bool {
        !name.is_empty() && (self == Self::Utf8 || is_legacy(name, false))
    }
}

fn is_legacy(name: &str, colons: bool) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || (colons && b == b':'))
}

/// `metric_name_escaping_scheme`: how a target is asked to write names outside the legacy alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum EscapingScheme {
    #[serde(rename = "allow-utf-8")]
    AllowUtf8,
    Underscores,
    Dots,
    Values,
}

impl EscapingScheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_as_prometheus_does() {
        assert_eq!(
            accept(&ScrapeProtocol::DEFAULT, EscapingScheme::AllowUtf8),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        assert_eq!(
            accept(&[ScrapeProtocol::PrometheusText004], EscapingScheme::Dots),
            "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"
        );
    }

    #[test]
    fn legacy_names_are_narrow() {
        assert!(ValidationScheme::Legacy.allows_metric("a:b_1"));
        assert!(!ValidationScheme::Legacy.allows_label("a:b"));
        assert!(!ValidationScheme::Legacy.allows_metric("1a") && !ValidationScheme::Legacy.allows_metric("é"));
        assert!(ValidationScheme::Utf8.allows_label("é b") && !ValidationScheme::Utf8.allows_label(""));
    }
}
