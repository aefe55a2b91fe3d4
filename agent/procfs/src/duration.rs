//! Lengths of time as Go writes them. No kernel file has one, but every crate of the agent that reads flags,
//! parameters or configuration files does, and this is the one below all of them.

use std::time::Duration;

/// What Go's `time.ParseDuration` makes of a text, and so what node_exporter and cAdvisor take in flags, parameters and
/// the web configuration: `0`, or numbers with units, such as `5s`, `1.5s` or `1m30s`. `None` for anything else, and
/// for what is below nothing.
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_end)?;
        let unit = match unit {
            "ns" => 1e-9,
            // Both signs for a millionth that Unicode has.
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        #[track_caller]
        fn check(text: &str, want: Option<f64>) {
            assert_eq!(parse(text).map(|duration| duration.as_secs_f64()), want, "{text}");
        }
        check("0", Some(0.0));
        check("5s", Some(5.0));
        check("500ms", Some(0.5));
        check("250us", Some(0.000_25));
        check("1m30s", Some(90.0));
        check("1.5s", Some(1.5));
        check("1.5h", Some(5400.0));
        for text in ["", "5", "s", "5 s", "-5s", "5d", "1s2", ".", ".s", "1x", "1e9s", "99999999999999999999999h"] {
            check(text, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            let _ = parse(&text);
        }
    }
}
