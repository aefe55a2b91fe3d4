//! Codes that are short for what is frequent (RFC 1951, 3.2.2).

/// The longest code of bytes, lengths and distances.
pub(super) const LONGEST_CODE: usize = 15;

/// A code for each symbol, first bit lowest, and how many bits it has; none for what is not used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes<const SYMBOLS: usize> {
    pub(super) lengths: [u8; SYMBOLS],
    codes: [u16; SYMBOLS],
}

impl<const SYMBOLS: usize> Codes<SYMBOLS> {
    /// For symbols that are used so often, with codes of at most so many bits. At least two have codes, since not every
    /// decoder takes fewer.
    pub(super) fn of(counts: &[u32; SYMBOLS], longest: usize) -> Self {
        let mut used: Vec<(u32, usize)> = counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(symbol, count)| (*count, symbol))
            .collect();
        let unused = counts.iter().enumerate().filter(|(_, count)| **count == 0).map(|(symbol, _)| (1, symbol));
        used.extend(unused.take(2_usize.saturating_sub(used.len())));
        used.sort_unstable();
        let mut depths = depths(&used.iter().map(|(count, _)| *count).collect::<Vec<_>>());
        shorten(&mut depths, longest);
        let mut lengths = [0; SYMBOLS];
        for ((_, symbol), depth) in used.into_iter().zip(depths) {
            if let Some(length) = lengths.get_mut(symbol) {
                *length = depth;
            }
        }
        Self { codes: canonical(&lengths), lengths }
    }

    /// The code of a symbol and its bits.
    pub(super) fn get(&self, symbol: usize) -> (u64, u32) {
        let code = self.codes.get(symbol).copied().unwrap_or_default();
        (u64::from(code), u32::from(self.lengths.get(symbol).copied().unwrap_or_default()))
    }
}

/// How deep in the tree each of these counts lies, which are in rising order and more than one.
fn depths(counts: &[u32]) -> Vec<u8> {
    // The two rarest are joined again and again. Joints arise in rising order too, so the rarest is at the front of
    // either queue.
    let leaves = counts.len();
    let mut weights: Vec<u64> = counts.iter().map(|count| u64::from(*count)).collect();
    let mut above = vec![0; (2 * leaves).saturating_sub(1)];
    let (mut leaf, mut joint) = (0, leaves);
    for next in leaves..above.len() {
        let mut sum = 0;
        for _ in 0..2 {
            let of_leaf = weights.get(leaf).filter(|_| leaf < leaves);
            let of_joint = weights.get(joint);
            let rarest = match (of_leaf, of_joint) {
                (Some(of_leaf), Some(of_joint)) if of_joint < of_leaf => &mut joint,
                (Some(_), _) => &mut leaf,
                (None, _) => &mut joint,
            };
            sum += weights.get(*rarest).copied().unwrap_or_default();
            if let Some(above) = above.get_mut(*rarest) {
                *above = next;
            }
            *rarest += 1;
        }
        weights.push(sum);
    }
    // The last joint is the root; each lies one deeper than what is above it.
    let mut depths = vec![0_u8; above.len()];
    for at in (0..above.len().saturating_sub(1)).rev() {
        let depth = above.get(at).and_then(|above| depths.get(*above)).map_or(0, |depth| depth.saturating_add(1));
        if let Some(own) = depths.get_mut(at) {
            *own = depth;
        }
    }
    depths.truncate(leaves);
    depths
}

/// Makes the longest codes shorter and lengthens others for it, as little as need be. The rarest come first.
fn shorten(depths: &mut [u8], longest: usize) {
    let room = 1_u64 << longest;
    let most = longest as u8;
    let taken_by = |depth: u8| room >> depth;
    for depth in depths.iter_mut() {
        *depth = (*depth).min(most);
    }
    let mut taken: u64 = depths.iter().map(|depth| taken_by(*depth)).sum();
    while taken > room {
        // The rarest of those that can become longer loses the least.
        let Some(depth) = depths.iter_mut().find(|depth| **depth < most) else { return };
        taken -= taken_by(*depth) - taken_by(*depth + 1);
        *depth += 1;
    }
    // What became free by the last step goes to the most frequent that it is enough for.
    for depth in depths.iter_mut().rev() {
        while *depth > 1 && taken + taken_by(*depth) <= room {
            taken += taken_by(*depth);
            *depth -= 1;
        }
    }
}

/// The codes that follow from their lengths, first bit lowest.
fn canonical<const SYMBOLS: usize>(lengths: &[u8; SYMBOLS]) -> [u16; SYMBOLS] {
    let mut counts = [0_u16; LONGEST_CODE + 1];
    for length in lengths.iter().filter(|length| **length > 0) {
        if let Some(count) = counts.get_mut(usize::from(*length)) {
            *count += 1;
        }
    }
    let mut next = [0_u16; LONGEST_CODE + 1];
    let mut code = 0_u16;
    for (next, shorter) in next.iter_mut().skip(1).zip(counts) {
        code = (code + shorter) << 1;
        *next = code;
    }
    let mut codes = [0; SYMBOLS];
    for (code, length) in codes.iter_mut().zip(lengths).filter(|(_, length)| **length > 0) {
        if let Some(next) = next.get_mut(usize::from(*length)) {
            *code = next.reverse_bits() >> (16 - u32::from(*length));
            *next += 1;
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<const SYMBOLS: usize>(counts: [u32; SYMBOLS], longest: usize, want: [u8; SYMBOLS]) {
        let codes = Codes::of(&counts, longest);
        assert_eq!(codes.lengths, want);
        let taken: f64 =
            codes.lengths.iter().filter(|length| **length > 0).map(|length| 0.5_f64.powi((*length).into())).sum();
        assert!((taken - 1.0).abs() < 1e-9, "all codes are used: {taken}");
    }

    #[test]
    fn the_frequent_are_short() {
        check([1, 1], 15, [1, 1]);
        check([1, 2, 4, 8], 15, [3, 3, 2, 1]);
        check([8, 0, 1, 1, 2], 15, [1, 0, 3, 3, 2]);
        check([5, 5, 5, 5], 15, [2, 2, 2, 2]);
        check([1, 1, 1, 1, 1], 15, [3, 3, 2, 2, 2]);
    }

    #[test]
    fn one_alone_gets_a_companion() {
        check([0, 7, 0], 15, [1, 1, 0]);
        check([0, 0, 0], 15, [1, 1, 0]);
        check([3, 0, 0], 15, [1, 1, 0]);
    }

    #[test]
    fn no_code_is_too_long() {
        check([1, 1, 2, 4, 8, 16], 4, [4, 4, 4, 4, 2, 1]);
        check([1, 1, 2, 4, 8, 16], 3, [3, 3, 3, 3, 2, 2]);
        // Each rarer than the one before by the golden ratio: the deepest tree there is.
        let mut counts = [1_u32; 40];
        for at in 2..counts.len() {
            counts[at] = counts[at - 1] + counts[at - 2];
        }
        let codes = Codes::of(&counts, LONGEST_CODE);
        let taken: f64 = codes.lengths.iter().map(|length| 0.5_f64.powi((*length).into())).sum();
        assert!(codes.lengths.iter().all(|length| (1..=15).contains(length)) && (taken - 1.0).abs() < 1e-9, "{taken}");
    }

    /// The example of RFC 1951, 3.2.2.
    #[test]
    fn codes_follow_from_lengths() {
        let codes = canonical(&[3, 3, 3, 3, 3, 2, 4, 4]);
        let want = [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111_u16];
        let lengths = [3, 3, 3, 3, 3, 2, 4, 4];
        let reversed: Vec<_> =
            want.iter().zip(lengths).map(|(code, length)| code.reverse_bits() >> (16 - length)).collect();
        assert_eq!(codes.to_vec(), reversed);
    }
}
