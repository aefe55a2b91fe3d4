//! `/proc/PID/stat` and `/proc/PID/task/TID/stat`: one task.

use crate::scan::{self, Malformed};

/// What a task does, and how many there are beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PidStat {
    /// The state's letter, such as `R` (runs), `S` (sleeps), `D` (sleeps and cannot be woken) or `Z` (zombie).
    pub state: char,
    /// How many threads the process has.
    pub threads: u64,
}

/// Reads the file. The name of the program, which may hold anything, ends at the last parenthesis.
///
/// # Errors
/// When there is no state, or no number of threads.
pub fn parse(bytes: &[u8]) -> Result<PidStat, Malformed> {
    let malformed = Malformed { line: 1, reason: "expected a program's name, a state and the number of threads" };
    let after = memchr::memrchr(b')', bytes).and_then(|end| bytes.get(end + 1..));
    let task = |after: &[u8]| {
        let mut fields = scan::fields(after);
        let state = fields.next().and_then(|field| <[u8; 1]>::try_from(field).ok())?;
        let [letter] = state;
        let threads = fields.nth(THREADS_AFTER_STATE).and_then(scan::number)?;
        letter.is_ascii_alphabetic().then_some(PidStat { state: char::from(letter), threads })
    };
    after.and_then(task).ok_or(malformed)
}

/// Fields between the state (the third) and the number of threads (the twentieth).
const THREADS_AFTER_STATE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_program() {
        #[track_caller]
        fn check(name: &str) {
            let text = format!(
                "71 ({name}) S 1 71 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 12 0 33 4096 1 18446744073709551615\n"
            );
            assert_eq!(parse(text.as_bytes()).unwrap(), PidStat { state: 'S', threads: 12 }, "{name}");
        }
        check("cron");
        check("Web Content");
        check("a) R 1 (b");
        check("");
        check("\u{fffd}\n");
    }

    #[test]
    fn what_is_no_task_is_refused() {
        #[track_caller]
        fn check(text: &str) {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        check("");
        check("71 cron S 1 71");
        check("71 (cron) S 1 71 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0");
        check("71 (cron) SS 1 71 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 12");
        check("71 (cron) 1 1 71 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 12");
        check("71 (cron) S 1 71 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 many");
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
