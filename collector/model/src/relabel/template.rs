//! Templates with `$1`, `${1}`, `$name` and `${name}`, as Go's `regexp.Expand` reads them.

use regex::Regex;

/// A replacement, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Group(usize),
    Name(String),
}

impl Template {
    pub(super) fn new(source: &str) -> Self {
        Self { source: source.to_owned(), parts: parts(source) }
    }

    /// The template as written.
    pub(super) fn as_str(&self) -> &str {
        &self.source
    }

    /// The text that the template always gives, when it has no variables.
    pub(super) fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Fills the variables from a match of `text`; `None` where it does not match. A group that does not exist or
    /// took no part is the empty string.
    pub(super) fn expand(&self, regex: &Regex, text: &str) -> Option<String> {
        let captures = regex.captures(text)?;
        Some(self.fill(|part| match part {
            Part::Group(number) => captures.get(*number).map_or("", |m| m.as_str()),
            Part::Name(name) => captures.name(name).map_or("", |m| m.as_str()),
            Part::Text(_) => "",
        }))
    }

    /// Fills the variables as a match of `(.*)` would, without running it.
    pub(super) fn expand_whole(&self, text: &str) -> String {
        self.fill(|part| if matches!(part, Part::Group(0 | 1)) { text } else { "" })
    }

    fn fill<'a>(&self, variable: impl Fn(&Part) -> &'a str) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                part => out.push_str(variable(part)),
            }
        }
        out
    }
}

fn parts(source: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        rest = after;
        if let Some(tail) = after.strip_prefix('$') {
            text.push('$');
            rest = tail;
        } else if let Some((name, tail)) = variable(after) {
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(match name.parse() {
                Ok(number) => Part::Group(number),
                Err(_) => Part::Name(name.to_owned()),
            });
            rest = tail;
        } else {
            // Malformed: the dollar stands for itself.
            text.push('$');
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}

/// The name after a dollar and what follows it. `$1x` is the group named `1x`: the longest name wins.
fn variable(after: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let (name, tail) = match after.strip_prefix('{') {
        Some(inside) => inside.split_once('}')?,
        None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
    };
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, want: &str) {
        let regex = Regex::new("^(?s:(a)(?P<name>b)(x)?.*)$").unwrap();
        assert_eq!(Template::new(template).expand(&regex, "abc").as_deref(), Some(want), "{template}");
    }

    #[test]
    fn expands_as_go_does() {
        check("$1-$2", "a-b");
        check("${1}x", "ax");
        check("$1x", "");
        check("$1_x", "");
        check("$name.${name}", "b.b");
        check("$0", "abc");
        check("$3|$9|$none|", "|||");
        check("$$1", "$1");
        check("a$", "a$");
        check("${1", "${1");
        check("${}", "${}");
        check("$-", "$-");
        check("${a-b}", "${a-b}");
        check("", "");
    }
}
