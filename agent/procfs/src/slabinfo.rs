//! `/proc/slabinfo`: the kernel's caches of objects. For root alone.

use crate::scan::{self, Lossy, Malformed};

/// A cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slab<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Objects in use.
    pub active_objects: u64,
    /// Objects that there is room for.
    pub objects: u64,
    /// Bytes of an object.
    pub object_size: u64,
    /// Objects in a slab.
    pub objects_per_slab: u64,
    /// Pages of a slab.
    pub pages_per_slab: u64,
}

/// Reads the file; lines are independent of each other.
///
/// # Errors
/// When it does not begin with a version 2, the only one whose columns are known.
pub fn parse(bytes: &[u8]) -> Result<Lossy<Vec<Slab<'_>>>, Malformed> {
    if !bytes.starts_with(b"slabinfo - version: 2.") {
        return Err(Malformed { line: 1, reason: "expected \"slabinfo - version: 2.\"" });
    }
    let mut out = Lossy::new(Vec::new());
    for (number, line) in scan::lines(bytes).skip(1).filter(|(_, line)| !line.starts_with(b"#")) {
        match slab(line) {
            Some(slab) => out.value.push(slab),
            None => out.skip(number, "expected a name and five numbers"),
        }
    }
    Ok(out)
}

fn slab(line: &[u8]) -> Option<Slab<'_>> {
    let mut fields = scan::fields(line);
    let name = scan::text(fields.next()?)?;
    let mut number = || fields.next().and_then(scan::number);
    Some(Slab {
        name,
        active_objects: number()?,
        objects: number()?,
        object_size: number()?,
        objects_per_slab: number()?,
        pages_per_slab: number()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: &str = "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> …\n";

    #[test]
    fn slabs_below_their_headings() {
        let text =
            format!("{HEADINGS}dentry 21 42 192 21 1 : tunables    0    0    0 : slabdata      2      2      0\n");
        let got = parse(text.as_bytes()).unwrap();
        let want = Slab {
            name: "dentry",
            active_objects: 21,
            objects: 42,
            object_size: 192,
            objects_per_slab: 21,
            pages_per_slab: 1,
        };
        assert_eq!((got.value.as_slice(), got.bad_lines), ([want].as_slice(), 0));
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let text = format!("{HEADINGS}a 1 2 3 4\nb 1 2 3 4 x\nc 1 2 3 4 5\n");
        let got = parse(text.as_bytes()).unwrap();
        assert_eq!((got.value.len(), got.bad_lines, got.first_bad.unwrap().line), (1, 2, 3));
    }

    #[test]
    fn another_version_is_refused() {
        assert!(parse(b"").is_err());
        assert!(parse(b"slabinfo - version: 3.0\na 1 2 3 4 5\n").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[HEADINGS.as_bytes(), &bytes].concat());
        }
    }
}
