//! The file of `--web.config.file`, as exporter-toolkit defines it: what may stand in it, and what of that is right.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_procfs::duration;
use axum::http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Unexpected, Visitor};

use super::password::PasswordHash;
use super::words::{Cipher, Curve, Named, Version, named};

/// A web configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebConfigError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is not what the format allows.
    #[error("{}{}: {message}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Form {
        /// Which file.
        path: PathBuf,
        /// Where in it, from 1.
        line: Option<usize>,
        /// What is wrong with which key. Never a secret.
        message: String,
    },
    /// A value contradicts another one, or what it names.
    #[error("{}: {key}: {message}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key, with those around it.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    pub(super) tls_server_config: Option<Tls>,
    pub(super) http_server_config: Option<Http>,
    pub(super) basic_auth_users: Option<Users>,
    pub(super) rate_limit: Option<RateLimit>,
}

/// `tls_server_config`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert: Option<String>,
    pub(super) key: Option<Secret>,
    pub(super) client_ca: Option<String>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) client_ca_file: Option<PathBuf>,
    pub(super) client_auth_type: Option<ClientAuth>,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: Option<Version>,
    pub(super) max_version: Option<Version>,
    pub(super) cipher_suites: Vec<Cipher>,
    pub(super) curve_preferences: Vec<Curve>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
}

/// Go's five kinds. `RequireClientCert` is an old name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum ClientAuth {
    #[default]
    #[serde(alias = "")]
    NoClientCert,
    RequestClientCert,
    #[serde(alias = "RequireClientCert")]
    RequireAnyClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

impl ClientAuth {
    /// Whether who shows no certificate is sent away.
    pub(super) fn requires(self) -> bool {
        matches!(self, Self::RequireAnyClientCert | Self::RequireAndVerifyClientCert)
    }

    /// Whether the certificate must come from a known authority.
    pub(super) fn verifies(self) -> bool {
        matches!(self, Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert)
    }
}

/// `http_server_config`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http {
    /// Accepted and without effect: HTTP/1.1 is all that is spoken here.
    #[serde(rename = "http2")]
    _http2: bool,
    pub(super) headers: BTreeMap<String, String>,
}

/// The headers that may be set, with the only values where there are such.
const HEADERS: &[(&str, &[&str])] = &[
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

impl Http {
    /// The headers of every answer. One with an empty value is left out.
    pub(super) fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let Some((_, allowed)) = HEADERS.iter().find(|(known, _)| known == name) else {
                let known: Vec<_> = HEADERS.iter().map(|(known, _)| *known).collect();
                return Err(format!("{name:?} cannot be set: use some of {}", known.join(", ")));
            };
            if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
                return Err(format!("{name}: {value:?} is not {}", allowed.join(" or ")));
            }
            if value.is_empty() {
                continue;
            }
            let name_value = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str()));
            let (Ok(name), Ok(value)) = name_value else {
                return Err(format!("{name}: {value:?} holds a character that no header may"));
            };
            headers.push((name, value));
        }
        Ok(headers)
    }
}

/// `rate_limit`: a bucket of `burst` requests, filled again by one each `interval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RateLimit {
    #[serde(deserialize_with = "interval")]
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

/// A duration as Go writes it, such as `1m30s` or `0`; a bare number is nanoseconds, as it is to Go's YAML.
fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Interval(Duration);
    impl Named for Interval {
        fn by_name(text: &str) -> Result<Self, String> {
            let nanoseconds = text.parse().map(Duration::from_nanos).ok();
            let duration = nanoseconds.or_else(|| duration::parse(text)).map(Self);
            duration.ok_or_else(|| format!("{text:?} is no duration such as 500ms, 1s or 1m30s"))
        }
    }
    named::<D, Interval>(deserializer).map(|interval| interval.0)
}

/// Text that no log and no error shows.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl Secret {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What is no text is told by its kind alone.
        String::deserialize(deserializer).map(Self)
    }
}

/// `basic_auth_users`: names with the hashes of their passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Users(pub(super) BTreeMap<String, PasswordHash>);

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Users;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names with the bcrypt hashes of their passwords")
            }

            // The reader's own errors would quote what they found, which may be a password.
            fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Users, E> {
                Err(E::invalid_type(Unexpected::Other("text"), &self))
            }

            fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Users, E> {
                Err(E::invalid_type(Unexpected::Other("number"), &self))
            }

            fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Users, E> {
                self.visit_i64(0)
            }

            fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Users, E> {
                self.visit_i64(0)
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Users, M::Error> {
                let mut users = BTreeMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    let hash = map.next_value::<PasswordHash>()?;
                    if users.contains_key(&name) {
                        return Err(M::Error::custom(format!("user {name:?} stands here twice")));
                    }
                    users.insert(name, hash);
                }
                Ok(Users(users))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl Config {
    /// Reads the text of a file. An empty one asks for nothing: no TLS, no users.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, WebConfigError> {
        let parsed = serde_yaml_ng::from_str::<Option<Self>>(text).map_err(|error| {
            let line = error.location().map(|at| at.line()).filter(|line| *line > 0);
            let message = error.to_string();
            // The position stands in front already.
            let message = match message.rsplit_once(" at line ") {
                Some((head, tail)) if tail.starts_with(|c: char| c.is_ascii_digit()) => head.to_owned(),
                _ => message,
            };
            // A key may be of several lines.
            let message = message.replace(char::is_control, " ");
            WebConfigError::Form { path: path.to_owned(), line, message }
        })?;
        let mut config = parsed.unwrap_or_default();
        if let (Some(tls), Some(folder)) = (&mut config.tls_server_config, path.parent()) {
            for file in [&mut tls.cert_file, &mut tls.key_file, &mut tls.client_ca_file].into_iter().flatten() {
                if !file.as_os_str().is_empty() {
                    *file = folder.join(&*file);
                }
            }
        }
        Ok(config)
    }

    /// Whether connections are to speak TLS: whether any of the keys that only make sense then is set.
    pub(super) fn speaks_tls(&self) -> bool {
        self.tls_server_config.as_ref().is_some_and(Tls::is_enabled)
    }

    /// The files that it names beside itself.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let tls = self.tls_server_config.iter();
        let files = tls.flat_map(|tls| [&tls.cert_file, &tls.key_file, &tls.client_ca_file]);
        files.flatten().filter(|file| !file.as_os_str().is_empty())
    }
}

impl Tls {
    fn is_enabled(&self) -> bool {
        let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let is_named = |file: &Option<PathBuf>| file.as_ref().is_some_and(|file| !file.as_os_str().is_empty());
        is_set(&self.cert)
            || self.key.as_ref().is_some_and(|key| !key.expose().is_empty())
            || is_set(&self.client_ca)
            || is_named(&self.cert_file)
            || is_named(&self.key_file)
            || is_named(&self.client_ca_file)
            || self.client_auth_type.is_some_and(|kind| kind != ClientAuth::NoClientCert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, want: &str) {
        let said = Config::parse(Path::new("/etc/web.yml"), text).unwrap_err().to_string();
        assert_eq!(said.split_once(want).map(|(before, _)| before), Some(""), "{text}: {said}");
        assert!(!said.contains('\n') && !said.contains("topsecret"), "{said}");
    }

    #[test]
    fn mistakes_are_told_with_line_and_key() {
        for (text, want) in [
            ("a: 1", "/etc/web.yml:1: unknown field `a`, expected one of `tls_server_config`, "),
            ("rate_limit: {a\n\n  b: 1}", "/etc/web.yml:1: rate_limit: unknown field `a b`, expected "),
            (
                "tls_server_config:\n  cert_file: a\n  key_fil: b\n",
                "/etc/web.yml:3: tls_server_config: unknown field `key_fil`, expected one of `cert`, ",
            ),
            (
                "tls_server_config:\n  cert_file: a\n  min_version: TLS11\n",
                "/etc/web.yml:3: tls_server_config.min_version: TLS11: TLS 1.0 and 1.1 are broken",
            ),
            (
                "tls_server_config:\n  max_version: SSL3\n",
                "/etc/web.yml:2: tls_server_config.max_version: unknown TLS version \"SSL3\": use TLS12 or TLS13",
            ),
            (
                "tls_server_config:\n  cipher_suites:\n  - TLS_AES_128_GCM_SHA256\n  - TLS_NONE\n",
                "/etc/web.yml:4: tls_server_config.cipher_suites[1]: cipher suite \"TLS_NONE\" is unknown: use some of ",
            ),
            (
                "tls_server_config:\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]\n",
                "/etc/web.yml:2: tls_server_config.cipher_suites[0]: cipher suite \"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA\" \
                 is too weak to be offered here: use some of TLS_AES_128_GCM_SHA256, ",
            ),
            (
                "tls_server_config: {curve_preferences: [CurveP521]}",
                "/etc/web.yml:1: tls_server_config.curve_preferences[0]: curve \"CurveP521\" is not spoken here: use some",
            ),
            (
                "tls_server_config: {client_auth_type: Always}",
                "/etc/web.yml:1: tls_server_config.client_auth_type: unknown variant `Always`, expected one of ",
            ),
            ("tls_server_config: {key: [topsecret]}", "/etc/web.yml:1: tls_server_config.key: invalid type: sequence"),
            ("basic_auth_users: topsecret", "/etc/web.yml:1: basic_auth_users: invalid type: text, expected names"),
            ("basic_auth_users: 987654", "/etc/web.yml:1: basic_auth_users: invalid type: number, expected names"),
            (
                "basic_auth_users:\n  alice: topsecret\n",
                "/etc/web.yml:2: basic_auth_users.alice: not a bcrypt hash ($2y$10$…): htpasswd -nBC 10 USER makes one",
            ),
            (
                "basic_auth_users:\n  alice: {topsecret: 1}\n",
                "/etc/web.yml:2: basic_auth_users.alice: invalid type: map",
            ),
            ("http_server_config: {http2: maybe}", "/etc/web.yml:1: http_server_config.http2: invalid type: string"),
            (
                "rate_limit: {interval: often}",
                "/etc/web.yml:1: rate_limit.interval: \"often\" is no duration such as 500ms, 1s or 1m30s",
            ),
            ("rate_limit: {burst: -1}", "/etc/web.yml:1: rate_limit.burst: invalid type: integer `-1`"),
            ("[", "/etc/web.yml:1: invalid type: sequence, expected "),
        ] {
            refused(text, want);
        }
        let hash = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
        let twice = format!("basic_auth_users:\n  bob: {hash}\n  alice: {hash}\n  alice: {hash}\n");
        refused(&twice, "/etc/web.yml:");
    }

    #[test]
    fn what_is_empty_asks_for_nothing() {
        for text in ["", "#\n", "{}", "tls_server_config:\nbasic_auth_users:\nrate_limit:\n", "tls_server_config: {}"] {
            let config = Config::parse(Path::new("web.yml"), text).unwrap();
            assert!(!config.speaks_tls() && config.basic_auth_users.is_none_or(|users| users.0.is_empty()), "{text}");
        }
    }

    #[test]
    fn paths_are_beside_the_file() {
        let text = "tls_server_config: {cert_file: a.crt, key_file: /b.key, client_ca_file: ''}";
        let config = Config::parse(Path::new("/etc/web.yml"), text).unwrap();
        let files: Vec<_> = config.files().map(|file| file.to_str().unwrap()).collect();
        assert_eq!(files, ["/etc/a.crt", "/b.key"]);
    }

    #[test]
    fn durations_are_gos() {
        for (text, want) in
            [("1s", 1.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("250ms", 0.25), ("0", 0.0), ("1000", 1e-6)]
        {
            let rate: RateLimit = serde_yaml_ng::from_str(&format!("interval: {text}")).unwrap();
            assert_eq!(rate.interval.as_secs_f64(), want, "{text}");
        }
        let said = serde_yaml_ng::from_str::<RateLimit>("interval: 1d").unwrap_err().to_string();
        assert!(said.contains("\"1d\" is no duration such as 500ms"), "{said}");
    }

    #[test]
    fn headers_are_those_that_may_be_set() {
        let headers = |text: &str| serde_yaml_ng::from_str::<Http>(text).unwrap().headers();
        let good =
            "headers: {X-Frame-Options: sameorigin, Content-Security-Policy: default-src 'self', X-XSS-Protection: ''}";
        assert_eq!(headers(good).unwrap().len(), 2);
        for (text, want) in [
            ("headers: {Server: mine}", "\"Server\" cannot be set: use some of Content-Security-Policy"),
            ("headers: {X-Frame-Options: allow}", "X-Frame-Options: \"allow\" is not deny or sameorigin"),
            ("headers: {X-XSS-Protection: \"a\\nb\"}", "X-XSS-Protection: \"a\\nb\" holds a character"),
        ] {
            let said = headers(text).unwrap_err();
            assert!(said.starts_with(want), "{said}");
        }
    }
}
