//! `/proc/PID/stat` and `/proc/PID/status`, as a list of processes shows them.

use crate::scan::{self, Malformed};

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Details<'a> {
    /// The program's name, at most 15 bytes; any bytes.
    pub name: &'a [u8],
    /// The state's letter.
    pub state: char,
    /// The process that made it; 0 for none.
    pub parent: u64,
    /// Time in the program and in the kernel, ticks of 1/100 s.
    pub cpu_ticks: u64,
    /// When it began, ticks of 1/100 s since the machine started.
    pub start_ticks: u64,
    /// Address space, bytes.
    pub virtual_bytes: u64,
    /// Memory in use, pages.
    pub resident_pages: u64,
    /// The CPU that it last ran on; kernels since 2.2 tell it.
    pub cpu: Option<u64>,
}

/// Reads `/proc/PID/stat`. The name, which may hold anything, ends at the last parenthesis.
///
/// # Errors
/// When one of the fields is not there, or is no number.
pub fn parse(stat: &[u8]) -> Result<Details<'_>, Malformed> {
    details(stat).ok_or(Malformed { line: 1, reason: "expected a program's name, a state and twenty-two numbers" })
}

fn details(stat: &[u8]) -> Option<Details<'_>> {
    let begin = memchr::memchr(b'(', stat)?;
    let end = memchr::memrchr(b')', stat)?;
    let name = stat.get(begin + 1..end)?;
    let mut fields = scan::fields(stat.get(end + 1..)?);
    let [letter] = <[u8; 1]>::try_from(fields.next()?).ok()?;
    let parent = fields.next().and_then(scan::number)?;
    // The field after so many others.
    let mut after = |others: usize| fields.nth(others);
    let user = after(9).and_then(scan::number)?;
    let system = after(0).and_then(scan::number)?;
    let start_ticks = after(6).and_then(scan::number)?;
    let virtual_bytes = after(0).and_then(scan::number)?;
    // Some old kernels print a number below zero for it.
    let resident_pages = after(0).and_then(scan::signed).map(|pages| u64::try_from(pages).unwrap_or(0))?;
    let cpu = after(14).and_then(scan::number);
    let cpu_ticks = user.checked_add(system)?;
    let state = char::from(letter);
    let details = Details { name, state, parent, cpu_ticks, start_ticks, virtual_bytes, resident_pages, cpu };
    state.is_ascii_alphabetic().then_some(details)
}

/// The effective user's number, of `/proc/PID/status`.
pub fn user_of(status: &[u8]) -> Option<u64> {
    let ids = scan::lines(status).find_map(|(_, line)| line.strip_prefix(b"Uid:"))?;
    scan::fields(ids).nth(1).and_then(scan::number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "S 12 71 71 0 -1 4194560 1 2 3 4 500 60 7 8 20 0 12 0 3300 4096000 55 18446744073709551615 1 1 \
                        0 0 0 0 0 4096 0 0 0 0 17 3 0 0 0 0 0 0 0\n";

    #[test]
    fn any_name_of_a_program() {
        #[track_caller]
        fn check(name: &str) {
            let text = format!("71 ({name}) {REST}");
            let want = Details {
                name: name.as_bytes(),
                state: 'S',
                parent: 12,
                cpu_ticks: 560,
                start_ticks: 3300,
                virtual_bytes: 4_096_000,
                resident_pages: 55,
                cpu: Some(3),
            };
            assert_eq!(parse(text.as_bytes()).unwrap(), want, "{name}");
        }
        check("cron");
        check("a) R 1 (b");
        check("");
    }

    #[test]
    fn what_is_no_process_is_refused() {
        for text in
            ["", "71 (x", "71 (x) S", "71 (x) SS 12", "71 (x) S 12 71 71 0 -1 1 1 2 3 4 5 6 7 8 20 0 12 0 x 4 5"]
        {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn users() {
        assert_eq!(user_of(b"Name:\tcron\nUid:\t1000\t1001\t1002\t1003\nGid:\t0\n"), Some(1001));
        assert_eq!(user_of(b"Name:\tcron\nUid:\t1000\n"), None);
        assert_eq!(user_of(b""), None);
    }

    #[test]
    fn this_process() {
        let text = std::fs::read("/proc/self/stat").unwrap();
        let details = parse(&text).unwrap();
        assert_eq!(details.parent, u64::from(std::os::unix::process::parent_id()));
        assert!(details.resident_pages > 100 && details.virtual_bytes > details.resident_pages * 4096);
        let status = std::fs::read("/proc/self/status").unwrap();
        assert!(user_of(&status).is_some());
    }

    #[test]
    fn never_panics() {
        proptest::proptest!(|(bytes: Vec<u8>)| {
            let _ = (parse(&bytes), user_of(&bytes));
        });
    }
}
