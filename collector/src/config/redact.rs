//! The configuration as it may be shown: without its secrets.

use serde_yaml_ng::Value;

/// Keys whose value is a secret wherever they stand.
const SECRET_KEYS: &[&str] =
    &["password", "credentials", "bearer_token", "client_secret", "token", "key", "secrets", "secret_key"];

/// The text with every secret replaced by `<secret>`: those under a key that holds one, those of header values, and
/// those in URLs. Comments are not kept. A text that is no YAML gives nothing.
pub(super) fn without_secrets(text: &str) -> String {
    let Ok(mut value) = serde_yaml_ng::from_str::<Value>(text) else { return String::new() };
    blank(&mut value);
    match value {
        Value::Null => String::new(),
        value => serde_yaml_ng::to_string(&value).unwrap_or_default(),
    }
}

fn blank(value: &mut Value) {
    match value {
        Value::Mapping(mapping) => {
            for (key, value) in mapping.iter_mut() {
                match key.as_str() {
                    Some(key) if SECRET_KEYS.contains(&key) => hide(value),
                    Some("headers") => hide(value),
                    _ => blank(value),
                }
            }
        }
        Value::Sequence(items) => items.iter_mut().for_each(blank),
        Value::String(text) => {
            if let Some(clean) = without_url_secrets(text) {
                *text = clean;
            }
        }
        _ => {}
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Mapping(mapping) => mapping.iter_mut().for_each(|(_, value)| hide(value)),
        Value::Sequence(items) => items.iter_mut().for_each(hide),
        other => *other = Value::String("<secret>".to_owned()),
    }
}

/// The URL without its password and without the query parameters that carry one (InfluxDB's `p`, and tokens).
fn without_url_secrets(text: &str) -> Option<String> {
    let mut url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let mut changed = false;
    if url.password().is_some() {
        url.set_password(Some("xxxxx")).ok()?;
        changed = true;
    }
    let secret = |name: &str| matches!(name, "p" | "password" | "token" | "api_key" | "apikey");
    if url.query_pairs().any(|(name, _)| secret(&name)) {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| (name.to_string(), if secret(&name) { "xxxxx".to_owned() } else { value.to_string() }))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
        changed = true;
    }
    changed.then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn no_secret_is_shown() {
        let text = r#"
remote_write:
  - url: http://user:hunter2@x/api/v1/prom/write?db=prometheus&u=me&p=hunter2
    basic_auth: { username: me, password: hunter2 }
    headers: { X-Token: hunter2 }
  - url: http://y/write?api_key=hunter2
    authorization: { credentials: hunter2 }
    tls_config: { key: hunter2, key_file: /etc/key.pem }
influxdb_write: [{ url: http://z/, token: hunter2 }]
"#;
        let shown = without_secrets(text);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("username: me") && shown.contains("db=prometheus") && shown.contains("/etc/key.pem"));
        assert!(shown.contains("url: http://y/write?api_key=xxxxx"));
    }

    #[test]
    fn an_empty_text_stays_empty() {
        assert_eq!(without_secrets(""), "");
    }
}
