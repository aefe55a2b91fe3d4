//! What happens to a query text before the grammar sees it.
//!
//! The grammar crate recurses over its own tree, panics on durations that do not fit, and misses three spellings
//! that Prometheus takes: digit separators, raw strings with a backslash, and comments in brackets. So the text is
//! bounded, and those spellings are rewritten to ones with the same meaning.

/// Longest query text, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// Deepest tree, chains of operators included: bounds what the grammar crate recurses over.
const MAX_DEPTH: usize = 1_000;
/// Deepest nesting of parentheses, signs and powers: bounds what the evaluator recurses over.
const MAX_NESTING: usize = 100;
/// Longest range, offset or step, in seconds: what 63 bits of nanoseconds hold.
const MAX_SECONDS: f64 = 9_223_372_036.0;

/// Checks the bounds and gives the text for the grammar.
///
/// # Errors
/// With the reason, when a bound is passed or a string does not end.
pub(super) fn normalize(text: &str) -> Result<String, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("the query is longer than {MAX_BYTES} bytes"));
    }
    let mut guard = Guard {
        rest: text,
        out: String::with_capacity(text.len()),
        levels: vec![Level::default()],
        last: Last::Operator,
    };
    while let Some(c) = guard.rest.chars().next() {
        guard.token(c)?;
    }
    Ok(guard.out)
}

/// One open bracket and what was counted since, or since the last comma in it.
#[derive(Default)]
struct Level {
    open: char,
    chained: usize,
    nested: usize,
}

/// What came before, as far as it changes the meaning of what comes next.
#[derive(PartialEq)]
enum Last {
    Operator,
    Operand,
    Offset,
}

struct Guard<'a> {
    rest: &'a str,
    out: String,
    levels: Vec<Level>,
    last: Last,
}

impl Guard<'_> {
    fn token(&mut self, c: char) -> Result<(), String> {
        match c {
            '#' => {
                let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
                self.rest = self.rest.get(end..).unwrap_or("");
                self.out.push(' ');
                Ok(())
            }
            '"' | '\'' => self.quoted(c),
            '`' => self.raw(),
            '0'..='9' => self.number(),
            '.' if self.rest.get(1..).is_some_and(|r| r.starts_with(|d: char| d.is_ascii_digit())) => self.number(),
            'a'..='z' | 'A'..='Z' | '_' | ':' => self.word(),
            '(' | '[' | '{' => {
                self.take(1);
                self.levels.push(Level { open: c, ..Level::default() });
                self.last = Last::Operator;
                self.within_bounds()
            }
            ')' | ']' | '}' => {
                self.take(1);
                if self.levels.len() > 1 {
                    self.levels.pop();
                }
                self.last = Last::Operand;
                Ok(())
            }
            ',' => {
                self.take(1);
                if let Some(level) = self.levels.last_mut() {
                    (level.chained, level.nested) = (0, 0);
                }
                self.last = Last::Operator;
                Ok(())
            }
            '+' | '-' | '*' | '/' | '%' | '^' | '!' | '<' | '>' | '=' | '@' => {
                self.take(1);
                self.operator(c)
            }
            c => {
                self.take(c.len_utf8());
                Ok(())
            }
        }
    }

    fn take(&mut self, bytes: usize) {
        let (head, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.out.push_str(head);
        self.rest = rest;
    }

    fn operator(&mut self, c: char) -> Result<(), String> {
        let nests = c == '^' || (matches!(c, '+' | '-') && self.last == Last::Operator);
        if let Some(level) = self.levels.last_mut() {
            match nests {
                true => level.nested += 1,
                false => level.chained += 1,
            }
        }
        if self.last != Last::Offset {
            self.last = Last::Operator;
        }
        self.within_bounds()
    }

    fn within_bounds(&self) -> Result<(), String> {
        let nesting: usize = self.levels.iter().map(|l| 1 + l.nested).sum();
        let depth: usize = nesting + self.levels.iter().map(|l| l.chained).sum::<usize>();
        if nesting > MAX_NESTING || depth > MAX_DEPTH {
            return Err(format!(
                "the expression nests too deeply (at most {MAX_NESTING} levels, and {MAX_DEPTH} with operators)"
            ));
        }
        Ok(())
    }

    fn quoted(&mut self, quote: char) -> Result<(), String> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (at, _) = end.ok_or_else(|| "unterminated quoted string".to_owned())?;
        self.take(at + 1);
        self.last = Last::Operand;
        Ok(())
    }

    fn raw(&mut self) -> Result<(), String> {
        let inner = self.rest.get(1..).unwrap_or("");
        let (content, rest) = inner.split_once('`').ok_or_else(|| "unterminated raw string".to_owned())?;
        self.out.push('"');
        for c in content.chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        self.rest = rest;
        self.last = Last::Operand;
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        let hex = self.rest.starts_with("0x") || self.rest.starts_with("0X");
        let mut exponent = false;
        let end = self
            .rest
            .find(|c: char| {
                let part = c.is_ascii_alphanumeric() || c == '.' || c == '_' || (exponent && matches!(c, '+' | '-'));
                exponent = !hex && matches!(c, 'e' | 'E');
                !part
            })
            .unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        let token = without_separators(token);
        let is_duration = self.last == Last::Offset || self.levels.last().is_some_and(|l| l.open == '[');
        if is_duration || token.ends_with(|c: char| "smhdwy".contains(c)) && !hex {
            check_duration(&token)?;
        }
        self.out.push_str(&token);
        self.rest = rest;
        self.last = Last::Operand;
        Ok(())
    }

    fn word(&mut self) -> Result<(), String> {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(self.rest.len());
        // In brackets a colon stands between range and step.
        let end = match self.levels.last().is_some_and(|l| l.open == '[') {
            true => self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(end).max(1),
            false => end,
        };
        let word = self.rest.get(..end).unwrap_or("").to_ascii_lowercase();
        self.take(end);
        let in_braces = self.levels.last().is_some_and(|l| l.open == '{');
        match word.as_str() {
            _ if in_braces => self.last = Last::Operand,
            "inf" | "nan" if self.last == Last::Offset => return Err("an offset must be a finite duration".to_owned()),
            "and" | "or" | "unless" | "atan2" => return self.operator(' '),
            "offset" => {
                self.operator(' ')?;
                self.last = Last::Offset;
            }
            "bool" | ":" => self.last = Last::Operator,
            _ => self.last = Last::Operand,
        }
        Ok(())
    }
}

/// Drops `_` between digits, as in `1_000_000`; another underscore stays, to be refused.
fn without_separators(token: &str) -> String {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars().peekable();
    while let Some(c) = chars.next() {
        let between = out.ends_with(|c: char| c.is_ascii_hexdigit() || matches!(c, 'x' | 'X'))
            && chars.peek().is_some_and(char::is_ascii_hexdigit);
        if c != '_' || !between {
            out.push(c);
        }
    }
    out
}

fn check_duration(token: &str) -> Result<(), String> {
    let fits = match token.parse::<f64>() {
        Ok(seconds) => seconds <= MAX_SECONDS,
        Err(_) if token.starts_with("0x") || token.starts_with("0X") => token.len() <= 10,
        Err(_) => collector_model::PromDuration::parse(token).is_ok(),
    };
    if fits { Ok(()) } else { Err(format!("not a valid duration string: {token:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(normalize(text).as_deref(), Ok(want), "{text}");
    }

    #[track_caller]
    fn check_fails(text: &str, want: &str) {
        let error = normalize(text).expect_err(text);
        assert!(error.contains(want), "{error}");
    }

    #[test]
    fn rewrites_what_the_grammar_misses() {
        check("1_000 + 0x_ff", "1000 + 0xff");
        check(r#"x{a=~`\d"+`}"#, r#"x{a=~"\\d\"+"}"#);
        check("x[5m # five\n]", "x[5m  \n]");
        check("x{a=\"#`\\\"\"} # y", "x{a=\"#`\\\"\"}  ");
        check("5e-3 - 0x1e-3", "5e-3 - 0x1e-3");
        check("a_1_2[1h:1m]", "a_1_2[1h:1m]");
    }

    #[test]
    fn refuses_what_would_hurt() {
        check_fails("x[1e300]", "not a valid duration");
        check_fails("x offset inf", "finite");
        check_fails("x offset -9999999999999", "not a valid duration");
        check_fails("x[99999999999999y]", "not a valid duration");
        check_fails(&format!("{}x", "(".repeat(101)), "too deeply");
        check_fails(&"-".repeat(200), "too deeply");
        check_fails(&"a^".repeat(200), "too deeply");
        check_fails(&"a+".repeat(2_000), "too deeply");
        check_fails("\"abc", "unterminated");
        check_fails("`abc", "unterminated");
        check_fails(&"x".repeat(MAX_BYTES + 1), "longer");
    }

    #[test]
    fn lets_long_flat_expressions_pass() {
        let sum = vec!["a"; 900].join(" + ");
        assert_eq!(normalize(&sum).as_deref(), Ok(sum.as_str()));
        let calls = format!("label_join(x, {})", vec!["'a'"; 5_000].join(", "));
        assert_eq!(normalize(&calls).as_deref(), Ok(calls.as_str()));
    }
}
