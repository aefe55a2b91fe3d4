//! Writes JSON as it goes, so that a long answer is never a tree in memory first.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// JSON under way. A member whose value is `None` is left out: what is not known is not 0.
#[derive(Debug, Default)]
pub(super) struct Json {
    text: String,
}

impl Json {
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn comma(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.text.push(',');
        }
    }

    fn key(&mut self, name: &str) {
        self.comma();
        self.quoted(name);
        self.text.push(':');
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            match c {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                // Beyond what JSON asks for: answers stay harmless where somebody shows them as HTML.
                '<' | '>' | '&' | '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(self.text, "\\u{:04x}", u32::from(c));
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }

    /// An object as an element, or the whole.
    pub(super) fn object(&mut self) {
        self.comma();
        self.text.push('{');
    }

    /// An object as a member.
    pub(super) fn object_in(&mut self, name: &str) {
        self.key(name);
        self.text.push('{');
    }

    pub(super) fn end_object(&mut self) {
        self.text.push('}');
    }

    /// A list as an element, or the whole.
    pub(super) fn list(&mut self) {
        self.comma();
        self.text.push('[');
    }

    /// A list as a member.
    pub(super) fn list_in(&mut self, name: &str) {
        self.key(name);
        self.text.push('[');
    }

    pub(super) fn end_list(&mut self) {
        self.text.push(']');
    }

    /// A number as an element.
    pub(super) fn item(&mut self, value: u64) {
        self.comma();
        let _ = write!(self.text, "{value}");
    }

    /// A text as an element, or the whole.
    pub(super) fn text_item(&mut self, value: &str) {
        self.comma();
        self.quoted(value);
    }

    pub(super) fn number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.key(name);
            let _ = write!(self.text, "{value}");
        }
    }

    pub(super) fn signed(&mut self, name: &str, value: i64) {
        self.key(name);
        let _ = write!(self.text, "{value}");
    }

    /// With one digit after the point.
    pub(super) fn tenths(&mut self, name: &str, value: f64) {
        self.key(name);
        let _ = write!(self.text, "{:.1}", if value.is_finite() { value } else { 0.0 });
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.key(name);
        self.text.push_str(if value { "true" } else { "false" });
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.key(name);
        self.quoted(value);
    }

    pub(super) fn text_if(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// In RFC 3339, UTC. A time that no calendar has is left out: that of a folder is what its owner makes it.
    pub(super) fn time(&mut self, name: &str, value: SystemTime) {
        let nanoseconds = |span: Duration| i128::try_from(span.as_nanos()).ok();
        let since = match value.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => nanoseconds(since),
            Err(before) => nanoseconds(before.duration()).map(|span| -span),
        };
        self.nanoseconds(name, since);
    }

    /// As [`time`](Self::time), of nanoseconds since 1970.
    pub(super) fn nanoseconds(&mut self, name: &str, value: Option<i128>) {
        if let Some(time) = value.and_then(|value| OffsetDateTime::from_unix_timestamp_nanos(value).ok()) {
            self.moment(name, time);
        }
    }

    fn moment(&mut self, name: &str, value: OffsetDateTime) {
        if let Ok(text) = value.format(&Rfc3339) {
            self.text(name, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_and_what_is_not_known() {
        let mut json = Json::default();
        json.object();
        json.number("a", None);
        json.number("b", Some(u64::MAX));
        json.list_in("c");
        json.item(1);
        json.item(2);
        json.object();
        json.end_object();
        json.end_list();
        json.object_in("d");
        json.flag("e", true);
        json.tenths("f", 0.26);
        json.end_object();
        json.nanoseconds("g", Some(1_000_000_000));
        json.end_object();
        let want = r#"{"b":18446744073709551615,"c":[1,2,{}],"d":{"e":true,"f":0.3},"g":"1970-01-01T00:00:01Z"}"#;
        assert_eq!(json.finish(), want);
    }

    #[test]
    fn a_time_that_no_calendar_has_is_left_out() {
        let mut json = Json::default();
        json.object();
        // Who owns a cgroup's folder sets its times as he likes.
        json.time("a", SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        json.time("b", SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        json.time("c", SystemTime::UNIX_EPOCH - Duration::from_secs(1));
        json.end_object();
        assert_eq!(json.finish(), r#"{"b":"1970-01-01T00:00:01.5Z","c":"1969-12-31T23:59:59Z"}"#);
    }

    #[test]
    fn any_text_comes_back() {
        proptest::proptest!(|(text: String)| {
            let mut json = Json::default();
            json.text_item(&text);
            let written = json.finish();
            proptest::prop_assert!(!written.contains(['<', '>', '&', '\n']));
            proptest::prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        });
    }
}
