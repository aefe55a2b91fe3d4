//! What the file of `--web.config.file` writes as one word: versions of TLS, cipher suites and curves by Go's names, and
//! the hashes of passwords.

use std::fmt;
use std::marker::PhantomData;

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite, kx_group};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::password::PasswordHash;

/// What is written as one word. The reader knows where the word stands, and says so when it is wrong.
pub(super) trait Named: Sized {
    fn by_name(name: &str) -> Result<Self, String>;
}

/// Reads such a word.
pub(super) fn named<'de, D: Deserializer<'de>, T: Named>(deserializer: D) -> Result<T, D::Error> {
    struct Word<T>(PhantomData<T>);
    impl<T: Named> Visitor<'_> for Word<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a word")
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<T, E> {
            T::by_name(name).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Word(PhantomData))
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named(deserializer)
    }
}

impl<'de> Deserialize<'de> for Cipher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named(deserializer)
    }
}

impl<'de> Deserialize<'de> for Curve {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named(deserializer)
    }
}

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named(deserializer)
    }
}

impl Named for PasswordHash {
    fn by_name(text: &str) -> Result<Self, String> {
        // What it is instead may be the password itself.
        let how = "not a bcrypt hash ($2y$10$…): htpasswd -nBC 10 USER makes one";
        Self::parse(text).ok_or_else(|| how.to_owned())
    }
}

/// A version of TLS that can be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

impl Named for Version {
    fn by_name(name: &str) -> Result<Self, String> {
        match name {
            "TLS12" => Ok(Self::Tls12),
            "TLS13" => Ok(Self::Tls13),
            "TLS10" | "TLS11" => {
                Err(format!("{name}: TLS 1.0 and 1.1 are broken and not spoken here: use TLS12 or TLS13"))
            }
            _ => Err(format!("unknown TLS version {name:?}: use TLS12 or TLS13")),
        }
    }
}

/// A cipher suite by Go's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cipher(pub(super) SupportedCipherSuite);

const CIPHERS: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", cipher_suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", cipher_suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

impl Named for Cipher {
    fn by_name(name: &str) -> Result<Self, String> {
        if let Some((_, suite)) = CIPHERS.iter().find(|(known, _)| *known == name) {
            return Ok(Self(*suite));
        }
        // The others that Go has: without forward secrecy, or in CBC mode.
        let weak = name.starts_with("TLS_RSA_WITH_") || (name.starts_with("TLS_ECDHE_") && name.contains("_CBC_"));
        let names: Vec<_> = CIPHERS.iter().map(|(known, _)| *known).collect();
        let (what, names) = (if weak { "too weak to be offered here" } else { "unknown" }, names.join(", "));
        Err(format!("cipher suite {name:?} is {what}: use some of {names}"))
    }
}

/// A curve by Go's name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Curve(pub(super) &'static dyn SupportedKxGroup);

impl Named for Curve {
    fn by_name(name: &str) -> Result<Self, String> {
        match name {
            "X25519" => Ok(Self(kx_group::X25519)),
            "CurveP256" => Ok(Self(kx_group::SECP256R1)),
            "CurveP384" => Ok(Self(kx_group::SECP384R1)),
            "CurveP521" | "X25519MLKEM768" => {
                Err(format!("curve {name:?} is not spoken here: use some of X25519, CurveP256, CurveP384"))
            }
            _ => Err(format!("unknown curve {name:?}: use some of X25519, CurveP256, CurveP384")),
        }
    }
}
