//! `io.stat` of version 2 and the `blkio.*` files of version 1.

use crate::scan;

/// Major and minor number of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver's number.
    pub major: u32,
    /// The device's number there.
    pub minor: u32,
}

impl DeviceNumber {
    /// `259:0`
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (major, minor) = scan::cut(bytes, b':')?;
        let part = |digits| scan::number(digits).and_then(|n| u32::try_from(n).ok());
        Some(Self { major: part(major)?, minor: part(minor)? })
    }
}

/// One device of `io.stat`. Counts since the group was made; costs in microseconds, there only with the iocost
/// controller at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoStat {
    /// Which device.
    pub device: DeviceNumber,
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Bytes written.
    pub written_bytes: Option<u64>,
    /// Reads.
    pub reads: Option<u64>,
    /// Writes.
    pub writes: Option<u64>,
    /// Bytes discarded.
    pub discarded_bytes: Option<u64>,
    /// Device time used.
    pub cost_usage: Option<u64>,
    /// Time waited for budget.
    pub cost_wait: Option<u64>,
    /// Time in debt.
    pub cost_indebt: Option<u64>,
    /// Time delayed for debt.
    pub cost_indelay: Option<u64>,
}

/// The devices of `io.stat`. A device that the group never used may stand there without any figure, and with some
/// kernels in one line with the next, where it is left out.
pub fn io_stat(bytes: &[u8]) -> impl Iterator<Item = IoStat> {
    scan::lines(bytes).filter_map(|(_, line)| {
        let mut words = scan::fields(line);
        let device = DeviceNumber::parse(words.next()?)?;
        let mut stat = IoStat {
            device,
            read_bytes: None,
            written_bytes: None,
            reads: None,
            writes: None,
            discarded_bytes: None,
            cost_usage: None,
            cost_wait: None,
            cost_indebt: None,
            cost_indelay: None,
        };
        for word in words {
            let Some((key, value)) = scan::cut(word, b'=') else {
                // The figures are those of the device that stands right before them.
                stat.device = DeviceNumber::parse(word).unwrap_or(stat.device);
                continue;
            };
            let field = match key {
                b"rbytes" => &mut stat.read_bytes,
                b"wbytes" => &mut stat.written_bytes,
                b"rios" => &mut stat.reads,
                b"wios" => &mut stat.writes,
                b"dbytes" => &mut stat.discarded_bytes,
                b"cost.usage" => &mut stat.cost_usage,
                b"cost.wait" => &mut stat.cost_wait,
                b"cost.indebt" => &mut stat.cost_indebt,
                b"cost.indelay" => &mut stat.cost_indelay,
                _ => continue,
            };
            *field = scan::number(value);
        }
        Some(stat)
    })
}

/// One line of a `blkio.*` file: a device, an operation (`Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`;
/// empty where the file has none, as in `blkio.sectors`) and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlkioEntry<'a> {
    /// Which device.
    pub device: DeviceNumber,
    /// Which operation.
    pub operation: &'a str,
    /// Bytes, requests or nanoseconds, as the file's name says.
    pub value: u64,
}

/// The lines with a device; the total over all devices at the end has none.
pub fn blkio(bytes: &[u8]) -> impl Iterator<Item = BlkioEntry<'_>> {
    scan::lines(bytes).filter_map(|(_, line)| {
        let mut words = scan::fields(line);
        let device = DeviceNumber::parse(words.next()?)?;
        let second = words.next()?;
        Some(match words.next() {
            Some(third) => {
                BlkioEntry { device, operation: std::str::from_utf8(second).ok()?, value: scan::number(third)? }
            }
            None => BlkioEntry { device, operation: "", value: scan::number(second)? },
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_device(input: &str, want: Option<(u32, u32)>) {
        assert_eq!(DeviceNumber::parse(input.as_bytes()).map(|d| (d.major, d.minor)), want, "{input:?}");
    }

    #[test]
    fn devices() {
        check_device("259:0", Some((259, 0)));
        check_device("8:16", Some((8, 16)));
        check_device("8:", None);
        check_device(":8", None);
        check_device("8", None);
        check_device("4294967296:0", None);
        check_device("Total", None);
    }

    #[test]
    fn version_2() {
        let text = b"259:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7 cost.wait=8 cost.indebt=9 cost.indelay=10\n\
            253:1 rbytes=x wbytes=2\n7:0 \nnonsense\n";
        let all: Vec<_> = io_stat(text).collect();
        let [full, broken, unused] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(
            (full.read_bytes, full.written_bytes, full.reads, full.writes),
            (Some(1), Some(2), Some(3), Some(4))
        );
        assert_eq!((full.discarded_bytes, full.cost_usage, full.cost_wait), (Some(5), Some(7), Some(8)));
        assert_eq!((full.cost_indebt, full.cost_indelay), (Some(9), Some(10)));
        assert_eq!((broken.read_bytes, broken.written_bytes, broken.reads), (None, Some(2), None));
        assert_eq!((unused.device, unused.read_bytes), (DeviceNumber { major: 7, minor: 0 }, None));
    }

    /// Linux 5.15 to 5.18 end no line of a device without figures, so that the next one's follows on it.
    #[test]
    fn several_devices_in_a_line() {
        let all: Vec<_> = io_stat(b"7:1 7:0 253:1 rbytes=1 wios=4\n8:0 rbytes=2\n7:2 7:3 \n").collect();
        let told: Vec<_> = all.iter().map(|stat| (stat.device.major, stat.read_bytes, stat.writes)).collect();
        assert_eq!(told, [(253, Some(1), Some(4)), (8, Some(2), None), (7, None, None)]);
    }

    #[test]
    fn version_1() {
        let text = b"254:0 Read 0\n254:0 Write 8409088\n8:0 77\n254:0 Total\nTotal 8409088\n";
        let entry = |major, operation, value| BlkioEntry { device: DeviceNumber { major, minor: 0 }, operation, value };
        let want = [entry(254, "Read", 0), entry(254, "Write", 8_409_088), entry(8, "", 77)];
        assert_eq!(blkio(text).collect::<Vec<_>>(), want);
        assert_eq!(blkio(b"Total 0\n").count(), 0);
    }
}
