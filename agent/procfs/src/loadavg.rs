//! `/proc/loadavg`.

use crate::scan::{self, Malformed};

/// The load averages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loadavg {
    /// Over 1, 5 and 15 minutes.
    pub averages: [f64; 3],
    /// Runnable tasks now; after a slash in the fourth field stands how many there are at all.
    pub runnable: Option<u64>,
    /// Tasks now.
    pub tasks: Option<u64>,
}

/// Reads the file.
///
/// # Errors
/// When one of the averages is missing.
pub fn parse(bytes: &[u8]) -> Result<Loadavg, Malformed> {
    let mut fields = scan::fields(bytes);
    let mut average =
        || fields.next().and_then(scan::fraction).ok_or(Malformed { line: 1, reason: "expected three load averages" });
    let averages = [average()?, average()?, average()?];
    let (runnable, tasks) = fields.next().and_then(|f| scan::cut(f, b'/')).unwrap_or_default();
    Ok(Loadavg { averages, runnable: scan::number(runnable), tasks: scan::number(tasks) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file() {
        let want = Loadavg { averages: [0.21, 0.37, 0.39], runnable: Some(1), tasks: Some(719) };
        assert_eq!(parse(b"0.21 0.37 0.39 1/719 19737\n"), Ok(want));
        let want = Loadavg { averages: [120.0, 3.5, 0.0], runnable: None, tasks: None };
        assert_eq!(parse(b"120 3.5 0.00"), Ok(want));
    }

    #[test]
    fn less_than_three_averages_are_an_error() {
        #[track_caller]
        fn check(input: &[u8]) {
            assert!(parse(input).is_err(), "{input:?}");
        }
        check(b"");
        check(b"0.1 0.2\n");
        check(b"0.1 0.2 x\n");
        check(b"nan nan nan");
        check(b"\xff 0.1 0.2");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
