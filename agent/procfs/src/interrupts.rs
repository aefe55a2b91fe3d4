//! `/proc/interrupts` and `/proc/softirqs`: a column per CPU, a row per source of interrupts.

use std::ops::Range;

use crate::scan::{self, Lossy, Malformed};

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interrupts<'a> {
    /// The numbers of the CPUs, in the order of the columns.
    pub cpus: Vec<u32>,
    /// The sources, as listed.
    pub sources: Vec<Source<'a>>,
    counts: Vec<u64>,
}

/// A source of interrupts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// Its number (`24`), or a name (`NMI`, `NET_RX`).
    pub name: &'a str,
    /// What stands behind the counts: a controller and devices, or a sentence; nothing in `/proc/softirqs`.
    pub description: &'a str,
    counts: Range<usize>,
}

impl Interrupts<'_> {
    /// How many interrupts of that source each CPU has served, in the order of [`cpus`](Self::cpus).
    pub fn counts(&self, source: &Source) -> &[u64] {
        self.counts.get(source.counts.clone()).unwrap_or_default()
    }
}

/// Reads the file; rows are independent of each other. A row with fewer counts than there are CPUs (`ERR`, `MIS`) is
/// a sum of another kind and passed over.
///
/// # Errors
/// When the first line does not name CPUs.
pub fn parse(bytes: &[u8]) -> Result<Lossy<Interrupts<'_>>, Malformed> {
    let mut lines = scan::lines(bytes);
    let cpu = |field: &[u8]| field.strip_prefix(b"CPU").and_then(scan::number).and_then(|n| u32::try_from(n).ok());
    let cpus: Option<Vec<u32>> = lines.next().and_then(|(_, line)| scan::fields(line).map(cpu).collect());
    let Some(cpus) = cpus else { return Err(Malformed { line: 1, reason: "expected a heading for each CPU" }) };
    let mut out = Lossy::new(Interrupts { cpus, ..Interrupts::default() });
    for (number, line) in lines {
        if out.value.take(line).is_none() {
            out.skip(number, "expected a name, a colon and counts");
        }
    }
    Ok(out)
}

impl<'a> Interrupts<'a> {
    fn take(&mut self, line: &'a [u8]) -> Option<()> {
        let (name, mut rest) = scan::cut(line, b':')?;
        let name = scan::text(name).filter(|name| !name.is_empty())?;
        let begin = self.counts.len();
        for _ in 0..self.cpus.len() {
            let (count, after) = word(rest);
            let Some(count) = scan::number(count) else {
                self.counts.truncate(begin);
                // Sums end with the line; anything else in the place of a count is no row.
                return count.is_empty().then_some(());
            };
            self.counts.push(count);
            rest = after;
        }
        let Some(description) = scan::text(rest.trim_ascii()) else {
            self.counts.truncate(begin);
            return None;
        };
        self.sources.push(Source { name, description, counts: begin..self.counts.len() });
        Some(())
    }
}

/// The first word, and what stands behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (&'a str, &'a [u64], &'a str);

    #[track_caller]
    fn check(text: &str, cpus: &[u32], rows: &[Row], bad_lines: usize) {
        let got = parse(text.as_bytes()).unwrap();
        let table = &got.value;
        let shown: Vec<_> = table.sources.iter().map(|s| (s.name, table.counts(s), s.description)).collect();
        assert_eq!((table.cpus.as_slice(), shown.as_slice(), got.bad_lines), (cpus, rows, bad_lines));
    }

    #[test]
    fn numbers_names_and_sums() {
        check(
            "           CPU0       CPU2\n  0:         36          0   IO-APIC    2-edge      timer\n\
             NMI:          5          6   Non-maskable interrupts\nERR:          7\nMIS:          0\n",
            &[0, 2],
            &[("0", &[36, 0], "IO-APIC    2-edge      timer"), ("NMI", &[5, 6], "Non-maskable interrupts")],
            0,
        );
    }

    #[test]
    fn software_interrupts_have_no_description() {
        let want: [Row; 2] = [("HI", &[1, 2], ""), ("NET_RX", &[3, 4], "")];
        check("  CPU0 CPU1\n  HI: 1 2\n  NET_RX: 3 4\n", &[0, 1], &want, 0);
    }

    #[test]
    fn no_blank_between_name_and_count() {
        check("  CPU0\nIPI0:12 Rescheduling\n", &[0], &[("IPI0", &[12], "Rescheduling")], 0);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        check("CPU0 CPU1\n1: 2 x y\nno colon\n: 1 2\n3: 4 5 z\n", &[0, 1], &[("3", &[4, 5], "z")], 3);
    }

    #[test]
    fn without_a_heading_there_is_nothing_to_count_by() {
        assert!(parse(b"").is_err());
        assert!(parse(b"0: 1 2\n").is_err());
        assert!(parse(b"CPU0 CPU99999999999\n").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[b"CPU0 CPU1\n".as_slice(), &bytes].concat());
        }
    }
}
