//! What a container tells about itself: a JSON object, kept as it came.

use serde_json::Value;

/// A JSON object in the words of who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The object's text, without white space around it.
    pub text: String,
    /// Its field `id`, if that is a text: a container's id.
    pub id: Option<String>,
}

/// A body is no record. Each says where, and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// There is nothing.
    #[error("the body is empty; a JSON object is wanted, such as {{\"id\": \"…\"}}")]
    Empty,
    /// It is not text.
    #[error("the body is not UTF-8 from byte {at} on; a JSON object is wanted")]
    Encoding {
        /// Counted from 1.
        at: usize,
    },
    /// It is not JSON.
    #[error("the body is not JSON")]
    Form(#[source] serde_json::Error),
    /// It is JSON of another type.
    #[error("the body is {found}; a JSON object is wanted, such as {{\"id\": \"…\"}}")]
    Type {
        /// What it is, with its article.
        found: &'static str,
    },
}

impl Record {
    /// Reads a body.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn parse(body: &[u8]) -> Result<Self, RecordError> {
        let text = str::from_utf8(body).map_err(|error| RecordError::Encoding { at: error.valid_up_to() + 1 })?;
        if text.trim().is_empty() {
            return Err(RecordError::Empty);
        }
        // All of it is read, so that what is kept can be put into one array with the others.
        let found = match serde_json::from_str(text).map_err(RecordError::Form)? {
            Value::Object(fields) => {
                let id = fields.get("id").and_then(Value::as_str).map(str::to_owned);
                return Ok(Self { text: text.trim().to_owned(), id });
            }
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
        };
        Err(RecordError::Type { found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &[u8], want: Result<(&str, Option<&str>), &str>) {
        let got = Record::parse(body).map_err(|error| match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        });
        let got = got.as_ref().map(|record| (record.text.as_str(), record.id.as_deref())).map_err(String::as_str);
        assert_eq!(got, want, "{}", String::from_utf8_lossy(body));
    }

    #[test]
    fn objects_are_kept_as_they_came() {
        check(br#"{"id": "a1", "cpu_usage": 1.50e-1}"#, Ok((r#"{"id": "a1", "cpu_usage": 1.50e-1}"#, Some("a1"))));
        check(b" \r\n{}\n", Ok(("{}", None)));
        check(br#"{"id": 7, "b": 1, "a": 2, "a": 3}"#, Ok((r#"{"id": 7, "b": 1, "a": 2, "a": 3}"#, None)));
        check("{\"name\":\"Atalaia – ü\"}".as_bytes(), Ok(("{\"name\":\"Atalaia – ü\"}", None)));
    }

    #[test]
    fn what_is_none_is_told_with_its_place() {
        check(b"", Err("the body is empty; a JSON object is wanted, such as {\"id\": \"…\"}"));
        check(b" \n", Err("the body is empty; a JSON object is wanted, such as {\"id\": \"…\"}"));
        check(b"{\"a\":\"\xff\"}", Err("the body is not UTF-8 from byte 7 on; a JSON object is wanted"));
        check(b"[{}]", Err("the body is an array; a JSON object is wanted, such as {\"id\": \"…\"}"));
        check(b"\"{}\"", Err("the body is a string; a JSON object is wanted, such as {\"id\": \"…\"}"));
        check(b"{\n\"a\": x}", Err("the body is not JSON: expected value at line 2 column 6"));
        check(b"{\"a\":1}{}", Err("the body is not JSON: trailing characters at line 1 column 8"));
        check(b"{\"a\":1", Err("the body is not JSON: EOF while parsing an object at line 1 column 6"));
        check(b"a=1&b=2", Err("the body is not JSON: expected value at line 1 column 1"));
        check(b"{\"a\":1e999}", Err("the body is not JSON: number out of range at line 1 column 10"));
        check(b"{\"a\":\"\\ud800\"}", Err("the body is not JSON: unexpected end of hex escape at line 1 column 13"));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
        check(deep.as_bytes(), Err("the body is not JSON: recursion limit exceeded at line 1 column 132"));
    }
}
