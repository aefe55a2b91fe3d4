//! From the text of a template to its parts.

use super::functions::{FUNCTIONS, UNSUPPORTED};
use super::{Expr, Part, Scope, TemplateError, Value};

/// How deep parentheses may nest.
const MAX_DEPTH: usize = 32;

/// Splits a template into text and parsed actions, applying the trim markers `{{-` and `-}}`.
pub(super) fn parts(source: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = source;
    let mut trim_start = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let trim_end = after.starts_with("- ") || after.starts_with("-\n");
        push_text(&mut parts, before, trim_start, trim_end);
        let inside = if trim_end { after.get(1..).unwrap_or("") } else { after };
        let (action, tail) = split_action(inside)?;
        let trimmed = action.strip_suffix(" -").or_else(|| action.strip_suffix("\n-"));
        trim_start = trimmed.is_some();
        let action = trimmed.unwrap_or(action).trim();
        if !(action.starts_with("/*") && action.ends_with("*/")) {
            parts.push(Part::Action(expression(action)?));
        }
        rest = tail;
    }
    push_text(&mut parts, rest, trim_start, false);
    Ok(parts)
}

fn push_text(parts: &mut Vec<Part>, text: &str, trim_start: bool, trim_end: bool) {
    let text = if trim_start { text.trim_start() } else { text };
    let text = if trim_end { text.trim_end() } else { text };
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

/// What stands before the closing `}}`, which may also stand inside a string, and what comes after it.
fn split_action(text: &str) -> Result<(&str, &str), TemplateError> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quote = Some(c),
            None => {
                if let Some(tail) = text.get(at..).and_then(|rest| rest.strip_prefix("}}")) {
                    return Ok((text.get(..at).unwrap_or(""), tail));
                }
            }
        }
    }
    Err(TemplateError::Syntax { action: text.trim().to_owned(), problem: "unclosed action".to_owned() })
}

fn expression(action: &str) -> Result<Expr, TemplateError> {
    let fail = |problem: String| TemplateError::Syntax { action: action.to_owned(), problem };
    let tokens = tokens(action).map_err(fail)?;
    let mut parser = Parser { tokens: &tokens, depth: 0 };
    let expr = parser.pipeline().map_err(fail)?;
    match parser.tokens.first() {
        None => Ok(expr),
        Some(token) => Err(fail(format!("unexpected {token:?}"))),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A word: `humanize`, `$labels.x`, `.Value`, `1.5`.
    Word(String),
    Text(String),
    Pipe,
    Open,
    Close,
}

fn tokens(action: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = action.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '|' => tokens.push(Token::Pipe),
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '"' => tokens.push(Token::Text(quoted(&mut chars)?)),
            '`' => {
                let raw: String = chars.by_ref().take_while(|c| *c != '`').collect();
                tokens.push(Token::Text(raw));
            }
            c if c.is_alphanumeric() || "_$.+-".contains(c) => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || "_.".contains(*c)) {
                    word.push(c);
                }
                tokens.push(Token::Word(word));
            }
            other => return Err(format!("unexpected {other:?}")),
        }
    }
    Ok(tokens)
}

fn quoted(chars: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(text),
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(c @ ('\\' | '"')) => text.push(c),
                other => return Err(format!("unknown escape \\{}", other.unwrap_or(' '))),
            },
            c => text.push(c),
        }
    }
    Err("unclosed string".to_owned())
}

struct Parser<'a> {
    tokens: &'a [Token],
    depth: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    /// `command | command | …`: each result is the last argument of the next.
    fn pipeline(&mut self) -> Result<Expr, String> {
        let mut result = self.command(None)?;
        while self.tokens.first() == Some(&Token::Pipe) {
            self.next();
            result = self.command(Some(result))?;
        }
        Ok(result)
    }

    fn command(&mut self, piped: Option<Expr>) -> Result<Expr, String> {
        let head = match self.next() {
            Some(Token::Word(word)) if word.starts_with(char::is_alphabetic) && word != "true" && word != "false" => {
                return self.call(&word, piped);
            }
            Some(token) => self.operand(token)?,
            None => return Err("missing value for command".to_owned()),
        };
        let more = matches!(self.tokens.first(), Some(Token::Word(_) | Token::Text(_) | Token::Open));
        match more || piped.is_some() {
            true => Err("can't give argument to what is not a function".to_owned()),
            false => Ok(head),
        }
    }

    fn call(&mut self, name: &str, piped: Option<Expr>) -> Result<Expr, String> {
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) else {
            return Err(match UNSUPPORTED.contains(&name) {
                true => format!("{name} is not supported"),
                false => format!("function {name:?} is not defined"),
            });
        };
        let mut args = Vec::new();
        while let Some(token) = self.tokens.first() {
            if matches!(token, Token::Pipe | Token::Close) {
                break;
            }
            let token = token.clone();
            self.next();
            args.push(self.operand(token)?);
        }
        args.extend(piped);
        let (fewest, most) = function.arity;
        if args.len() < fewest || args.len() > most {
            return Err(format!("wrong number of arguments for {name}: got {}", args.len()));
        }
        Ok(Expr::Call(function, args))
    }

    fn operand(&mut self, token: Token) -> Result<Expr, String> {
        match token {
            Token::Text(text) => Ok(Expr::Literal(Value::Text(text))),
            Token::Word(word) => operand_word(&word),
            Token::Open => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err("parentheses nest too deep".to_owned());
                }
                let inner = self.pipeline()?;
                self.depth -= 1;
                match self.next() {
                    Some(Token::Close) => Ok(inner),
                    _ => Err("unclosed left parenthesis".to_owned()),
                }
            }
            Token::Pipe => Err("missing value for command".to_owned()),
            Token::Close => Err("unexpected right parenthesis".to_owned()),
        }
    }
}

fn operand_word(word: &str) -> Result<Expr, String> {
    let scoped = [
        ("$labels", Scope::Sample),
        (".Labels", Scope::Sample),
        ("$externalLabels", Scope::External),
        (".ExternalLabels", Scope::External),
    ];
    for (root, scope) in scoped {
        match word.strip_prefix(root).map(|field| field.strip_prefix('.').ok_or(field)) {
            Some(Err("")) => return Ok(Expr::AllLabels(scope)),
            Some(Ok(name)) if !name.is_empty() && !name.contains('.') => {
                return Ok(Expr::Label(scope, name.to_owned()));
            }
            _ => {}
        }
    }
    match word {
        "$value" | ".Value" => Ok(Expr::Number),
        "$externalURL" | ".ExternalURL" => Ok(Expr::ExternalUrl),
        _ if word.starts_with('$') => Err(format!("undefined variable {word:?}")),
        _ if word.starts_with('.') => Err(format!("can't evaluate field {word:?}")),
        _ => match (word.parse::<i64>(), word.parse::<f64>()) {
            (Ok(number), _) => Ok(Expr::Literal(Value::Int(number))),
            (_, Ok(number)) if word.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c)) => {
                Ok(Expr::Literal(Value::Float(number)))
            }
            _ => Err(format!("unexpected {word:?} as an operand")),
        },
    }
}
