//! Compression of pages into gzip (RFC 1952, RFC 1951).
//!
//! A page is lines that begin like others did, so it takes little to find what repeats: one look for each place that
//! was not part of a repeat, and long comparisons. A library that is made for anything looks at each byte several
//! times.

mod block;
mod huffman;
mod repeats;

use self::block::Block;
use self::repeats::Repeats;

/// Compresses one page after another with the same memory, some 130 KiB.
#[derive(Debug, Default)]
pub struct Gzip {
    repeats: Repeats,
    block: Block,
    checksum: crc32fast::Hasher,
    /// Of the page so far; the format keeps it modulo 2^32.
    length: u32,
}

/// Compressed by the method "deflate", without a name, a time or an operating system, with the fastest algorithm.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff];

impl Gzip {
    /// Compresses what `write` gives to the function that it is given, in parts of any size, and adds it to `out`.
    pub fn compress(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut dyn FnMut(&[u8]))) {
        out.extend(HEADER);
        self.repeats.begin();
        self.block.begin();
        self.checksum.reset();
        self.length = 0;
        write(&mut |part| self.add(part, out));
        self.block.end(out);
        out.extend(self.checksum.clone().finalize().to_le_bytes());
        out.extend(self.length.to_le_bytes());
    }

    fn add(&mut self, part: &[u8], out: &mut Vec<u8>) {
        self.checksum.update(part);
        // Modulo 2^32 on purpose: see `length`.
        self.length = self.length.wrapping_add(part.len() as u32);
        let block = &mut self.block;
        self.repeats.find(part, &mut |token| block.push(token, out));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn compressed(gzip: &mut Gzip, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        gzip.compress(&mut out, |take| parts.iter().for_each(|part| take(part)));
        out
    }

    /// By another's decoder, which checks length and checksum too.
    #[track_caller]
    fn check(gzip: &mut Gzip, parts: &[&[u8]]) -> usize {
        let out = compressed(gzip, parts);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&*out).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == parts.concat(), "{} bytes came back as {}", parts.concat().len(), unpacked.len());
        out.len()
    }

    fn page(lines: u32) -> Vec<u8> {
        let line = |at: u32| {
            let id = at % 20;
            format!(
                "container_memory_{}_bytes{{id=\"/docker/{:032x}\",image=\"demo:{}\"}} {}\n",
                at / 20,
                u128::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
                id % 3,
                at.wrapping_mul(2_654_435_761) % 1_000_000
            )
        };
        (0..lines).map(line).collect::<String>().into_bytes()
    }

    /// Bytes without any order.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let mut gzip = Gzip::default();
        let whole = page(20_000);
        check(&mut gzip, &[]);
        check(&mut gzip, &[b""]);
        check(&mut gzip, &[b"a"]);
        check(&mut gzip, &[b"# TYPE up gauge\nup 1\n"]);
        check(&mut gzip, &[&whole]);
        check(&mut gzip, &whole.chunks(1).take(3_000).collect::<Vec<_>>());
        check(&mut gzip, &whole.chunks(4_097).collect::<Vec<_>>());
        check(&mut gzip, &[&noise(200_000)]);
        check(&mut gzip, &[&[0; 300_000]]);
        check(&mut gzip, &[&noise(1_000), &[1; 70_000], &noise(40_000), &noise(1_000)]);
    }

    #[test]
    fn a_page_does_not_depend_on_the_one_before() {
        let (mut gzip, page, other) = (Gzip::default(), page(500), noise(5_000));
        let first = compressed(&mut gzip, &[&page]);
        compressed(&mut gzip, &[&other]);
        assert!(compressed(&mut gzip, &[&page]) == first);
    }

    #[test]
    fn pages_become_small_and_noise_hardly_grows() {
        let mut gzip = Gzip::default();
        let whole = page(20_000);
        let size = check(&mut gzip, &[&whole]);
        assert!(size * 9 < whole.len(), "{} bytes became {size}", whole.len());
        let whole = noise(100_000);
        let size = check(&mut gzip, &[&whole]);
        assert!(size < whole.len() + whole.len() / 100, "{} bytes became {size}", whole.len());
    }

    proptest! {
        #[test]
        fn anything_comes_back(parts in prop::collection::vec(prop::collection::vec(0_u8..4, 0..2_000), 0..40)) {
            let parts: Vec<_> = parts.iter().map(Vec::as_slice).collect();
            check(&mut Gzip::default(), &parts);
        }
    }
}
