//! Bytes as Python writes them, `b'…'`: plain ASCII on one line, whatever a peer sends.

use std::fmt::Write as _;

/// The bytes without the white space at their end, as `bytes.rstrip` has it.
#[must_use]
pub fn strip_end(bytes: &[u8]) -> &[u8] {
    // Python counts the vertical tab, which `u8::is_ascii_whitespace` does not.
    let white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c');
    let kept = bytes.iter().rposition(|byte| !white(byte)).map_or(0, |last| last + 1);
    bytes.get(..kept).unwrap_or_default()
}

/// Appends what `repr(bytes)` gives: in single quotes unless the bytes hold one and no double quote; what is not
/// printable ASCII as an escape. At most four characters a byte, and three.
pub fn write_repr(bytes: &[u8], to: &mut String) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    to.reserve(bytes.len() + 3);
    to.push('b');
    to.push(quote);
    for &byte in bytes {
        match byte {
            b'\t' => to.push_str("\\t"),
            b'\n' => to.push_str("\\n"),
            b'\r' => to.push_str("\\r"),
            b'\\' => to.push_str("\\\\"),
            _ if char::from(byte) == quote => to.extend(['\\', quote]),
            b' '..=b'~' => to.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(to, "\\x{byte:02x}")),
        }
    }
    to.push(quote);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], want: &str) {
        let mut got = String::new();
        write_repr(bytes, &mut got);
        assert_eq!(got, want, "{bytes:?}");
    }

    #[test]
    fn quotes_and_escapes() {
        check(b"", "b''");
        check(b"[CLIENT 1] Message number 1 sent", "b'[CLIENT 1] Message number 1 sent'");
        check(b"it's", r#"b"it's""#);
        check(br#"say "it's""#, r#"b'say "it\'s"'"#);
        check(br#"say "hi""#, r#"b'say "hi"'"#);
        check(b"a\\b\tc\rd\ne", r"b'a\\b\tc\rd\ne'");
        check(b"\x00\x1f\x7f\x80\xff ~", r"b'\x00\x1f\x7f\x80\xff ~'");
        check("ñ".as_bytes(), r"b'\xc3\xb1'");
    }

    #[test]
    fn only_white_space_at_the_end_goes() {
        for (bytes, want) in [
            (&b" a b \t\n\r\x0b\x0c"[..], &b" a b"[..]),
            (b"", b""),
            (b" \n", b""),
            (b"a\x00", b"a\x00"),
            (b"a\x1c", b"a\x1c"),
            (b"a\xa0", b"a\xa0"),
        ] {
            assert_eq!(strip_end(bytes), want);
        }
    }

    /// Reads an escaped text back, by rules of its own.
    fn read(text: &str) -> Option<Vec<u8>> {
        let body = text.strip_prefix('b')?;
        let quote = body.chars().next()?;
        let body = body.strip_prefix(quote)?.strip_suffix(quote)?;
        let mut bytes = Vec::new();
        let mut rest = body.chars();
        while let Some(character) = rest.next() {
            bytes.push(match character {
                '\\' => match rest.next()? {
                    't' => 9,
                    'n' => 10,
                    'r' => 13,
                    'x' => u8::try_from(rest.next()?.to_digit(16)? * 16 + rest.next()?.to_digit(16)?).ok()?,
                    other @ ('\\' | '\'') => u8::try_from(other).ok()?,
                    _ => return None,
                },
                other if other == quote => return None,
                other => u8::try_from(other).ok()?,
            });
        }
        Some(bytes)
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_and_stay_on_one_line(bytes: Vec<u8>) {
            let mut text = String::new();
            write_repr(&bytes, &mut text);
            prop_assert!(text.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{text:?}");
            prop_assert!(text.len() <= 4 * bytes.len() + 3);
            prop_assert_eq!(read(&text), Some(bytes));
        }
    }
}
