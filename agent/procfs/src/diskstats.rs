//! `/proc/diskstats`: what each block device has done.

use crate::scan::{self, Lossy};

/// How many columns of numbers follow the name since kernel 5.5: 11 at first, 15 since 4.18 (discards), 17 (flushes).
pub const COLUMNS: usize = 17;

/// One device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk<'a> {
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Such as `sda`.
    pub name: &'a str,
    numbers: [u64; COLUMNS],
    given: usize,
}

impl Disk<'_> {
    /// The columns after the name, as many as this kernel prints: reads, reads merged, sectors of 512 bytes read,
    /// milliseconds reading; the same four for writes; requests in flight, milliseconds with any in flight,
    /// milliseconds weighted by their number; the four for discards; flushes and milliseconds flushing.
    pub fn columns(&self) -> &[u64] {
        self.numbers.get(..self.given).unwrap_or_default()
    }
}

/// Reads the file; lines are independent of each other. A machine without disks has an empty one.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Disk<'_>>> {
    Lossy::of_lines(bytes, "expected two device numbers, a name and at least 11 numbers", disk)
}

fn disk(line: &[u8]) -> Option<Disk<'_>> {
    let mut fields = scan::fields(line);
    let mut device_number = || fields.next().and_then(scan::number).and_then(|n| u32::try_from(n).ok());
    let (major, minor) = (device_number()?, device_number()?);
    let name = fields.next().and_then(scan::text)?;
    let mut disk = Disk { major, minor, name, numbers: [0; COLUMNS], given: 0 };
    for (slot, field) in disk.numbers.iter_mut().zip(fields) {
        *slot = scan::number(field)?;
        disk.given += 1;
    }
    (disk.given >= 11).then_some(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_generations_of_kernels() {
        #[track_caller]
        fn check(numbers: usize) {
            let line =
                format!("   8       0 sda {}\n", (1..=numbers).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
            let got = parse(line.as_bytes());
            let disk = got.value[0];
            assert_eq!((disk.major, disk.minor, disk.name), (8, 0, "sda"));
            assert_eq!(disk.columns().len(), numbers.min(COLUMNS));
            assert_eq!(disk.columns()[10], 11);
        }
        check(11);
        check(15);
        check(17);
        check(21);
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(
            b"8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 1 sda1 1 2 3 4\n8 x sdb 1 2 3 4 5 6 7 8 9 10 11\n\
              8 16 sdb 1 2 3 4 5 6 7 8 9 10 -1\n8 32 \xff 1 2 3 4 5 6 7 8 9 10 11\n8 48 sdd 1 2 3 4 5 6 7 8 9 10 11\n",
        );
        assert_eq!(got.value.iter().map(|d| d.name).collect::<Vec<_>>(), ["sda", "sdd"]);
        assert_eq!((got.bad_lines, got.first_bad.unwrap().line), (4, 2));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
