//! Any text as the headers by which a scraper chooses a representation.
#![no_main]

use agent_exposition::{Coding, Format, Representation, negotiate, negotiate_coding, negotiate_text};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let format = negotiate_text(Some(text));
    if let Representation::Text(chosen) = negotiate(Some(text)) {
        assert_eq!(chosen, format);
    }
    let offers = [Coding::Identity, Coding::Gzip, Coding::Zstd];
    assert!(offers.contains(&negotiate_coding(Some(text), &offers)));
    assert_ne!(negotiate_coding(Some(text), &offers[..2]), Coding::Zstd);
    let _ = Format::from_content_type(text);
});
