//! `${VAR}` and `$VAR` in external labels, as Go's `os.Expand` has them.

/// Puts in the variables; `$$` is a dollar sign, an unknown variable is empty.
pub(super) fn environment(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('{').and_then(|t| t.split_once('}')) {
            out.push_str(&lookup(name).unwrap_or_default());
            rest = tail;
        } else if let Some(tail) = after.strip_prefix('{') {
            // Never closed: Go drops the opening and goes on.
            rest = tail;
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            if name.is_empty() {
                out.push('$');
            } else {
                out.push_str(&lookup(name).unwrap_or_default());
            }
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::environment;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let lookup = |name: &str| (name == "ZONE").then(|| "eu".to_owned());
        assert_eq!(environment(text, lookup), want);
    }

    #[test]
    fn variables_are_put_in() {
        check("plain", "plain");
        check("${ZONE}-1", "eu-1");
        check("$ZONE-1", "eu-1");
        check("a$$b", "a$b");
        check("${OTHER}x", "x");
        check("100$", "100$");
        check("${open", "open");
    }
}
