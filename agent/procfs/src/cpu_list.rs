//! Lists of CPUs such as `0-3,8`, as in `/sys/devices/system/cpu/online` and `cpuset.cpus`.

use crate::scan::{self, Malformed};

/// More CPUs than any kernel can have (`NR_CPUS` is at most 8192 today): a longer range is nonsense, and must not
/// become a list of four thousand million entries.
const MOST: u64 = 1 << 16;

/// Reads the list. An empty file is an empty list.
///
/// # Errors
/// When it is not numbers and ranges between commas.
pub fn parse(bytes: &[u8]) -> Result<Vec<u32>, Malformed> {
    let bytes = bytes.trim_ascii();
    let mut cpus = Vec::new();
    if bytes.is_empty() {
        return Ok(cpus);
    }
    for part in bytes.split(|b| *b == b',') {
        let (first, last) = scan::cut(part, b'-').unwrap_or((part, part));
        let end = |field: &[u8]| scan::number(field).filter(|n| *n < MOST).and_then(|n| u32::try_from(n).ok());
        let (Some(first), Some(last)) = (end(first), end(last)) else {
            return Err(Malformed { line: 1, reason: "expected CPU numbers and ranges between commas" });
        };
        cpus.extend(first..=last);
        if cpus.len() as u64 > MOST {
            return Err(Malformed { line: 1, reason: "expected a list of at most 65536 CPUs" });
        }
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges() {
        #[track_caller]
        fn check(input: &str, want: &[u32]) {
            assert_eq!(parse(input.as_bytes()).as_deref(), Ok(want), "{input}");
        }
        check("0\n", &[0]);
        check("0-3,8\n", &[0, 1, 2, 3, 8]);
        check("\n", &[]);
        check("", &[]);
        check("3-2", &[]);
    }

    #[test]
    fn nonsense_is_an_error() {
        for input in ["x", "0-", "0,,1", "0-4294967295", "0 1", "-1", "0-65535,0-65535"] {
            assert!(parse(input.as_bytes()).is_err(), "{input}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
