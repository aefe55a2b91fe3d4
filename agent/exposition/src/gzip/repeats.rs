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
pub(super) enum Token<'a> {
    /// As they are; often none.
    Bytes(&'a [u8]),
    /// What stands so many bytes before, from 1 to [`WINDOW`], for 3 to [`LONGEST`] bytes.
    Repeat { length: usize, distance: usize },
}

/// After so many places in vain, only every second place is tried, and so on. What is in none of the repeats is mostly
/// an id, as long as this four times over, and where the next repeat is found, it is followed back to its beginning.
const PATIENCE: usize = 16;

/// The last bytes of a page, and where each beginning was seen last.
#[derive(Debug)]
pub(super) struct Repeats {
    /// What was given already, at most [`WINDOW`], and behind it what is being looked at.
    bytes: Vec<u8>,
    /// The position of `bytes` in the page.
    base: u16,
    /// Positions in the page, by a hash of the [`SHORTEST`] bytes there. They are kept modulo twice the window, so that
    /// they stay in the processor's nearest memory; that something is there is seen by comparing.
    table: Box<[u16; 1 << TABLE_BITS]>,
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
        self.base = 0;
        self.table.fill(0);
    }

    /// Gives the next part of the page as tokens.
    pub(super) fn find(&mut self, part: &[u8], take: &mut impl FnMut(Token<'_>)) {
        for piece in part.chunks(WINDOW) {
            let too_old = self.bytes.len().saturating_sub(WINDOW);
            if too_old > 0 {
                self.bytes.drain(..too_old);
                self.base = self.base.wrapping_add(too_old as u16);
            }
            let start = self.bytes.len();
            self.bytes.extend_from_slice(piece);
            self.find_from(start, take);
        }
    }

    fn find_from(&mut self, start: usize, take: &mut impl FnMut(Token<'_>)) {
        let Self { bytes, base, table } = self;
        // What is before `given` has become tokens.
        let (mut at, mut given) = (start, start);
        while let Some(word) = word_at(bytes, at) {
            let position = base.wrapping_add(at as u16);
            let Some(slot) = table.get_mut(hash(word)) else { break };
            let before = std::mem::replace(slot, position);
            let distance = usize::from(position.wrapping_sub(before));
            let length = match at.checked_sub(distance) {
                Some(from) if distance <= WINDOW && distance > 0 => common(bytes, from, at),
                _ => 0,
            };
            if length < SHORTEST {
                at += 1 + (at - given) / PATIENCE;
                continue;
            }
            let back = common_before(bytes, at - distance, given, at);
            take(Token::Bytes(bytes.get(given..at - back).unwrap_or_default()));
            repeat(length + back, distance, take);
            at += length;
            given = at;
        }
        take(Token::Bytes(bytes.get(given..).unwrap_or_default()));
    }
}

/// Gives a repeat of any length in parts that have codes.
fn repeat(length: usize, distance: usize, take: &mut impl FnMut(Token<'_>)) {
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

/// How many bytes before `from` are those before `at`, which is behind it, down to `least`.
fn common_before(bytes: &[u8], from: usize, least: usize, at: usize) -> usize {
    let (Some(old), Some(new)) = (bytes.get(..from), bytes.get(least..at)) else { return 0 };
    old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count()
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
                Token::Bytes(bytes) => {
                    if got.last().unwrap().1 > 0 && !bytes.is_empty() {
                        got.push((String::new(), 0, 0));
                    }
                    got.last_mut().unwrap().0 += std::str::from_utf8(bytes).unwrap();
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
        let (id, repeat) = ("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "image=\"demo:1\"");
        check(&[repeat, id, repeat], &[(&[repeat, id].concat(), repeat.len(), repeat.len() + id.len())]);
    }

    #[test]
    fn no_part_of_a_long_one_is_too_short_for_a_code() {
        for length in [257, 258, 259, 260, 261, 262, 515, 516, 517, 518, 519, 775] {
            let mut parts = Vec::new();
            repeat(length, 1, &mut |token| match token {
                Token::Repeat { length, .. } => parts.push(length),
                Token::Bytes(_) => unreachable!(),
            });
            assert_eq!(parts.iter().sum::<usize>(), length);
            assert!(parts.iter().all(|part| (3..=LONGEST).contains(part)), "{parts:?}");
        }
    }
}
