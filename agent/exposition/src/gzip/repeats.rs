//! Finding what was there before.

/// How far back a repeat may lie (RFC 1951, 2).
const WINDOW: usize = 32 << 10;
/// The longest repeat that has a code.
pub(super) const LONGEST: usize = 258;
/// A shorter one would take more room than its bytes: most are digits that happen to be the same.
const SHORTEST: usize = 6;
const TABLE_BITS: u32 = 13;

/// A part of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// As it is.
    Byte(u8),
    /// What stands so many bytes before, from 1 to [`WINDOW`], for 3 to [`LONGEST`] bytes.
    Repeat { length: usize, distance: usize },
}

/// The last bytes of a page, and where each beginning was seen last.
#[derive(Debug)]
pub(super) struct Repeats {
    /// What was given already, at most [`WINDOW`], and behind it what is being looked at.
    bytes: Vec<u8>,
    /// The position of `bytes` in the page.
    base: u32,
    /// Positions in the page, by a hash of the [`SHORTEST`] bytes there. An older one is found by the distance.
    table: Box<[u32; 1 << TABLE_BITS]>,
}

impl Default for Repeats {
    fn default() -> Self {
        Self { bytes: Vec::new(), base: 0, table: Box::new([0; 1 << TABLE_BITS]) }
    }
}

impl Repeats {
    /// For a new page.
    pub(super) fn begin(&mut self) {
        self.bytes.clear();
        // So that nothing in the empty table is at a distance from the page's first bytes that could be one.
        self.base = 2 * WINDOW as u32;
        self.table.fill(0);
    }

    /// Gives the next part of the page as tokens.
    pub(super) fn find(&mut self, part: &[u8], take: &mut impl FnMut(Token)) {
        for piece in part.chunks(WINDOW) {
            let too_old = self.bytes.len().saturating_sub(WINDOW);
            if too_old > 0 {
                self.bytes.drain(..too_old);
                self.base = self.base.wrapping_add(too_old as u32);
            }
            let start = self.bytes.len();
            self.bytes.extend_from_slice(piece);
            self.find_from(start, take);
        }
    }

    fn find_from(&mut self, start: usize, take: &mut impl FnMut(Token)) {
        let Self { bytes, base, table } = self;
        // What is before `given` has become tokens.
        let (mut at, mut given) = (start, start);
        while let Some(word) = word_at(bytes, at) {
            let position = base.wrapping_add(at as u32);
            let Some(slot) = table.get_mut(hash(word)) else { break };
            let before = std::mem::replace(slot, position);
            let distance = position.wrapping_sub(before) as usize;
            let length = match at.checked_sub(distance) {
                Some(from) if distance <= WINDOW && distance > 0 => common(bytes, from, at),
                _ => 0,
            };
            if length < SHORTEST {
                at += 1;
                continue;
            }
            bytes.get(given..at).unwrap_or_default().iter().for_each(|byte| take(Token::Byte(*byte)));
            repeat(length, distance, take);
            at += length;
            given = at;
        }
        bytes.get(given..).unwrap_or_default().iter().for_each(|byte| take(Token::Byte(*byte)));
    }
}

/// Gives a repeat of any length in parts that have codes.
fn repeat(length: usize, distance: usize, take: &mut impl FnMut(Token)) {
    let mut left = length;
    while left > 0 {
        // The rest must not become shorter than the shortest that has a code.
        let part = if left > LONGEST && left < LONGEST + 3 { left - 3 } else { left.min(LONGEST) };
        take(Token::Repeat { length: part, distance });
        left -= part;
    }
}

fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes)
}

/// Of the first [`SHORTEST`] bytes, by the golden ratio.
fn hash(word: u64) -> usize {
    const KEPT: u32 = 64 - 8 * SHORTEST as u32;
    ((word << KEPT).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TABLE_BITS)) as usize
}

/// How many bytes from `from` on are those from `at` on, which is behind it.
fn common(bytes: &[u8], from: usize, at: usize) -> usize {
    let (Some(old), Some(new)) = (bytes.get(from..), bytes.get(at..)) else { return 0 };
    let mut length = 0;
    for (old, new) in old.chunks_exact(8).zip(new.chunks_exact(8)) {
        let (Ok(old), Ok(new)) = (old.try_into(), new.try_into()) else { break };
        let differing = u64::from_le_bytes(old) ^ u64::from_le_bytes(new);
        if differing != 0 {
            return length + (differing.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let (old, new) = (old.get(length..).unwrap_or_default(), new.get(length..).unwrap_or_default());
    length + old.iter().zip(new).take_while(|(old, new)| old == new).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parts: &[&str], want: &[(&str, usize, usize)]) {
        let mut repeats = Repeats::default();
        repeats.begin();
        let mut got: Vec<(String, usize, usize)> = vec![(String::new(), 0, 0)];
        for part in parts {
            repeats.find(part.as_bytes(), &mut |token| match token {
                Token::Byte(byte) => {
                    if got.last().unwrap().1 > 0 {
                        got.push((String::new(), 0, 0));
                    }
                    got.last_mut().unwrap().0.push(char::from(byte));
                }
                Token::Repeat { length, distance } => {
                    if got.last().unwrap().1 > 0 {
                        got.push((String::new(), 0, 0));
                    }
                    let last = got.last_mut().unwrap();
                    (last.1, last.2) = (length, distance);
                }
            });
        }
        let want: Vec<_> =
            want.iter().map(|(bytes, length, distance)| ((*bytes).to_owned(), *length, *distance)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn what_was_there_is_found() {
        check(&["abcdefgh"], &[("abcdefgh", 0, 0)]);
        check(&["abcdefgh-abcdefgh"], &[("abcdefgh-", 8, 9)]);
        check(&["abcdefgh-", "abcdefgh"], &[("abcdefgh-", 8, 9)]);
        check(&["abcde-abcde-12"], &[("abcde-", 6, 6), ("12", 0, 0)]);
        check(&["abcd,abcd.1234567"], &[("abcd,abcd.1234567", 0, 0)]);
        check(&["aaaaaaaaaaaaaaaaa"], &[("a", 16, 1)]);
    }

    #[test]
    fn no_part_of_a_long_one_is_too_short_for_a_code() {
        for length in [257, 258, 259, 260, 261, 262, 515, 516, 517, 518, 519, 775] {
            let mut parts = Vec::new();
            repeat(length, 1, &mut |token| match token {
                Token::Repeat { length, .. } => parts.push(length),
                Token::Byte(_) => unreachable!(),
            });
            assert_eq!(parts.iter().sum::<usize>(), length);
            assert!(parts.iter().all(|part| (3..=LONGEST).contains(part)), "{parts:?}");
        }
    }
}
