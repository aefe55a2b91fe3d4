//! What the user types.

use tokio::sync::mpsc::Sender;

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Letter(char),
    Up,
    Down,
    Enter,
    Escape,
    Backspace,
    /// Ctrl-C, or the end of the input.
    Quit,
    /// Ctrl-Z.
    Suspend,
}

/// Reads keys until nobody wants them.
pub fn read(to: &Sender<Key>) {
    let mut buffer = [0; 64];
    loop {
        let keys = match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
            Ok(0) => vec![Key::Quit],
            Ok(length) => keys(buffer.get(..length).unwrap_or_default()),
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => vec![Key::Quit],
        };
        for key in keys {
            if to.blocking_send(key).is_err() {
                return;
            }
        }
    }
}

/// What came at once. An escape sequence comes whole; an escape by itself is the key.
fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let [first, rest @ ..] = bytes {
        let (key, rest) = match (first, rest) {
            (0x1b, [b'[' | b'O', letter, rest @ ..]) if letter.is_ascii_uppercase() => {
                let key = match letter {
                    b'A' => Some(Key::Up),
                    b'B' => Some(Key::Down),
                    _ => None,
                };
                (key, rest)
            }
            // Other keys' sequences end with a letter or a tilde.
            (0x1b, [b'[', rest @ ..]) => {
                let end = rest.iter().position(|byte| byte.is_ascii_alphabetic() || *byte == b'~');
                (None, end.and_then(|end| rest.get(end + 1..)).unwrap_or_default())
            }
            (0x1b, rest) => (Some(Key::Escape), rest),
            (3, rest) => (Some(Key::Quit), rest),
            (26, rest) => (Some(Key::Suspend), rest),
            (b'\r' | b'\n', rest) => (Some(Key::Enter), rest),
            (8 | 127, rest) => (Some(Key::Backspace), rest),
            (byte @ b' '..=b'~', rest) => (Some(Key::Letter(char::from(*byte))), rest),
            (_, rest) => (None, rest),
        };
        keys.extend(key);
        bytes = rest;
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], want: &[Key]) {
        assert_eq!(keys(bytes), want, "{bytes:?}");
    }

    #[test]
    fn bytes_become_keys() {
        check(b"", &[]);
        check(b"qm", &[Key::Letter('q'), Key::Letter('m')]);
        check(b"\x1b[A\x1bOB", &[Key::Up, Key::Down]);
        check(b"\x1b[3~x\x1b[1;5Cy", &[Key::Letter('x'), Key::Letter('y')]);
        check(b"\x1b", &[Key::Escape]);
        check(b"\x1b[", &[]);
        check(b"\r\x7f\x03\x1a", &[Key::Enter, Key::Backspace, Key::Quit, Key::Suspend]);
        check("é\0".as_bytes(), &[]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_keys_or_nothing(bytes: Vec<u8>) {
            assert!(keys(&bytes).len() <= bytes.len());
        }
    }
}
