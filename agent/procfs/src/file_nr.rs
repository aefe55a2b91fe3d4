//! `/proc/sys/fs/file-nr`: open file handles of the whole system.

use crate::scan::{self, Malformed};

/// The file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileNr {
    /// Handles that are allocated.
    pub allocated: u64,
    /// The limit.
    pub maximum: u64,
}

/// Reads the file: three numbers, of which the middle one has been 0 since 2.6.
///
/// # Errors
/// When they are not three numbers.
pub fn parse(bytes: &[u8]) -> Result<FileNr, Malformed> {
    let numbers: Option<Vec<u64>> = scan::fields(bytes).map(scan::number).collect();
    match numbers.as_deref() {
        Some(&[allocated, _, maximum]) => Ok(FileNr { allocated, maximum }),
        _ => Err(Malformed { line: 1, reason: "expected three numbers" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers() {
        assert_eq!(parse(b"1024\t0\t1631329\n"), Ok(FileNr { allocated: 1024, maximum: 1_631_329 }));
        assert_eq!(parse(b"1\t0\t9223372036854775807\n").unwrap().maximum, i64::MAX as u64);
    }

    #[test]
    fn anything_else_is_an_error() {
        for input in [b"".as_slice(), b"1 2", b"1 2 x", b"1 2 3 4", b"\xff"] {
            assert!(parse(input).is_err(), "{input:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
