//! The keys of a Docker engine, which `docker_sd_configs` and `dockerswarm_sd_configs` share.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use collector_http::{Authorization, BasicAuth, ClientConfig, HeaderConfig, TlsConfig};
use collector_model::PromDuration;
use serde::Deserialize;
use url::Url;

use crate::DiscoveryError;

/// What lists are narrowed down by: the engine's own filters, with their values.
pub(crate) type Filters = BTreeMap<String, Vec<String>>;

/// Filters written down in the code.
pub(crate) fn filters(written: &[(&str, &[&str])]) -> Filters {
    let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    written.iter().map(|(name, all)| ((*name).to_owned(), values(all))).collect()
}

/// The keys as written, those that only one of the two providers has too: it takes its own and refuses the other's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    host: String,
    port: u16,
    filters: Option<Vec<Filter>>,
    refresh_interval: PromDuration,
    /// `dockerswarm` alone.
    pub(crate) role: Option<String>,
    /// `docker` alone, as is the next.
    pub(crate) host_networking_host: Option<String>,
    pub(crate) match_first_network: Option<bool>,

    basic_auth: Option<BasicAuth>,
    authorization: Option<Authorization>,
    tls_config: Option<TlsConfig>,
    follow_redirects: bool,
    enable_http2: bool,
    proxy_url: Option<String>,
    no_proxy: Option<String>,
    proxy_from_environment: bool,
    http_headers: BTreeMap<String, HeaderConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    name: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Default for Keys {
    fn default() -> Self {
        let client = ClientConfig::default();
        Self {
            host: String::new(),
            port: 80,
            filters: None,
            refresh_interval: PromDuration::from_secs(60),
            role: None,
            host_networking_host: None,
            match_first_network: None,
            basic_auth: client.basic_auth,
            authorization: client.authorization,
            tls_config: client.tls_config,
            follow_redirects: client.follow_redirects,
            enable_http2: client.enable_http2,
            proxy_url: client.proxy_url,
            no_proxy: client.no_proxy,
            proxy_from_environment: client.proxy_from_environment,
            http_headers: client.http_headers,
        }
    }
}

/// An engine, and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineConfig {
    pub(crate) host: Host,
    /// The port of targets that tell none.
    pub(crate) port: u32,
    pub(crate) filters: Filters,
    pub(crate) refresh_interval: Duration,
    pub(crate) client: ClientConfig,
}

impl EngineConfig {
    /// Makes file paths absolute: relative ones are relative to the configuration file's directory.
    pub(crate) fn resolve_paths(&mut self, directory: &Path) {
        self.client.resolve_paths(directory);
    }
}

impl TryFrom<Keys> for EngineConfig {
    type Error = DiscoveryError;

    fn try_from(keys: Keys) -> Result<Self, DiscoveryError> {
        let host = Host::parse(&keys.host)?;
        if keys.refresh_interval.0.is_zero() {
            return Err(DiscoveryError::ZeroInterval("refresh_interval"));
        }
        let mut filters = Filters::new();
        for filter in keys.filters.unwrap_or_default() {
            // A name without values narrows nothing down.
            if !filter.values.is_empty() {
                filters.entry(filter.name).or_default().extend(filter.values);
            }
        }
        let client = ClientConfig {
            basic_auth: keys.basic_auth,
            authorization: keys.authorization,
            tls_config: keys.tls_config,
            follow_redirects: keys.follow_redirects,
            enable_http2: keys.enable_http2,
            proxy_url: keys.proxy_url,
            no_proxy: keys.no_proxy,
            proxy_from_environment: keys.proxy_from_environment,
            http_headers: keys.http_headers,
        };
        client.validate()?;
        Ok(Self { host, port: keys.port.into(), filters, refresh_interval: keys.refresh_interval.0, client })
    }
}

/// Where an engine listens. It is shown without a password that its URL may hold.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A Unix socket.
    Socket(PathBuf),
    /// HTTP, with or without TLS.
    Url(Url),
}

impl Host {
    /// What the URLs of requests begin with. For a socket the name in it says nothing.
    pub(super) fn base(&self) -> Option<Url> {
        match self {
            Self::Socket(_) => Url::parse("http://docker").ok(),
            Self::Url(url) => Some(url.clone()),
        }
    }

    fn parse(text: &str) -> Result<Self, DiscoveryError> {
        if text.is_empty() {
            return Err(DiscoveryError::Missing("host"));
        }
        let bad = || DiscoveryError::EngineHost(without_credentials(text));
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Socket(path.into())) } else { Err(bad()) };
        }
        // Docker's own name for HTTP without TLS.
        let text = text.strip_prefix("tcp://").map_or_else(|| text.to_owned(), |host| format!("http://{host}"));
        match Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Self::Url(url)),
            _ => Err(bad()),
        }
    }
}

/// A text that was meant to be a URL, fit to be shown.
fn without_credentials(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (None, Some((_, rest))) => rest.to_owned(),
        (_, None) => text.to_owned(),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Url(url) => {
                let at = |part: &str| part.trim_end_matches('/').to_owned();
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                write!(f, "{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), at(url.path()))
            }
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, want: &str) {
        let got = Host::parse(host).map_or_else(|error| error.to_string(), |host| host.to_string());
        assert_eq!(got, want, "{host}");
    }

    #[test]
    fn hosts_are_sockets_or_urls() {
        check("unix:///var/run/docker.sock", "unix:///var/run/docker.sock");
        check("tcp://manager:2375", "http://manager:2375");
        check("http://manager:2375/", "http://manager:2375");
        check("https://[fd00::1]:2376/engines/1/", "https://[fd00::1]:2376/engines/1");
        check("https://me:hunter2@manager", "https://manager");
        let wanted = "is none of unix:///PATH, tcp://HOST:PORT, http://HOST:PORT and https://HOST:PORT";
        for host in ["unix://docker.sock", "ssh://manager", "manager:2375", "npipe:////./pipe/x", "tcp://"] {
            check(host, &format!("host {host:?} {wanted}"));
        }
        check("ssh://me:hunter2@manager", &format!("host \"ssh://manager\" {wanted}"));
        check("me:hunter2@manager", &format!("host \"manager\" {wanted}"));
        check("", "host is missing");
    }

    #[test]
    fn filters_of_one_name_are_one() {
        let keys: Keys = serde_yaml_ng::from_str(
            "{host: 'unix:///s', filters: [{name: label, values: [a=1, b]}, {name: id, values: []}, {name: label, \
             values: [8080]}]}",
        )
        .unwrap();
        let filters = EngineConfig::try_from(keys).unwrap().filters;
        assert_eq!(serde_json::to_string(&filters).unwrap(), r#"{"label":["a=1","b","8080"]}"#);
    }
}
