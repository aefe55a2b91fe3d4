//! What a receiver answered, read within bounds.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// Bytes of an error's text that are read: enough for a message, whatever a receiver sends.
const MAX_TEXT: usize = 65_536;

/// Characters of it that a message shows.
const MAX_MESSAGE: usize = 512;

/// Longest wait that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

/// An answer, or that there was none.
#[derive(Debug)]
pub(crate) struct Answer {
    /// `None` where no answer came.
    pub status: Option<StatusCode>,
    /// The receiver's text for an error, or the client's where no answer came. One line.
    pub text: String,
    /// How long the receiver asks to wait.
    pub retry_after: Option<Duration>,
}

impl Answer {
    /// Sends a request and reads the answer. The text is read for errors only: a success that breaks off after its
    /// status line is a success.
    pub(crate) async fn to(request: reqwest::RequestBuilder) -> Self {
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Self::none(&error.without_url()),
        };
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let mut body = Vec::new();
        while !status.is_success() && body.len() < MAX_TEXT {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        body.truncate(MAX_TEXT);
        let text = String::from_utf8_lossy(&body);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { status: Some(status), text, retry_after }
    }

    /// No answer came, for this reason.
    pub(crate) fn none(error: &dyn std::error::Error) -> Self {
        Self { status: None, text: collector_model::chain(error), retry_after: None }
    }

    /// `503 Service Unavailable: overloaded`, cut where it is long.
    pub(crate) fn message(&self) -> String {
        let text: String = self.text.chars().take(MAX_MESSAGE).collect();
        match self.status {
            Some(status) if text.is_empty() => status.to_string(),
            Some(status) => format!("{status}: {text}"),
            None => text,
        }
    }
}

/// `Retry-After` in seconds or as a date, within bounds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let format = &time::format_description::well_known::Rfc2822;
            let date = time::OffsetDateTime::parse(text, format).ok()?;
            Duration::try_from(date - time::OffsetDateTime::now_utc()).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_long_to_wait() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            retry_after(&headers).map(|d| d.as_secs())
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("999999999"), Some(600));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0));
        assert_eq!(wait("Wed, 21 Oct 2999 07:28:00 GMT"), Some(600));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
