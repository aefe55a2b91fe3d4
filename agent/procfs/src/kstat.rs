//! The statistics of ZFS below `/proc/spl/kstat/zfs`, which come as a list of named values or as a table of one row.

use crate::scan::{self, Lossy, Malformed};

/// A value of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number.
    Number(f64),
    /// A text.
    Text(&'a str),
}

/// Reads a list: after two lines of headings, a name, the number of a type and a value on each line. Names are in the
/// kernel's spelling.
pub fn list(bytes: &[u8]) -> Lossy<Vec<(&str, Value<'_>)>> {
    let mut out = Lossy::new(Vec::new());
    for (number, line) in scan::lines(bytes).skip(2) {
        match named_value(line) {
            Some(value) => out.value.push(value),
            None => out.skip(number, "expected a name, a type and a value"),
        }
    }
    out
}

fn named_value(line: &[u8]) -> Option<(&str, Value<'_>)> {
    let (name, rest) = scan::cut(line, b' ')?;
    let (kind, value) = scan::cut(rest.trim_ascii_start(), b' ')?;
    let value = value.trim_ascii();
    let value = match kind {
        // Signed and unsigned numbers of 32 and 64 bits, and of the machine's size.
        b"1" | b"2" | b"3" | b"4" | b"5" | b"6" => {
            let unsigned = scan::number(value).map(|n| n as f64);
            Value::Number(unsigned.or_else(|| scan::signed(value).map(|n| n as f64))?)
        }
        // A text may have spaces in it.
        b"7" => Value::Text(scan::text(value)?),
        _ => return None,
    };
    Some((scan::text(name).filter(|name| name.bytes().all(|b| b.is_ascii_graphic()))?, value))
}

/// Reads a table: after a line of headings, a line of names and one of numbers.
///
/// # Errors
/// When there is not a number for each name.
pub fn table(bytes: &[u8]) -> Result<Vec<(&str, u64)>, Malformed> {
    let mut lines = scan::lines(bytes).skip(1);
    let malformed = |line, reason| Malformed { line, reason };
    let (_, names) = lines.next().ok_or(malformed(2, "expected names"))?;
    let (line, numbers) = lines.next().ok_or(malformed(3, "expected numbers"))?;
    let names: Option<Vec<&str>> =
        scan::fields(names).map(|name| Some(name).filter(|name| scan::is_word(name)).and_then(scan::text)).collect();
    let names = names.ok_or(malformed(2, "expected names"))?;
    let numbers: Option<Vec<u64>> = scan::fields(numbers).map(scan::number).collect();
    match numbers.filter(|numbers| numbers.len() == names.len()) {
        Some(numbers) => Ok(names.into_iter().zip(numbers).collect()),
        None => Err(malformed(line, "expected a number for each name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_numbers_and_texts() {
        let got = list(
            b"6 1 0x01 91 4368 5266997922 97951858082072\nname                            type data\n\
              hits                            4    8772612\nmemory_available_bytes          3    -9\n\
              dataset_name                    7    tank/my data\nerpt-dropped                    4    18446744073709551615\n",
        );
        let want = [
            ("hits", Value::Number(8_772_612.0)),
            ("memory_available_bytes", Value::Number(-9.0)),
            ("dataset_name", Value::Text("tank/my data")),
            ("erpt-dropped", Value::Number(u64::MAX as f64)),
        ];
        assert_eq!((got.value.as_slice(), got.bad_lines), (want.as_slice(), 0));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = list(b"h\nname type data\na 4\nb 9 1\nc 4 x\nd 4 1\n\xff 4 1\n");
        assert_eq!((got.value, got.bad_lines), (vec![("d", Value::Number(1.0))], 4));
        assert_eq!(list(b"").value, []);
    }

    #[test]
    fn tables_have_one_row() {
        let got = table(b"12 3 0x00 1 80 79 39\nnread    nwritten reads\n1884160  3206144  22\n").unwrap();
        assert_eq!(got, [("nread", 1_884_160), ("nwritten", 3_206_144), ("reads", 22)]);
        for bad in [&b""[..], b"h\n", b"h\na b\n1\n", b"h\na b\n1 x\n", b"h\na-b\n1\n"] {
            assert!(table(bad).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = (list(&bytes), table(&bytes));
        }
    }
}
