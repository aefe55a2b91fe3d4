//! Regular expressions as Prometheus reads them (RE2), written for the `regex` crate.

/// The expression anchored at both ends, `.` matching newlines, in the syntax of the `regex` crate.
///
/// Both dialects share nearly everything. Different are: `\d`, `\w`, `\s` and `\b`, which know ASCII only in RE2;
/// `&&`, `--`, `~~` and `[` inside a class, which are plain characters there; a `{` that begins no repetition, which
/// is one too; and `\Q…\E`, which quotes.
pub fn anchored_pattern(source: &str) -> String {
    format!("^(?s:{})$", translate(source))
}

fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut rest = source;
    let mut in_class = false;
    while let Some(c) = rest.chars().next() {
        let tail = rest.get(c.len_utf8()..).unwrap_or("");
        rest = match c {
            '\\' => escape(tail, in_class, &mut out),
            '[' if !in_class => {
                in_class = true;
                open_class(tail, &mut out)
            }
            ']' if in_class => {
                in_class = false;
                out.push(c);
                tail
            }
            // A named class such as `[:alpha:]` stays as it is.
            '[' if tail.starts_with(':') && tail.contains(":]") => {
                let end = tail.find(":]").map_or(tail.len(), |at| at + 2);
                out.push('[');
                out.push_str(tail.get(..end).unwrap_or(""));
                tail.get(end..).unwrap_or("")
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
                tail
            }
            '-' if in_class && tail.starts_with('-') => {
                out.push_str("\\-");
                tail
            }
            '{' if !in_class && !begins_repetition(tail) => {
                out.push_str("\\{");
                tail
            }
            c => {
                out.push(c);
                tail
            }
        };
    }
    out
}

/// After a `[`: a negation and a leading `]`, which is a plain character, belong to it.
fn open_class<'a>(tail: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    let tail = match tail.strip_prefix('^') {
        Some(negated) => {
            out.push('^');
            negated
        }
        None => tail,
    };
    match tail.strip_prefix(']') {
        Some(after) => {
            out.push_str("\\]");
            after
        }
        None => tail,
    }
}

/// After a backslash.
fn escape<'a>(tail: &'a str, in_class: bool, out: &mut String) -> &'a str {
    let Some(c) = tail.chars().next() else {
        out.push('\\');
        return tail;
    };
    let after = tail.get(c.len_utf8()..).unwrap_or("");
    match (c, in_class) {
        ('Q', false) => {
            let (quoted, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(quoted));
            return after;
        }
        ('d', true) => out.push_str("0-9"),
        ('d', false) => out.push_str("[0-9]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('s', true) => out.push_str(r"\t\n\x0C\r "),
        ('s', false) => out.push_str(r"[\t\n\x0C\r ]"),
        ('S', _) => out.push_str(r"[^\t\n\x0C\r ]"),
        ('b', false) => out.push_str(r"(?-u:\b)"),
        (c, _) => {
            out.push('\\');
            out.push(c);
        }
    }
    after
}

/// Whether `3}`, `3,}` or `3,5}` follows.
fn begins_repetition(tail: &str) -> bool {
    let Some((counts, _)) = tail.split_once('}') else { return false };
    let (least, most) = counts.split_once(',').unwrap_or((counts, ""));
    !least.is_empty() && least.chars().chain(most.chars()).all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[track_caller]
    fn check(source: &str, text: &str, want: bool) {
        let pattern = anchored_pattern(source);
        let regex = Regex::new(&pattern).unwrap_or_else(|e| panic!("{source}: {pattern}: {e}"));
        assert_eq!(regex.is_match(text), want, "/{source}/ as /{pattern}/ on {text:?}");
    }

    #[test]
    fn knows_ascii_only_in_its_classes() {
        check(r"\d+", "12", true);
        check(r"\d+", "٣", false);
        check(r"[\d_]+", "1_2", true);
        check(r"\w+", "é", false);
        check(r"\S\W\D", "a-b", true);
        check(r"[^\s]", "\u{b}", true);
        check(r"\bx\b", "x", true);
    }

    #[test]
    fn takes_class_operators_as_characters() {
        check("[a&&b]+", "a&b", true);
        check("[a~~b]+", "~", true);
        check("[a--z]", "a", true);
        check("[[a]", "[", true);
        check("[]a]", "]", true);
        check("[^]a]", "b", true);
        check("[[:alpha:]]+", "ab", true);
        check("[a-c]", "b", true);
    }

    #[test]
    fn takes_a_lone_brace_and_quotes_as_text() {
        check("a{b}", "a{b}", true);
        check("a{2}", "aa", true);
        check("a{2,}", "aaa", true);
        check("a{,2}", "a{,2}", true);
        check(r"\Qa.b\E.", "a.bx", true);
        check(r"\Qa.b", "axb", false);
        check(r"a\.b|c", "a.b", true);
        check(r"(?i)a.b", "A\nB", true);
    }
}
