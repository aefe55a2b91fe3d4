//! `/etc/os-release`: which distribution this is. Lines of shell assignments, see os-release(5).

use crate::scan;

/// The file, looked up by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    values: Vec<(String, String)>,
}

impl OsRelease {
    /// The value of a key such as `VERSION_ID`; the last assignment counts.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().rfind(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }
}

/// Reads the file. Comments, and lines that are no assignment, are passed over.
pub fn parse(bytes: &[u8]) -> OsRelease {
    let assignment = |line| {
        let (key, value) = scan::cut(line, b'=')?;
        let key = scan::text(key).filter(|k| scan::is_word(k.as_bytes()))?;
        Some((key.to_owned(), unquote(scan::text(value)?)?))
    };
    OsRelease { values: scan::lines(bytes).filter_map(|(_, line)| assignment(line)).collect() }
}

/// Single quotes keep everything, double quotes know the backslash, and so does bare text; a quote that is not closed
/// makes the line no assignment.
fn unquote(value: &str) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut quote = None;
    let mut chars = value.trim().chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => out.push(c),
            (None, '"' | '\'') => quote = Some(c),
            (_, '\\') => out.push(chars.next()?),
            (_, c) => out.push(c),
        }
    }
    quote.is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: Option<&str>) {
        assert_eq!(parse(line.as_bytes()).get("NAME"), want, "{line}");
    }

    #[test]
    fn quotes_of_all_kinds() {
        check("NAME=debian", Some("debian"));
        check("NAME=\"Debian GNU/Linux\"", Some("Debian GNU/Linux"));
        check("NAME='a \"b\" \\c'", Some("a \"b\" \\c"));
        check("NAME=\"a \\\"b\\\" \\$c\"", Some("a \"b\" $c"));
        check("NAME=", Some(""));
        check("NAME=a\nNAME=b", Some("b"));
        check("  NAME=x  ", Some("x"));
    }

    #[test]
    fn what_is_no_assignment_is_passed_over() {
        check("# NAME=x", None);
        check("NAME", None);
        check("NAME=\"open", None);
        check("NAME=\\", None);
        check("NA ME=x", None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
