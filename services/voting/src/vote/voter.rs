//! Who votes: the cookies that a browser keeps.

use std::fmt;
use std::fmt::Write as _;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

use crate::options::Choice;

/// A year in seconds: whoever comes back is the same voter.
const AGE_SECONDS: u32 = 365 * 24 * 60 * 60;
/// The longest identity that is taken from a browser, in hexadecimal digits.
const ID_DIGITS: usize = 64;

/// An identity: 1 to 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterId(String);

impl VoterId {
    /// A new one of 128 random bits.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })))
    }

    fn read(text: &str) -> Option<Self> {
        let right = (1..=ID_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        right.then(|| Self(text.to_owned()))
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VoterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a request says it comes from. What is no identity counts as none.
#[must_use]
pub fn id(headers: &HeaderMap) -> Option<VoterId> {
    cookies(headers, "voter_id").find_map(VoterId::read)
}

/// What the browser's voter chose last, as far as the browser knows.
#[must_use]
pub fn last_choice(headers: &HeaderMap) -> Option<Choice> {
    cookies(headers, "voted").find_map(Choice::read)
}

/// The value of `Set-Cookie` that keeps an identity.
#[must_use]
pub fn keep_id(id: &VoterId) -> String {
    keep("voter_id", id.as_str())
}

/// The value of `Set-Cookie` that keeps a choice.
#[must_use]
pub fn keep_choice(choice: Choice) -> String {
    keep("voted", choice.as_str())
}

fn keep(name: &str, value: &str) -> String {
    format!("{name}={value}; Path=/; Max-Age={AGE_SECONDS}; HttpOnly; SameSite=Lax")
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(';'));
    let named = pairs.filter_map(|pair| pair.split_once('=')).filter(move |(key, _)| key.trim() == name);
    named.map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], want: Option<&str>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, line.parse().unwrap());
        }
        assert_eq!(id(&headers).as_ref().map(VoterId::as_str), want, "{lines:?}");
    }

    #[test]
    fn an_identity_is_hexadecimal_and_short() {
        check(&[], None);
        check(&["voter_id=1f"], Some("1f"));
        check(&["theme=dark; voter_id=ABC0 ; x"], Some("ABC0"));
        check(&["a=b", "voter_id=7"], Some("7"));
        check(&["voter_id="], None);
        check(&["voter_id=xyz"], None);
        check(&["voter_id=\"1f\""], None);
        check(&["voter_id=1f' OR 1"], None);
        check(&["xvoter_id=1f"], None);
        check(&[&format!("voter_id={}", "a".repeat(64))], Some(&"a".repeat(64)));
        check(&[&format!("voter_id={}", "a".repeat(65))], None);
        // Another one that fits goes before one that does not.
        check(&["voter_id=xyz; voter_id=1f"], Some("1f"));
    }

    #[test]
    fn a_new_identity_is_one_and_not_the_last_one() {
        let (one, other) = (VoterId::random().unwrap(), VoterId::random().unwrap());
        assert_eq!(VoterId::read(one.as_str()), Some(one.clone()));
        assert_eq!(one.as_str().len(), 32);
        assert_ne!(one, other);
    }

    #[test]
    fn a_cookie_is_for_this_site_and_not_for_scripts() {
        let id = VoterId::read("1f").unwrap();
        assert_eq!(keep_id(&id), "voter_id=1f; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax");
    }
}
