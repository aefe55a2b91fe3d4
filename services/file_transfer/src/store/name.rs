//! Which names a file may have: one component of a path, nothing else, on any system that it may be downloaded to.

use percent_encoding::percent_decode;

/// The longest name that Linux's file systems take, in bytes.
const LONGEST: usize = 255;

/// Names that Windows gives to devices, in any case of letters and with any extension.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];
/// The same, followed by a digit.
const NUMBERED_DEVICES: [&str; 2] = ["COM", "LPT"];

/// The name of a file in the folder. Whoever holds one holds a single component of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct Name(String);

/// Why something is no name for a file here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing at all.
    #[error("the file name is empty")]
    Empty,
    /// Longer than the file system takes.
    #[error("the file name is {0} bytes long, and {LONGEST} are the most")]
    Long(usize),
    /// Bytes that are no text.
    #[error("the file name is not UTF-8")]
    Encoding,
    /// NUL, a line's end and the like.
    #[error("the file name holds a control character")]
    Control,
    /// A path.
    #[error("the file name holds a slash or a backslash: a name is wanted, not a path")]
    Path,
    /// `.` and `..`.
    #[error("the file name is that of a folder")]
    Folder,
    /// Names with a dot in front are the service's own.
    #[error("the file name begins with a dot: such names are kept for the service")]
    Hidden,
    /// Stripped by some systems, so that another file would be meant.
    #[error("the file name begins with a space, or ends with a space or a dot")]
    Edge,
    /// One that makes a name look like another.
    #[error("the file name holds an invisible character that changes how it reads")]
    Invisible,
    /// `CON`, `COM1.txt`: a download under this name ends in a device on some systems.
    #[error("the file name is that of a device on some systems")]
    Device,
    /// Something of the above in percent-encoding, for a decoder further on.
    #[error("the file name hides a slash, a backslash, dots or a control character behind percent-encoding")]
    Encoded,
}

impl Name {
    /// Takes a name as the peer sent it.
    ///
    /// # Errors
    /// It is not one; the first reason is told.
    pub fn parse(bytes: &[u8]) -> Result<Self, NameError> {
        if bytes.is_empty() {
            return Err(NameError::Empty);
        }
        if bytes.len() > LONGEST {
            return Err(NameError::Long(bytes.len()));
        }
        let name = std::str::from_utf8(bytes).map_err(|_| NameError::Encoding)?;
        let first_wrong = [
            (NameError::Control, name.contains(char::is_control)),
            (NameError::Path, name.contains(['/', '\\'])),
            (NameError::Folder, matches!(name, "." | "..")),
            (NameError::Encoded, hides_something(bytes)),
            (NameError::Hidden, name.starts_with('.')),
            (NameError::Edge, name.starts_with(char::is_whitespace) || name.ends_with('.')),
            (NameError::Edge, name.ends_with(char::is_whitespace)),
            (NameError::Invisible, name.contains(is_invisible)),
            (NameError::Device, is_device(name)),
        ];
        match first_wrong.into_iter().find(|(_, wrong)| *wrong) {
            Some((reason, _)) => Err(reason),
            None => Ok(Self(name.to_owned())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Marks that turn the direction of writing (`cod.exe` for `exe.doc`), line separators, and blanks of no width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}' | '\u{200E}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let mut letters = stem.chars();
    let digit = letters.next_back();
    DEVICES.contains(&stem.as_str())
        || (NUMBERED_DEVICES.contains(&letters.as_str())
            && digit.is_some_and(|d| matches!(d, '0'..='9' | '¹' | '²' | '³')))
}

/// Decodes as often as something changes; every round makes it shorter.
fn hides_something(name: &[u8]) -> bool {
    let mut decoded: Vec<u8> = name.to_vec();
    loop {
        let next: Vec<u8> = percent_decode(&decoded).collect();
        if next == decoded {
            return false;
        }
        if next.iter().any(|b| b.is_ascii_control() || matches!(b, b'/' | b'\\')) || matches!(&*next, b"." | b"..") {
            return true;
        }
        decoded = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn good(name: &str) {
        assert_eq!(Name::parse(name.as_bytes()).map(|name| name.to_string()), Ok(name.to_owned()));
    }

    #[track_caller]
    fn bad(name: impl AsRef<[u8]>, want: NameError) {
        let name = name.as_ref();
        assert_eq!(Name::parse(name), Err(want), "{}", String::from_utf8_lossy(name));
    }

    #[test]
    fn plain_names_are_taken_as_they_are() {
        good("a");
        good("report.tar.gz");
        good("relatório final (2).pdf");
        good("名前.txt");
        good("🗼.png");
        good("--help");
        good("a..b");
        good("12:30.log");
        good("100%.txt");
        good("100%25.txt");
        good("a%20b%22c");
        good("50%zz");
        good("~root");
        good("console.txt");
        good("com.txt");
        good("COM10");
        good("*");
        good(&"x".repeat(255));
        good(&"é".repeat(127));
    }

    #[test]
    fn what_is_no_plain_name_is_refused_with_its_reason() {
        bad("", NameError::Empty);
        bad("x".repeat(256), NameError::Long(256));
        bad("é".repeat(150), NameError::Long(300));
        bad(b"caf\xe9.txt", NameError::Encoding);
        bad(b"\xc0\xafetc", NameError::Encoding);
        bad("a\0b", NameError::Control);
        bad("a\nb", NameError::Control);
        bad("a\u{7f}", NameError::Control);
        bad("a\u{85}b", NameError::Control);
        bad("/etc/passwd", NameError::Path);
        bad("../../etc/passwd", NameError::Path);
        bad("a/b", NameError::Path);
        bad("a/", NameError::Path);
        bad("..\\..\\boot.ini", NameError::Path);
        bad("C:\\boot.ini", NameError::Path);
        bad(".", NameError::Folder);
        bad("..", NameError::Folder);
        bad("...", NameError::Hidden);
        bad(".uploads", NameError::Hidden);
        bad(".bashrc", NameError::Hidden);
        bad("a.", NameError::Edge);
        bad("a ", NameError::Edge);
        bad(" a", NameError::Edge);
        bad("a\u{a0}", NameError::Edge);
        bad("doc\u{202e}txt.exe", NameError::Invisible);
        bad("a\u{feff}", NameError::Invisible);
        bad("CON", NameError::Device);
        bad("nul.txt", NameError::Device);
        bad("com1", NameError::Device);
        bad("Lpt9.tar.gz", NameError::Device);
        bad("COM².x", NameError::Device);
        bad("aux .txt", NameError::Device);
        bad("..%2fetc%2fpasswd", NameError::Encoded);
        bad("%2e%2e", NameError::Encoded);
        bad("%252e%252e%252fx", NameError::Encoded);
        bad("a%5Cb", NameError::Encoded);
        bad("a%00.txt", NameError::Encoded);
    }

    proptest::proptest! {
        #[test]
        fn a_name_is_always_one_component(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            if let Ok(name) = Name::parse(&bytes) {
                let mut components = std::path::Path::new(name.as_str()).components();
                proptest::prop_assert_eq!(components.next(), Some(std::path::Component::Normal(name.as_str().as_ref())));
                proptest::prop_assert_eq!(components.next(), None);
            }
        }
    }
}
