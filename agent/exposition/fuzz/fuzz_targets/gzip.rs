//! Any bytes, in pieces of any size, come out of gzip as they went in; one page after another with the same memory.
#![no_main]

use std::io::Read;

use agent_exposition::Gzip;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u16, u8, &[u8])| {
    let (size, times, piece) = input;
    // Long enough to fill the window and several blocks.
    let page = piece.repeat(usize::from(times) + 1);
    let mut gzip = Gzip::default();
    for size in [usize::from(size) + 1, page.len().max(1)] {
        let mut out = Vec::new();
        gzip.compress(&mut out, |take| page.chunks(size).for_each(|part| take(part)));
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&*out).read_to_end(&mut back).expect("gzip");
        assert!(back == page);
    }
});
