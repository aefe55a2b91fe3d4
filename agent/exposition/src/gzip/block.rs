//! Tokens as bits, in blocks that each have codes of their own (RFC 1951, 3.2.7).

use super::huffman::{Codes, LONGEST_CODE};
use super::repeats::Token;

/// Tokens of one block: enough that its codes are little beside them.
const TOKENS: usize = 8192;
/// Bytes, the end of a block, and lengths of repeats.
const LITERALS: usize = 286;
const DISTANCES: usize = 30;
const END: u16 = 256;
/// The first symbol of a length.
const FIRST_LENGTH: u16 = 257;

/// What is not written yet of a page.
#[derive(Debug)]
pub(super) struct Block {
    tokens: Vec<Symbols>,
    literals: [u32; LITERALS],
    distances: [u32; DISTANCES],
    bits: Bits,
}

/// A token by its symbols, and the bits that say more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Symbols {
    literal: u16,
    /// Above the length's base.
    length_rest: u8,
    distance: u8,
    /// Above the distance's base.
    distance_rest: u16,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            tokens: Vec::with_capacity(TOKENS),
            literals: [0; LITERALS],
            distances: [0; DISTANCES],
            bits: Bits::default(),
        }
    }
}

impl Block {
    /// For a new page.
    pub(super) fn begin(&mut self) {
        self.forget();
        self.bits = Bits::default();
    }

    /// Adds a token, and writes the block once it is full.
    pub(super) fn push(&mut self, token: Token<'_>, out: &mut Vec<u8>) {
        match token {
            Token::Bytes(bytes) => {
                let mut bytes = bytes;
                while !bytes.is_empty() {
                    if self.tokens.len() >= TOKENS {
                        self.write(false, out);
                    }
                    let (now, later) = bytes.split_at(bytes.len().min(TOKENS - self.tokens.len()));
                    now.iter().for_each(|byte| count(&mut self.literals, (*byte).into()));
                    self.tokens.extend(now.iter().map(|byte| Symbols::of_byte(*byte)));
                    bytes = later;
                }
            }
            Token::Repeat { length, distance } => {
                if self.tokens.len() >= TOKENS {
                    self.write(false, out);
                }
                let symbols = Symbols::of_repeat(length, distance);
                count(&mut self.literals, symbols.literal.into());
                count(&mut self.distances, symbols.distance.into());
                self.tokens.push(symbols);
            }
        }
    }

    /// Writes the last block, to the last bit.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.write(true, out);
        self.bits.fill_up(out);
    }

    fn forget(&mut self) {
        self.tokens.clear();
        self.literals = [0; LITERALS];
        self.distances = [0; DISTANCES];
    }

    fn write(&mut self, is_last: bool, out: &mut Vec<u8>) {
        const OWN_CODES: u64 = 2;
        count(&mut self.literals, END.into());
        let literals = Codes::of(&self.literals, LONGEST_CODE);
        let distances = Codes::of(&self.distances, LONGEST_CODE);
        self.bits.push(u64::from(is_last), 1, out);
        self.bits.push(OWN_CODES, 2, out);
        write_codes(&mut self.bits, &literals, &distances, out);
        for symbols in &self.tokens {
            let (code, bits) = literals.get(usize::from(symbols.literal));
            if symbols.literal < END {
                self.bits.push(code, bits, out);
                continue;
            }
            let rest = length_rest_bits(symbols.literal);
            self.bits.push(code | u64::from(symbols.length_rest) << bits, bits + rest, out);
            let (code, bits) = distances.get(usize::from(symbols.distance));
            let rest = distance_rest_bits(symbols.distance);
            self.bits.push(code | u64::from(symbols.distance_rest) << bits, bits + rest, out);
        }
        let (code, bits) = literals.get(usize::from(END));
        self.bits.push(code, bits, out);
        self.forget();
    }
}

impl Symbols {
    fn of_byte(byte: u8) -> Self {
        Self { literal: byte.into(), length_rest: 0, distance: 0, distance_rest: 0 }
    }

    /// By the tables of RFC 1951, 3.2.5: lengths and distances are grouped, four lengths or two distances in turn to a
    /// group of the same size, each size twice the one before. A length is at most 258, a distance 32,768.
    fn of_repeat(length: usize, distance: usize) -> Self {
        let (literal, length_rest) = match length {
            258 => (FIRST_LENGTH + 28, 0),
            length => {
                let (group, rest) = grouped((length - 3) as u16, 2);
                (FIRST_LENGTH + group, rest as u8)
            }
        };
        let (distance, distance_rest) = grouped((distance - 1) as u16, 1);
        Self { literal, length_rest, distance: distance as u8, distance_rest }
    }
}

/// Counts one more of a symbol.
fn count(counts: &mut [u32], symbol: usize) {
    if let Some(count) = counts.get_mut(symbol) {
        *count += 1;
    }
}

/// The group of a number where 2 to the power of `each` groups have the same size, and how far in it the number is.
fn grouped(number: u16, each: u32) -> (u16, u16) {
    let in_turn = 1_u16 << each;
    if number < 2 * in_turn {
        return (number, 0);
    }
    let rest_bits = number.ilog2() - each;
    let group = (rest_bits as u16) * in_turn + (number >> rest_bits);
    (group, number & ((1 << rest_bits) - 1))
}

fn length_rest_bits(literal: u16) -> u32 {
    match literal - FIRST_LENGTH {
        28 => 0,
        group => (u32::from(group) / 4).saturating_sub(1),
    }
}

fn distance_rest_bits(distance: u8) -> u32 {
    (u32::from(distance) / 2).saturating_sub(1)
}

/// The order in which the lengths of the codes for lengths are written (RFC 1951, 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Writes which codes are used: their lengths, which are themselves coded.
fn write_codes(bits: &mut Bits, literals: &Codes<LITERALS>, distances: &Codes<DISTANCES>, out: &mut Vec<u8>) {
    let used = |lengths: &[u8], least: usize| {
        lengths.iter().rposition(|length| *length > 0).map_or(least, |last| (last + 1).max(least))
    };
    let (of_literals, of_distances) = (used(&literals.lengths, 257), used(&distances.lengths, 1));
    let all: Vec<u8> =
        literals.lengths.iter().take(of_literals).chain(distances.lengths.iter().take(of_distances)).copied().collect();
    let steps = steps(&all);
    let mut counts = [0; 19];
    for step in &steps {
        count(&mut counts, step.symbol.into());
    }
    const LONGEST_OF_THESE: usize = 7;
    let codes = Codes::of(&counts, LONGEST_OF_THESE);
    let in_order = ORDER.map(|symbol| codes.get(symbol).1);
    let written = in_order.iter().rposition(|length| *length > 0).map_or(4, |last| (last + 1).max(4));
    bits.push((of_literals - 257) as u64, 5, out);
    bits.push((of_distances - 1) as u64, 5, out);
    bits.push((written - 4) as u64, 4, out);
    for length in in_order.into_iter().take(written) {
        bits.push(length.into(), 3, out);
    }
    for step in steps {
        let (code, length) = codes.get(step.symbol.into());
        bits.push(code | u64::from(step.rest) << length, length + step.rest_bits, out);
    }
}

/// A length, or how often one comes.
struct Step {
    symbol: u8,
    rest: u8,
    rest_bits: u32,
}

/// Lengths with those in a row taken together: 16 is the last one again 3 to 6 times, 17 is 0 for 3 to 10 times, 18 for
/// 11 to 138 times.
fn steps(lengths: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    for row in lengths.chunk_by(|a, b| a == b) {
        let Some(length) = row.first().copied() else { continue };
        let one = Step { symbol: length, rest: 0, rest_bits: 0 };
        let mut left = row.len();
        if length > 0 {
            steps.push(one);
            left -= 1;
        }
        while left >= 3 {
            let (symbol, least, most, rest_bits) = match (length, left) {
                (0, 11..) => (18, 11, 138, 7),
                (0, _) => (17, 3, 10, 3),
                _ => (16, 3, 6, 2),
            };
            let times = left.min(most);
            steps.push(Step { symbol, rest: (times - least) as u8, rest_bits });
            left -= times;
        }
        steps.extend((0..left).map(|_| Step { symbol: length, rest: 0, rest_bits: 0 }));
    }
    steps
}

/// Bits that are not a whole number of bytes yet.
#[derive(Debug, Default)]
struct Bits {
    waiting: u64,
    count: u32,
}

impl Bits {
    /// At most 32 bits, the lowest first.
    fn push(&mut self, bits: u64, count: u32, out: &mut Vec<u8>) {
        self.waiting |= bits << self.count;
        self.count += count;
        if self.count >= 32 {
            out.extend((self.waiting as u32).to_le_bytes());
            self.waiting >>= 32;
            self.count -= 32;
        }
    }

    /// To the next whole byte.
    fn fill_up(&mut self, out: &mut Vec<u8>) {
        let bytes = self.count.div_ceil(8) as usize;
        out.extend(self.waiting.to_le_bytes().into_iter().take(bytes));
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables of RFC 1951, 3.2.5: symbol, bits that say more, first length or distance.
    #[test]
    fn lengths_and_distances_have_the_symbols_of_the_standard() {
        #[track_caller]
        fn check(length: usize, distance: usize, want: (u16, u32, u8), want_distance: (u8, u32, u16)) {
            let symbols = Symbols::of_repeat(length, distance);
            assert_eq!((symbols.literal, length_rest_bits(symbols.literal), symbols.length_rest), want);
            let of_distance = (symbols.distance, distance_rest_bits(symbols.distance), symbols.distance_rest);
            assert_eq!(of_distance, want_distance);
        }
        check(3, 1, (257, 0, 0), (0, 0, 0));
        check(10, 4, (264, 0, 0), (3, 0, 0));
        check(11, 5, (265, 1, 0), (4, 1, 0));
        check(12, 6, (265, 1, 1), (4, 1, 1));
        check(13, 7, (266, 1, 0), (5, 1, 0));
        check(19, 9, (269, 2, 0), (6, 2, 0));
        check(114, 192, (279, 4, 15), (14, 6, 63));
        check(115, 193, (280, 4, 0), (15, 6, 0));
        check(227, 16_385, (284, 5, 0), (28, 13, 0));
        check(257, 24_576, (284, 5, 30), (28, 13, 8_191));
        check(258, 32_768, (285, 0, 0), (29, 13, 8_191));
    }

    #[test]
    fn lengths_in_a_row_are_taken_together() {
        let steps: Vec<_> = steps(&[&[5_u8; 9][..], &[0; 2], &[7], &[0; 150], &[1; 3]].concat())
            .iter()
            .map(|step| (step.symbol, step.rest))
            .collect();
        assert_eq!(
            steps,
            [(5, 0), (16, 3), (5, 0), (5, 0), (0, 0), (0, 0), (7, 0), (18, 127), (18, 1), (1, 0), (1, 0), (1, 0)]
        );
    }
}
