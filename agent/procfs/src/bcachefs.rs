//! Files below `/sys/fs/bcachefs/UUID`.

use crate::scan;

/// A number, or one that the kernel has shortened for people with a unit of 1024: `542k`, `1.50T`. The fraction that it
/// has cut off is lost.
pub fn amount(field: &[u8]) -> Option<f64> {
    let field = field.trim_ascii();
    let power = |unit: u8| b"kmgtpe".iter().position(|known| *known == unit.to_ascii_lowercase());
    let (number, power) = match field.split_last().and_then(|(unit, number)| Some((number, power(*unit)?))) {
        Some((number, power)) => (number, i32::try_from(power).ok()? + 1),
        None => (field, 0),
    };
    scan::fraction(number.trim_ascii()).map(|number| (number * 1024_f64.powi(power)).trunc())
}

/// A counter's value since the file system was made, from `counters/NAME`.
pub fn counter(bytes: &[u8]) -> Option<f64> {
    scan::lines(bytes).find_map(|(_, line)| amount(line.strip_prefix(b"since filesystem creation:")?))
}

/// Names and the two amounts after them, from `compression_stats` and `btree_write_stats`, which have a heading each.
/// Lines of other things are left out.
pub fn table(bytes: &[u8]) -> impl Iterator<Item = (&str, [f64; 2])> {
    let heading_end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    scan::lines(bytes.get(heading_end..).unwrap_or_default()).filter_map(|(_, line)| {
        let mut fields = scan::fields(line);
        let name = fields.next()?;
        let name = scan::text(name.strip_suffix(b":").unwrap_or(name))?;
        Some((name, [fields.next().and_then(amount)?, fields.next().and_then(amount)?]))
    })
}

/// Names and counts, from `errors`. Lines of other things are left out.
pub fn errors(bytes: &[u8]) -> impl Iterator<Item = (&str, u64)> {
    scan::lines(bytes).filter_map(|(_, line)| {
        let mut fields = scan::fields(line);
        Some((fields.next().and_then(scan::text)?, fields.next().and_then(scan::number)?))
    })
}

/// Operation (`read` or `write`), kind of data and bytes, from `dev-N/io_done`. Lines of other things are left out.
pub fn io_done(bytes: &[u8]) -> impl Iterator<Item = (&str, &str, u64)> {
    let mut operation = None;
    scan::lines(bytes).filter_map(move |(_, line)| {
        if let b"read:" | b"write:" = line {
            operation = line.strip_suffix(b":").and_then(scan::text);
            return None;
        }
        let (kind, value) = named_count(line)?;
        Some((operation?, kind, value))
    })
}

/// Kinds of errors and their counts since the file system was made, from `dev-N/io_errors`, which has those since the
/// last reset below.
pub fn io_errors(bytes: &[u8]) -> impl Iterator<Item = (&str, u64)> {
    let lines = scan::lines(bytes).map(|(_, line)| line);
    let lines = lines.skip_while(|line| !line.starts_with(b"IO errors since filesystem creation")).skip(1);
    lines.take_while(|line| !line.starts_with(b"IO errors since")).filter_map(named_count)
}

fn named_count(line: &[u8]) -> Option<(&str, u64)> {
    let (name, value) = scan::cut(line, b':')?;
    Some((scan::text(name.trim_ascii())?, scan::number(value.trim_ascii())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_for_people() {
        #[track_caller]
        fn check(text: &str, want: Option<f64>) {
            assert_eq!(amount(text.as_bytes()), want, "{text}");
        }
        check("405", Some(405.0));
        check(" 542k", Some(555_008.0));
        check("1.5G", Some(1_610_612_736.0));
        check("19.3G", Some(20_723_217_203.0));
        check("G", None);
        check("1.5X", None);
        check("", None);
    }

    #[test]
    fn counters_since_the_beginning() {
        assert_eq!(counter(b"since mount:   12345\nsince filesystem creation:     67890\n"), Some(67_890.0));
        assert_eq!(counter(b"since mount: 1\n"), None);
    }

    #[test]
    fn tables_with_a_heading() {
        let text = b"  nr  size\ninitial:   19088  108k\ncache_reclaim: 542 16.0k\nbad: x 1\n";
        let got: Vec<_> = table(text).collect();
        assert_eq!(got, [("initial", [19_088.0, 110_592.0]), ("cache_reclaim", [542.0, 16_384.0])]);
        assert_eq!(table(b"heading").count(), 0);
    }

    #[test]
    fn errors_and_what_was_done() {
        assert_eq!(errors(b"checksum_err 100 987\nbad\n").collect::<Vec<_>>(), [("checksum_err", 100)]);
        let text = b"lost : 1\nread:\nsb   :  13312\nwrite:\njournal : 7\nbad : x\n";
        assert_eq!(io_done(text).collect::<Vec<_>>(), [("read", "sb", 13_312), ("write", "journal", 7)]);
        let text =
            b"IO errors since filesystem creation\n  read:    19\n  checksum:1\nIO errors since 8 y ago\n  read:  7\n";
        assert_eq!(io_errors(text).collect::<Vec<_>>(), [("read", 19), ("checksum", 1)]);
        assert_eq!(io_errors(b"read: 1\n").count(), 0);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = (amount(&bytes), counter(&bytes), table(&bytes).count(), errors(&bytes).count());
            let _ = (io_done(&bytes).count(), io_errors(&bytes).count());
        }
    }
}
