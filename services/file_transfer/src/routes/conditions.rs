//! Which part of a file a request asks for, and whether it wants it at all: conditions and ranges of RFC 9110,
//! sections 13 and 14.

use std::time::{Duration, SystemTime};

use axum::http::HeaderMap;
use axum::http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

/// What a request is to be answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// 200.
    All,
    /// 206: from the first byte to before the last.
    Part { from: u64, to: u64 },
    /// 304: the peer has it.
    Nothing,
    /// 412: it is not the one that the peer means.
    Another,
    /// 416: it ends before.
    Beyond,
}

/// What is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Version<'a> {
    /// A strong validator, with its quotation marks.
    pub(super) tag: &'a str,
    /// When it was last changed.
    pub(super) modified: SystemTime,
    /// Its length in bytes.
    pub(super) bytes: u64,
}

/// Reads the headers of a GET or HEAD. What cannot be read in them counts as not sent, as the RFC has it.
pub(super) fn wanted(headers: &HeaderMap, version: Version<'_>) -> Wanted {
    let date = |name| text(headers, name).and_then(|text| httpdate::parse_http_date(text).ok());
    let modified = whole_seconds(version.modified);
    let another = match headers.contains_key(IF_MATCH) {
        true => !matches(headers, IF_MATCH, version.tag, Comparison::Strong),
        false => date(IF_UNMODIFIED_SINCE).is_some_and(|then| modified > then),
    };
    if another {
        return Wanted::Another;
    }
    let known = match headers.contains_key(IF_NONE_MATCH) {
        true => matches(headers, IF_NONE_MATCH, version.tag, Comparison::Weak),
        false => date(IF_MODIFIED_SINCE).is_some_and(|then| modified <= then),
    };
    if known {
        return Wanted::Nothing;
    }
    let same = match text(headers, IF_RANGE) {
        Some(validator) if validator.starts_with('"') => validator == version.tag,
        Some(_) => date(IF_RANGE) == Some(modified),
        None => !headers.contains_key(IF_RANGE),
    };
    match text(headers, RANGE) {
        Some(range) if same => part(range, version.bytes),
        _ => Wanted::All,
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// HTTP knows no parts of a second.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn matches(headers: &HeaderMap, name: HeaderName, tag: &str, comparison: Comparison) -> bool {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    // Our tags hold no comma, so one that does is another's.
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|other| match (comparison, other.strip_prefix("W/")) {
        (Comparison::Weak, Some(weak)) => weak == tag,
        (Comparison::Strong, Some(_)) => false,
        (_, None) => other == tag || other == "*",
    })
}

/// One range. Several may be answered with all of the file, which is what happens to them here: who needs many asks
/// many times.
fn part(range: &str, bytes: u64) -> Wanted {
    let Some((unit, range)) = range.split_once('=') else { return Wanted::All };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::All;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::All };
    // A plus sign would pass as a number.
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (first, number(first), last, number(last)) {
        (_, Some(first), _, Some(last)) if first > last => Wanted::All,
        (_, Some(first), ..) if first >= bytes && (last.is_empty() || number(last).is_some()) => Wanted::Beyond,
        (_, Some(first), _, Some(last)) => Wanted::Part { from: first, to: last.saturating_add(1).min(bytes) },
        (_, Some(first), "", _) => Wanted::Part { from: first, to: bytes },
        ("", _, _, Some(count)) if count == 0 || bytes == 0 => Wanted::Beyond,
        ("", _, _, Some(count)) => Wanted::Part { from: bytes.saturating_sub(count), to: bytes },
        _ => Wanted::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"a-1\"";
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    /// Of a file of 100 bytes with this tag, changed half a second after that date.
    #[track_caller]
    fn check(headers: &[(HeaderName, &str)], want: Wanted) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        let modified = httpdate::parse_http_date(DATE).unwrap() + Duration::from_millis(500);
        assert_eq!(wanted(&map, Version { tag: TAG, modified, bytes: 100 }), want, "{headers:?}");
    }

    #[track_caller]
    fn range(range: &str, want: Wanted) {
        check(&[(RANGE, range)], want);
    }

    #[test]
    fn one_range_is_cut_out() {
        range("bytes=0-0", Wanted::Part { from: 0, to: 1 });
        range("bytes=10-19", Wanted::Part { from: 10, to: 20 });
        range("Bytes = 10-19", Wanted::Part { from: 10, to: 20 });
        range("bytes=10-", Wanted::Part { from: 10, to: 100 });
        range("bytes=90-500", Wanted::Part { from: 90, to: 100 });
        range("bytes=90-18446744073709551615", Wanted::Part { from: 90, to: 100 });
        range("bytes=-10", Wanted::Part { from: 90, to: 100 });
        range("bytes=-500", Wanted::Part { from: 0, to: 100 });
    }

    #[test]
    fn a_range_beyond_the_end_is_told() {
        range("bytes=100-", Wanted::Beyond);
        range("bytes=100-200", Wanted::Beyond);
        range("bytes=-0", Wanted::Beyond);
        assert_eq!(part("bytes=0-", 0), Wanted::Beyond);
        assert_eq!(part("bytes=-5", 0), Wanted::Beyond);
    }

    #[test]
    fn what_is_no_single_range_gets_everything() {
        range("bytes=0-1,5-6", Wanted::All);
        range("bytes=20-10", Wanted::All);
        range("bytes=200-100", Wanted::All);
        range("bytes=a-b", Wanted::All);
        range("bytes=500-x", Wanted::All);
        range("bytes=+1-2", Wanted::All);
        range("bytes=-", Wanted::All);
        range("bytes=", Wanted::All);
        range("bytes=99999999999999999999-", Wanted::All);
        range("lines=0-1", Wanted::All);
        range("0-1", Wanted::All);
    }

    #[test]
    fn who_has_it_gets_nothing() {
        check(&[(IF_NONE_MATCH, TAG)], Wanted::Nothing);
        check(&[(IF_NONE_MATCH, "W/\"a-1\"")], Wanted::Nothing);
        check(&[(IF_NONE_MATCH, "\"b\", \"a-1\"")], Wanted::Nothing);
        check(&[(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, TAG)], Wanted::Nothing);
        check(&[(IF_NONE_MATCH, "*")], Wanted::Nothing);
        check(&[(IF_NONE_MATCH, "\"b\"")], Wanted::All);
        check(&[(IF_MODIFIED_SINCE, DATE)], Wanted::Nothing);
        check(&[(IF_MODIFIED_SINCE, BEFORE)], Wanted::All);
        check(&[(IF_MODIFIED_SINCE, "yesterday")], Wanted::All);
        // The tag is the better witness.
        check(&[(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, DATE)], Wanted::All);
        check(&[(IF_NONE_MATCH, TAG), (RANGE, "bytes=0-1")], Wanted::Nothing);
    }

    #[test]
    fn who_means_another_is_told() {
        check(&[(IF_MATCH, TAG)], Wanted::All);
        check(&[(IF_MATCH, "*")], Wanted::All);
        check(&[(IF_MATCH, "\"b\"")], Wanted::Another);
        check(&[(IF_MATCH, "W/\"a-1\"")], Wanted::Another);
        check(&[(IF_UNMODIFIED_SINCE, DATE)], Wanted::All);
        check(&[(IF_UNMODIFIED_SINCE, BEFORE)], Wanted::Another);
    }

    #[test]
    fn a_range_of_another_version_gets_everything() {
        let part = Wanted::Part { from: 5, to: 100 };
        check(&[(RANGE, "bytes=5-"), (IF_RANGE, TAG)], part.clone());
        check(&[(RANGE, "bytes=5-"), (IF_RANGE, DATE)], part);
        check(&[(RANGE, "bytes=5-"), (IF_RANGE, "\"b\"")], Wanted::All);
        check(&[(RANGE, "bytes=5-"), (IF_RANGE, "W/\"a-1\"")], Wanted::All);
        check(&[(RANGE, "bytes=5-"), (IF_RANGE, BEFORE)], Wanted::All);
        check(&[(RANGE, "bytes=500-"), (IF_RANGE, "\"b\"")], Wanted::All);
    }
}
