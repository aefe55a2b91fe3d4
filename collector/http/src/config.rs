//! The keys of `prometheus.yml` that say how to speak HTTP to a peer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{ClientError, Secret, tls};

/// `basic_auth`
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are Prometheus's keys, name by name")]
pub struct BasicAuth {
    pub username: String,
    pub username_file: Option<PathBuf>,
    pub password: Option<Secret>,
    pub password_file: Option<PathBuf>,
}

/// `authorization`
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are Prometheus's keys, name by name")]
pub struct Authorization {
    #[serde(rename = "type")]
    pub scheme: String,
    pub credentials: Option<Secret>,
    pub credentials_file: Option<PathBuf>,
}

impl Default for Authorization {
    fn default() -> Self {
        Self { scheme: "Bearer".to_owned(), credentials: None, credentials_file: None }
    }
}

/// `tls_config`
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are Prometheus's keys, name by name")]
pub struct TlsConfig {
    pub ca: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub cert: Option<String>,
    pub cert_file: Option<PathBuf>,
    pub key: Option<Secret>,
    pub key_file: Option<PathBuf>,
    pub server_name: Option<String>,
    pub insecure_skip_verify: bool,
    pub min_version: Option<String>,
    pub max_version: Option<String>,
}

/// One entry of `http_headers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields are Prometheus's keys, name by name")]
pub struct HeaderConfig {
    pub values: Vec<String>,
    pub secrets: Vec<Secret>,
    pub files: Vec<PathBuf>,
}

/// How to speak HTTP to a peer. The configuration structs that hold these keys inline list them one by one
/// (serde cannot both flatten and refuse unknown keys) and gather them here.
///
/// `enable_http2` is accepted and has no effect: HTTP/1.1 is what is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are Prometheus's keys, name by name")]
pub struct ClientConfig {
    pub basic_auth: Option<BasicAuth>,
    pub authorization: Option<Authorization>,
    pub tls_config: Option<TlsConfig>,
    pub follow_redirects: bool,
    pub enable_http2: bool,
    pub proxy_url: Option<String>,
    pub no_proxy: Option<String>,
    pub proxy_from_environment: bool,
    pub http_headers: BTreeMap<String, HeaderConfig>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            tls_config: None,
            follow_redirects: true,
            enable_http2: true,
            proxy_url: None,
            no_proxy: None,
            proxy_from_environment: false,
            http_headers: BTreeMap::new(),
        }
    }
}

/// Headers that the client or the caller sets, in lower case; `http_headers` may not touch them.
const RESERVED_HEADERS: [&str; 18] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "user-agent",
    "www-authenticate",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-prometheus-remote-read-version",
    "x-prometheus-remote-write-version",
    "x-prometheus-scrape-timeout-seconds",
];

impl ClientConfig {
    /// Makes file paths absolute: relative ones are relative to the configuration file's directory.
    pub fn resolve_paths(&mut self, directory: &Path) {
        let basic =
            self.basic_auth.iter_mut().flat_map(|b| b.username_file.iter_mut().chain(b.password_file.iter_mut()));
        let credentials = self.authorization.iter_mut().flat_map(|a| a.credentials_file.iter_mut());
        let tls = self
            .tls_config
            .iter_mut()
            .flat_map(|t| t.ca_file.iter_mut().chain(t.cert_file.iter_mut()).chain(t.key_file.iter_mut()));
        let headers = self.http_headers.values_mut().flat_map(|h| h.files.iter_mut());
        for path in basic.chain(credentials).chain(tls).chain(headers) {
            // `join` keeps an absolute path as it is.
            *path = directory.join(&*path);
        }
    }

    /// Checks what can be checked without reading a file: contradictions, reserved headers, malformed values.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn validate(&self) -> Result<(), ClientError> {
        if self.basic_auth.is_some() && self.authorization.is_some() {
            return Err(ClientError::Conflict("basic_auth and authorization"));
        }
        if let Some(basic) = &self.basic_auth {
            at_most_one(!basic.username.is_empty(), basic.username_file.is_some(), "username and username_file")?;
            at_most_one(basic.password.is_some(), basic.password_file.is_some(), "password and password_file")?;
        }
        if let Some(authorization) = &self.authorization {
            let (value, file) = (authorization.credentials.is_some(), authorization.credentials_file.is_some());
            at_most_one(value, file, "credentials and credentials_file")?;
            if authorization.scheme.eq_ignore_ascii_case("basic") {
                return Err(ClientError::BasicScheme);
            }
        }
        self.validate_proxy()?;
        self.validate_headers()?;
        self.tls_config.as_ref().map_or(Ok(()), TlsConfig::validate)
    }

    fn validate_proxy(&self) -> Result<(), ClientError> {
        at_most_one(self.proxy_url.is_some(), self.proxy_from_environment, "proxy_url and proxy_from_environment")?;
        at_most_one(self.no_proxy.is_some(), self.proxy_from_environment, "no_proxy and proxy_from_environment")?;
        if self.no_proxy.is_some() && self.proxy_url.is_none() {
            return Err(ClientError::Incomplete { key: "no_proxy", needs: "proxy_url" });
        }
        match self.proxy_url.as_deref().map(url::Url::parse) {
            Some(Ok(url)) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
            Some(_) => Err(ClientError::ProxyUrl),
            None => Ok(()),
        }
    }

    fn validate_headers(&self) -> Result<(), ClientError> {
        for (name, config) in &self.http_headers {
            if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                return Err(ClientError::ReservedHeader(name.clone()));
            }
            let values = config.values.iter().map(String::as_str).chain(config.secrets.iter().map(Secret::expose));
            let mut values = values.map(http::HeaderValue::from_str);
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() || values.any(|v| v.is_err()) {
                return Err(ClientError::BadHeader(name.clone()));
            }
        }
        Ok(())
    }
}

impl TlsConfig {
    fn validate(&self) -> Result<(), ClientError> {
        at_most_one(self.ca.is_some(), self.ca_file.is_some(), "ca and ca_file")?;
        at_most_one(self.cert.is_some(), self.cert_file.is_some(), "cert and cert_file")?;
        at_most_one(self.key.is_some(), self.key_file.is_some(), "key and key_file")?;
        match (self.cert.is_some() || self.cert_file.is_some(), self.key.is_some() || self.key_file.is_some()) {
            (true, false) => return Err(ClientError::Incomplete { key: "cert", needs: "key or key_file" }),
            (false, true) => return Err(ClientError::Incomplete { key: "key", needs: "cert or cert_file" }),
            _ => {}
        }
        tls::versions(self)?;
        tls::server_name(self).map(drop)
    }
}

fn at_most_one(one: bool, other: bool, names: &'static str) -> Result<(), ClientError> {
    if one && other { Err(ClientError::Conflict(names)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys as their owners gather them.
    #[derive(Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Inline {
        basic_auth: Option<BasicAuth>,
        authorization: Option<Authorization>,
        tls_config: Option<TlsConfig>,
        proxy_url: Option<String>,
        no_proxy: Option<String>,
        proxy_from_environment: bool,
        http_headers: BTreeMap<String, HeaderConfig>,
    }

    fn config(yaml: &str) -> ClientConfig {
        let inline: Inline = serde_yaml_ng::from_str(yaml).unwrap();
        ClientConfig {
            basic_auth: inline.basic_auth,
            authorization: inline.authorization,
            tls_config: inline.tls_config,
            proxy_url: inline.proxy_url,
            no_proxy: inline.no_proxy,
            proxy_from_environment: inline.proxy_from_environment,
            http_headers: inline.http_headers,
            ..ClientConfig::default()
        }
    }

    #[track_caller]
    fn check(yaml: &str, want: &str) {
        let got = config(yaml).validate().map_or_else(|e| e.to_string(), |()| String::new());
        assert_eq!(got, want, "{yaml}");
    }

    #[test]
    fn contradictions_are_refused() {
        check("{basic_auth: {username: u, password: p}}", "");
        check(
            "{basic_auth: {username: u}, authorization: {credentials: c}}",
            "at most one of basic_auth and authorization may be set",
        );
        check("{basic_auth: {username: u, username_file: f}}", "at most one of username and username_file may be set");
        check("{basic_auth: {password: u, password_file: f}}", "at most one of password and password_file may be set");
        check(
            "{authorization: {credentials: u, credentials_file: f}}",
            "at most one of credentials and credentials_file may be set",
        );
        check("{authorization: {type: Basic}}", "authorization type cannot be \"basic\", use basic_auth instead");
        check(
            "{proxy_url: 'http://p:1', proxy_from_environment: true}",
            "at most one of proxy_url and proxy_from_environment may be set",
        );
        check("{no_proxy: a}", "no_proxy needs proxy_url beside it");
        check("{proxy_url: 'http://p:1', no_proxy: a}", "");
        check("{proxy_url: 'socks5://p:1'}", "proxy_url is not an http or https URL");
    }

    #[test]
    fn headers_are_checked() {
        check("{http_headers: {X-Scope: {values: [a], secrets: [b], files: [c]}}}", "");
        check("{http_headers: {authorization: {values: [a]}}}", "setting header \"authorization\" is not allowed");
        check("{http_headers: {'a b': {values: [a]}}}", "header \"a b\" is not valid in HTTP");
        check("{http_headers: {a: {values: [\"x\\ny\"]}}}", "header \"a\" is not valid in HTTP");
    }

    #[test]
    fn tls_keys_are_checked() {
        check("{tls_config: {ca: a, ca_file: b}}", "at most one of ca and ca_file may be set");
        check("{tls_config: {cert: a}}", "cert needs key or key_file beside it");
        check("{tls_config: {key_file: a}}", "key needs cert or cert_file beside it");
        check("{tls_config: {min_version: TLS10, max_version: TLS13}}", "");
        let refused = "is not one of TLS10, TLS11, TLS12, TLS13, or leaves no version that is safe";
        check("{tls_config: {min_version: TLS9}}", &format!("min_version \"TLS9\" {refused}"));
        check("{tls_config: {max_version: TLS11}}", &format!("max_version \"TLS11\" {refused}"));
        check("{tls_config: {server_name: 'a b'}}", "server_name \"a b\" is neither a DNS name nor an address");
    }

    #[test]
    fn relative_paths_follow_the_configuration_file() {
        let mut config = config(
            "{basic_auth: {username_file: u, password_file: /p}, authorization: {credentials_file: c}, \
             tls_config: {ca_file: a, cert_file: b, key_file: k}, http_headers: {X: {files: [h]}}}",
        );
        config.resolve_paths(Path::new("/etc/atalaia"));
        let basic = config.basic_auth.unwrap();
        assert_eq!(basic.username_file.unwrap(), Path::new("/etc/atalaia/u"));
        assert_eq!(basic.password_file.unwrap(), Path::new("/p"));
        assert_eq!(config.authorization.unwrap().credentials_file.unwrap(), Path::new("/etc/atalaia/c"));
        let tls = config.tls_config.unwrap();
        assert_eq!(tls.ca_file.unwrap(), Path::new("/etc/atalaia/a"));
        assert_eq!(tls.cert_file.unwrap(), Path::new("/etc/atalaia/b"));
        assert_eq!(tls.key_file.unwrap(), Path::new("/etc/atalaia/k"));
        assert_eq!(config.http_headers["X"].files, [Path::new("/etc/atalaia/h")]);
    }

    #[test]
    fn secrets_are_never_shown() {
        let config = config("{basic_auth: {username: u, password: hunter2}}");
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(Secret::new("hunter2").to_string(), "<secret>");
    }
}
