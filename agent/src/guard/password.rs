//! bcrypt: hashes as they are written, and whether a password has one.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// As Go reads them: bits that a last letter has too many are nobody's concern.
const LETTERS: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// What bcrypt looks at; the rest of a longer password does not count, here as elsewhere.
const MOST_BYTES: usize = 72;

/// A password's hash, as `$2y$10$` with 22 letters of salt and 31 of hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PasswordHash {
    cost: u8,
    salt: [u8; 16],
    hash: [u8; 23],
}

impl PasswordHash {
    /// Reads one; `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("$2")?;
        // What the letter stands for was mended long ago; all are computed alike.
        let rest = rest.strip_prefix(['a', 'b', 'x', 'y']).unwrap_or(rest).strip_prefix('$')?;
        let (cost, letters) = rest.split_once('$')?;
        let cost = cost.parse().ok().filter(|_| cost.len() == 2)?;
        let (salt, hash) = letters.split_at_checked(22)?;
        let salt = LETTERS.decode(salt).ok()?.try_into().ok()?;
        let hash = LETTERS.decode(hash).ok()?.try_into().ok()?;
        (4..=31).contains(&cost).then_some(Self { cost, salt, hash })
    }

    /// The hash that nobody's password has, as dear to compare with as this one.
    pub(super) fn of_nobody(self) -> Self {
        Self { salt: [0; 16], ..self }
    }

    /// How dear it is to compare with: each step doubles it.
    pub(super) fn cost(self) -> u8 {
        self.cost
    }

    /// All of it, to tell it from others.
    pub(super) fn bytes(self) -> impl Iterator<Item = u8> {
        std::iter::once(self.cost).chain(self.salt).chain(self.hash)
    }

    /// Whether a password has this hash. Takes as long as the cost says (10: 50 to 100 ms), and as long for a wrong
    /// password as for the right one.
    pub(super) fn is_of(self, password: &[u8]) -> bool {
        // bcrypt takes the end of the text as part of it.
        let text: Vec<u8> = password.iter().copied().chain([0]).take(MOST_BYTES).collect();
        let computed = bcrypt::bcrypt(u32::from(self.cost), self.salt, &text);
        let differences = computed.iter().zip(self.hash).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(differences) == 0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Apache's htpasswd and by PHP.
    const HASHES: &[(&str, &str)] = &[
        ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
        ("abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"),
        ("fakepassword", "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"),
    ];

    #[test]
    fn knows_the_password_of_a_hash() {
        for (password, hash) in HASHES {
            let hash = PasswordHash::parse(hash).unwrap();
            assert!(hash.is_of(password.as_bytes()), "{password}");
            assert!(!hash.is_of(b"another"), "{password}");
            assert!(!hash.of_nobody().is_of(password.as_bytes()), "{password}");
        }
    }

    #[test]
    fn looks_at_72_bytes() {
        let of_cost_4 = PasswordHash::parse(&HASHES[0].1.replace("$06$", "$04$")).unwrap();
        let made = bcrypt::bcrypt(4, of_cost_4.salt, &[b'x'; 72]);
        let hash = PasswordHash { hash: made[..23].try_into().unwrap(), ..of_cost_4 };
        assert!(hash.is_of(&[b'x'; 72]) && hash.is_of(&[b'x'; 200]) && !hash.is_of(&[b'x'; 71]));
    }

    #[test]
    fn refuses_what_is_no_hash() {
        let whole = HASHES[1].1;
        for bad in [
            "",
            "secret",
            "$1$abc$def",
            &whole[..59],
            &format!("{whole}x"),
            &whole.replace("$06$", "$03$"),
            &whole.replace("$06$", "$32$"),
            &whole.replace("$06$", "$6$"),
            &whole.replace("$2a$", "$3a$"),
            &whole.replace("If6b", "If6é"),
            &whole.replace("If6b", "If6="),
        ] {
            assert!(PasswordHash::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn does_not_show() {
        assert_eq!(format!("{:?}", PasswordHash::parse(HASHES[1].1)), "Some(<secret>)");
    }
}
