//! `/proc/PID/mountinfo`: what is mounted where.

use std::borrow::Cow;

use crate::scan::{self, Lossy};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Number of this mount.
    pub id: u64,
    /// Number of the mount it is mounted on.
    pub parent: u64,
    /// Device number, before the colon.
    pub major: u32,
    /// Device number, after the colon.
    pub minor: u32,
    /// Which directory of the file system is mounted, unescaped.
    pub root: Cow<'a, [u8]>,
    /// Where, unescaped. Not always UTF-8.
    pub mount_point: Cow<'a, [u8]>,
    /// Options of the mount, between commas.
    pub options: &'a [u8],
    /// Such as `ext4`.
    pub fs_type: &'a [u8],
    /// Such as `/dev/sda1`, escaped as the kernel prints it.
    pub source: &'a [u8],
    /// Options of the file system itself, between commas.
    pub super_options: &'a [u8],
}

impl Mount<'_> {
    /// Whether nothing can be written: the mount or the file system is read-only, or was made so after an error.
    pub fn is_read_only(&self) -> bool {
        let has = |options: &[u8], wanted: &[u8]| options.split(|b| *b == b',').any(|o| o == wanted);
        has(self.options, b"ro") || has(self.super_options, b"ro") || has(self.super_options, b"emergency_ro")
    }
}

/// Reads the file; lines are independent of each other. An empty file is an empty list.
pub fn parse(bytes: &[u8]) -> Lossy<Vec<Mount<'_>>> {
    Lossy::of_lines(bytes, "expected the ten fields of a mount", mount)
}

fn mount(line: &[u8]) -> Option<Mount<'_>> {
    let mut fields = scan::fields(line);
    let id = fields.next().and_then(scan::number)?;
    let parent = fields.next().and_then(scan::number)?;
    let (major, minor) = fields.next().and_then(|f| scan::cut(f, b':'))?;
    let root = fields.next()?;
    let mount_point = fields.next()?;
    let options = fields.next()?;
    // Optional fields such as `shared:1`, ended by a lone hyphen.
    fields.by_ref().find(|f| *f == b"-")?;
    let fs_type = fields.next()?;
    // A source may be empty in the kernel, which leaves a blank that is no field: then what follows are the options.
    let source = fields.next()?;
    let (source, super_options) = match fields.next() {
        Some(options) => (source, options),
        None => (b"".as_slice(), source),
    };
    Some(Mount {
        id,
        parent,
        major: u32::try_from(scan::number(major)?).ok()?,
        minor: u32::try_from(scan::number(minor)?).ok()?,
        root: unescape(root),
        mount_point: unescape(mount_point),
        options,
        fs_type,
        source,
        super_options,
    })
}

/// Undoes the kernel's `\ooo`: blanks, tabs, line feeds, backslashes and number signs are printed as three octal
/// digits.
pub fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', field).is_none() {
        return Cow::Borrowed(field);
    }
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'\\').then(|| after.get(..3).and_then(octal)).flatten();
        out.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    Cow::Owned(out)
}

fn octal(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|d| *d < 8)?;
        sum.checked_mul(8)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn one(line: &str) -> Mount<'_> {
        let mut got = parse(line.as_bytes());
        assert_eq!((got.value.len(), got.bad_lines), (1, 0), "{line}");
        got.value.remove(0)
    }

    #[test]
    fn a_mount_with_and_without_optional_fields() {
        let plain = one("29 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw,errors=remount-ro");
        assert_eq!((plain.id, plain.parent, plain.major, plain.minor), (29, 1, 8, 1));
        assert_eq!((plain.fs_type, plain.source), (b"ext4".as_slice(), b"/dev/sda1".as_slice()));
        assert!(!plain.is_read_only());
        let shared = one("36 29 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw");
        assert_eq!(&*shared.mount_point, b"/mnt2");
        assert_eq!(&*shared.root, b"/mnt1");
    }

    #[test]
    fn read_only_is_an_option_not_a_part_of_one() {
        #[track_caller]
        fn check(options: &str, super_options: &str, want: bool) {
            let line = format!("29 1 8:1 / / {options} - ext4 /dev/sda1 {super_options}");
            assert_eq!(one(&line).is_read_only(), want, "{line}");
        }
        check("ro,relatime", "rw", true);
        check("rw", "rw,ro", true);
        check("rw", "rw,emergency_ro", true);
        check("rw,rootcontext=x", "rw,errors=remount-ro", false);
    }

    #[test]
    fn escapes_are_undone() {
        #[track_caller]
        fn check(escaped: &str, want: &[u8]) {
            assert_eq!(&*unescape(escaped.as_bytes()), want);
        }
        check("/a\\040b", b"/a b");
        check("/a\\011b\\012c\\134d\\043", b"/a\tb\nc\\d#");
        check("/a\\04", b"/a\\04");
        check("/a\\9990", b"/a\\9990");
        check("\\", b"\\");
    }

    #[test]
    fn an_empty_source_leaves_the_options() {
        let got = one("40 29 0:35 / /x rw -  tmpfs  rw,size=4k");
        assert_eq!(
            (got.fs_type, got.source, got.super_options),
            (b"tmpfs".as_slice(), b"".as_slice(), b"rw,size=4k".as_slice())
        );
    }

    #[test]
    fn a_bad_line_costs_itself() {
        let got = parse(
            b"29 1 8:1 / / rw - ext4 /dev/sda1 rw\n29 1 8 / / rw - ext4 a rw\nshort\n30 1 8:1 / /b rw ext4 a rw\n",
        );
        assert_eq!((got.value.len(), got.bad_lines, got.first_bad.unwrap().line), (1, 3, 2));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = unescape(&bytes);
        }
    }
}
