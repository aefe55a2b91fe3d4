//! The URL to push to, taken apart.

use std::fmt;

use hyper::Uri;

use super::error::PushError;

/// Where requests go. Shown without the query, which may hold a token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Receiver {
    pub https: bool,
    /// A name or address, without the brackets of IPv6.
    pub host: String,
    pub port: u16,
    /// As it stands in the header `Host`.
    pub authority: String,
    /// Path and query.
    pub path: String,
}

impl Receiver {
    pub(crate) fn parse(url: &str) -> Result<Self, PushError> {
        let uri: Uri = url.parse().map_err(|_| PushError::Url("is not a URL: write http://HOST:PORT/PATH"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(PushError::Url("does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or(PushError::Url("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(PushError::Url(
                "holds a user: give --push.username and --push.password-file instead, which nobody can see",
            ));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(PushError::Url("names no host"));
        }
        Ok(Self {
            https,
            host,
            port: authority.port_u16().unwrap_or(if https { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        let path = self.path.split('?').next().unwrap_or("");
        write!(out, "{scheme}://{}{path}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let receiver = |url| Receiver::parse(url).unwrap();
        let plain = receiver("http://prometheus:9090/api/v1/write");
        assert_eq!((plain.https, plain.host.as_str(), plain.port), (false, "prometheus", 9090));
        assert_eq!(plain.path, "/api/v1/write");
        let secure = receiver("https://[::1]/write?token=secret");
        assert_eq!((secure.host.as_str(), secure.port, secure.authority.as_str()), ("::1", 443, "[::1]"));
        assert_eq!(secure.path, "/write?token=secret");
        assert_eq!(secure.to_string(), "https://[::1]/write");
        assert_eq!(receiver("http://host").path, "/");
    }

    #[test]
    fn others_are_refused_without_being_shown() {
        for (url, want) in [
            ("", "is not a URL"),
            ("prometheus:9090/api/v1/write", "not"),
            ("ftp://host/", "does not begin"),
            ("/api/v1/write", "does not begin"),
            ("http://me:secret@host/", "--push.password-file"),
            ("http://me secret@host/", "is not a URL"),
        ] {
            let error = Receiver::parse(url).unwrap_err().to_string();
            assert!(error.contains(want) && !error.contains("secret"), "{url}: {error}");
        }
    }
}
