//! Escapes, in both directions.

use std::borrow::Cow;

/// Appends text with `\` and newline escaped, and `"` too where asked for: label values and OpenMetrics help texts
/// escape it, help texts of the text format do not.
pub(crate) fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    let mut rest = text;
    while let Some(at) = memchr::memchr3(b'\\', b'\n', b'"', rest.as_bytes()) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let (special, tail) = special.split_at(1);
        out.push_str(match special {
            "\\" => "\\\\",
            "\n" => "\\n",
            _ if quotes => "\\\"",
            _ => "\"",
        });
        rest = tail;
    }
    out.push_str(rest);
}

/// Takes `\\`, `\n` and, where asked for, `\"` back. Any other `\x` stays as it is, as Prometheus leaves it.
pub(crate) fn unescape(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    let (plain, mut rest) = text.split_at(first);
    out.push_str(plain);
    while let Some(tail) = rest.strip_prefix('\\') {
        let (replacement, skip) = match tail.as_bytes().first() {
            Some(b'n') => ("\n", 1),
            Some(b'\\') => ("\\", 1),
            Some(b'"') if quotes => ("\"", 1),
            _ => ("\\", 0),
        };
        out.push_str(replacement);
        let tail = tail.get(skip..).unwrap_or("");
        let next = memchr::memchr(b'\\', tail.as_bytes()).unwrap_or(tail.len());
        let (plain, remaining) = tail.split_at(next);
        out.push_str(plain);
        rest = remaining;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_escapes_stay() {
        assert_eq!(unescape(r"a\tb\", true), r"a\tb\");
        assert_eq!(unescape(r#"say \"hi\""#, true), r#"say "hi""#);
        assert_eq!(unescape(r#"say \"hi\""#, false), r#"say \"hi\""#);
        assert_eq!(unescape(r"\\n", true), r"\n");
    }

    #[test]
    fn help_keeps_its_quotes_in_text() {
        let mut out = String::new();
        push_escaped(&mut out, "a \"b\" \\ \n é", false);
        assert_eq!(out, "a \"b\" \\\\ \\n é");
    }

    proptest! {
        #[test]
        fn round_trips(text: String, quotes: bool) {
            let mut out = String::new();
            push_escaped(&mut out, &text, quotes);
            prop_assert!(!out.contains('\n'));
            prop_assert_eq!(unescape(&out, quotes), text);
        }
    }
}
