//! Discovery by the domain name system: what configurations are refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use self::support::parse;

const KEY: &str = "dns_sd_configs";

#[test]
fn refusals_say_what_is_wrong() {
    for (keys, said) in [
        ("type: A", "names is missing"),
        ("names: []", "names is missing"),
        ("names: [a], type: PTR", "type \"PTR\" is none of SRV, A, AAAA, MX and NS"),
        ("names: [a], type: a", "records of type A need a port beside them"),
        ("names: [a], type: MX, port: 0", "records of type MX need a port beside them"),
        ("names: ['']", "\"\" is not a domain name"),
        ("names: ['a..b']", "\"a..b\" is not a domain name"),
        ("names: [a], refresh_interval: 0s", "refresh_interval must be greater than zero"),
        ("names: [a], host: b", "unknown field `host`"),
    ] {
        let error = parse(KEY, &format!("[{{{keys}}}]")).expect_err(keys);
        assert!(error.contains(said) && error.lines().count() == 1, "{keys}: {error:?} lacks {said:?}");
    }
    for keys in
        ["names: [_http._tcp.example.]", "names: [tasks.web_app], type: a, port: 80", "names: [x], type: MX, port: 25"]
    {
        assert_eq!(parse(KEY, &format!("[{{{keys}}}]")).unwrap().len(), 1, "{keys}");
    }
}
