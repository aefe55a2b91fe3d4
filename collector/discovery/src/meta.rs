//! Names and values of `__meta_` labels.

use std::collections::BTreeMap;
use std::net::IpAddr;

use collector_model::Labels;

use crate::ADDRESS;

/// Labels in the making: of two with one name the later counts, and an empty value is none.
pub(crate) type Pairs = Vec<(String, String)>;

/// Somebody else's labels, each under the prefix. Every character that a label name cannot have becomes `_`.
pub(crate) fn foreign<'a>(
    prefix: &'a str,
    labels: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (String, String)> {
    labels.iter().map(move |(name, value)| {
        let name = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        (prefix.chars().chain(name).collect(), value.clone())
    })
}

/// A target: an address, and what is known of it in the order of precedence, the weakest first.
pub(crate) fn target(host: &str, port: u32, known: &[&[(String, String)]]) -> Labels {
    let known = known.iter().flat_map(|pairs| pairs.iter().cloned());
    Labels::from_pairs(known.chain([(ADDRESS.to_owned(), host_port(host, port))]))
}

/// `host:port`, with an IPv6 address in brackets.
pub(crate) fn host_port(host: &str, port: u32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The address in `10.0.0.5/24`. Nothing where the text is not of this kind.
pub(crate) fn address_of(cidr: &str) -> Option<String> {
    let (address, length) = cidr.split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    (length <= if address.is_ipv4() { 32 } else { 128 }).then(|| address.to_string())
}

/// Compares targets with `address{labels}`, in any order of the labels, without their prefix.
#[cfg(test)]
#[track_caller]
pub(crate) fn check(targets: &[Labels], prefix: &str, want: &[String]) {
    let plain = |text: &str| {
        let (address, labels) = text.split_once('{').unwrap();
        let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').map(str::trim).collect();
        labels.sort_unstable();
        format!("{address}{{{}}}", labels.join(", "))
    };
    let got = targets.iter().map(|target| {
        let mut others = target.to_builder();
        others.remove(ADDRESS);
        plain(&format!("{}{}", target.get(ADDRESS).unwrap(), others.build()).replace(prefix, ""))
    });
    assert_eq!(got.collect::<Vec<_>>(), want.iter().map(|text| plain(text)).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_with_the_length_of_their_network() {
        for (cidr, want) in [
            ("10.0.0.5/24", Some("10.0.0.5")),
            ("FD00:0::5/64", Some("fd00::5")),
            ("10.0.0.5", None),
            ("10.0.0.5/33", None),
            ("<nil>", None),
            ("", None),
        ] {
            assert_eq!(address_of(cidr).as_deref(), want, "{cidr}");
        }
    }

    #[test]
    fn foreign_names_become_label_names() {
        for (name, want) in [
            ("com.docker.stack.namespace", "p_com_docker_stack_namespace"),
            ("prometheus-job", "p_prometheus_job"),
            ("a/b c:d", "p_a_b_c_d"),
            ("größe", "p_gr__e"),
            ("", "p_"),
        ] {
            let labels = BTreeMap::from([(name.to_owned(), "v".to_owned())]);
            assert_eq!(foreign("p_", &labels).collect::<Vec<_>>(), [(want.to_owned(), "v".to_owned())]);
        }
    }

    #[test]
    fn addresses_of_the_sixth_version_are_in_brackets() {
        assert_eq!(host_port("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(host_port("fd00::1", 80), "[fd00::1]:80");
        assert_eq!(host_port("", 80), ":80");
    }

    #[test]
    fn the_stronger_label_wins() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let target = target("h", 1, &[&[pair("a", "weak"), pair("b", "")], &[pair("a", "strong")]]);
        assert_eq!(target.to_string(), r#"{__address__="h:1", a="strong"}"#);
    }
}
