//! The subject's alternative names in a certificate, as text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
/// Where RFC 5280 has the extensions among the fields of a certificate.
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.17
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// DNS names, e-mail and IP addresses, and URIs of a certificate in DER. Empty when it has none, or is none.
pub(super) fn alternative_names(certificate: &[u8]) -> Vec<String> {
    let names = || {
        let fields = inside(certificate, SEQUENCE).and_then(|all| inside(all, SEQUENCE))?;
        let extensions = elements(fields).find(|(tag, _)| *tag == EXTENSIONS)?.1;
        let extension = elements(inside(extensions, SEQUENCE)?).find_map(|(_, extension)| {
            let mut parts = elements(extension);
            let is_wanted = parts.next()? == (OBJECT_IDENTIFIER, SUBJECT_ALTERNATIVE_NAME);
            // Between the two may stand whether it is critical.
            is_wanted.then(|| parts.find(|(tag, _)| *tag == OCTET_STRING))?
        })?;
        Some(elements(inside(extension.1, SEQUENCE)?).filter_map(name).collect())
    };
    names().unwrap_or_default()
}

/// One name: its tag says of which kind it is.
fn name((tag, content): (u8, &[u8])) -> Option<String> {
    match tag {
        // rfc822Name, dNSName, uniformResourceIdentifier
        0x81 | 0x82 | 0x86 => String::from_utf8(content.to_vec()).ok(),
        // iPAddress
        0x87 => {
            let v4 = || <[u8; 4]>::try_from(content).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
            let v6 = |_| <[u8; 16]>::try_from(content).map(|bytes| Ipv6Addr::from(bytes).to_canonical());
            v4().or_else(v6).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

/// The content of the first element, if it has this tag.
fn inside(der: &[u8], tag: u8) -> Option<&[u8]> {
    elements(der).next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// Tag and content of one element after another, up to the first that is broken.
fn elements(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, rest) = der.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // The length's own length: three bytes are 16 MB, more than any certificate has.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        der = rest;
        Some((*tag, content))
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn finds_names_of_all_kinds() {
        let names = vec![
            SanType::DnsName("prometheus.example".try_into().unwrap()),
            SanType::Rfc822Name("me@example.org".try_into().unwrap()),
            SanType::URI("spiffe://example/scraper".try_into().unwrap()),
            SanType::IpAddress("127.0.0.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ];
        let want = ["prometheus.example", "me@example.org", "spiffe://example/scraper", "127.0.0.1", "2001:db8::1"];
        assert_eq!(alternative_names(&certificate(names)), want);
    }

    #[test]
    fn finds_many_names() {
        let name = |n: u32| SanType::DnsName(format!("host-{n}.example").try_into().unwrap());
        assert_eq!(alternative_names(&certificate((0..5000).map(name).collect())).len(), 5000);
    }

    #[test]
    fn survives_what_is_cut_or_changed() {
        assert!(alternative_names(&certificate(Vec::new())).is_empty());
        let whole = certificate(vec![SanType::DnsName("a.example".try_into().unwrap())]);
        for end in 0..whole.len() {
            assert!(alternative_names(&whole[..end]).is_empty());
        }
        for at in 0..whole.len() {
            for value in [0, 0x7f, 0x80, 0x83, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                assert!(alternative_names(&changed).len() <= 1);
            }
        }
    }
}
