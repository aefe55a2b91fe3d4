//! What the bits of a link's modes mean: `enum ethtool_link_mode_bit_indices` of `linux/ethtool.h`.

/// Bit, speed in Mbit/s, duplex, and name.
pub(crate) type Speed = (usize, u32, &'static str, &'static str);

/// The bits that stand for a speed.
pub(crate) const SPEEDS: &[Speed] = &[
    (0, 10, "half", "10baseT"),
    (1, 10, "full", "10baseT"),
    (2, 100, "half", "100baseT"),
    (3, 100, "full", "100baseT"),
    (4, 1000, "half", "1000baseT"),
    (5, 1000, "full", "1000baseT"),
    (12, 10000, "full", "10000baseT"),
    (15, 2500, "full", "2500baseX"),
    (17, 1000, "full", "1000baseKX"),
    (18, 10000, "full", "10000baseKX4"),
    (19, 10000, "full", "10000baseKR"),
    (20, 10000, "full", "10000baseR_FEC"),
    (21, 20000, "full", "20000baseMLD2"),
    (22, 20000, "full", "20000baseKR2"),
    (23, 40000, "full", "40000baseKR4"),
    (24, 40000, "full", "40000baseCR4"),
    (25, 40000, "full", "40000baseSR4"),
    (26, 40000, "full", "40000baseLR4"),
    (27, 56000, "full", "56000baseKR4"),
    (28, 56000, "full", "56000baseCR4"),
    (29, 56000, "full", "56000baseSR4"),
    (30, 56000, "full", "56000baseLR4"),
    (31, 25000, "full", "25000baseCR"),
    (32, 25000, "full", "25000baseKR"),
    (33, 25000, "full", "25000baseSR"),
    (34, 50000, "full", "50000baseCR2"),
    (35, 50000, "full", "50000baseKR2"),
    (36, 100000, "full", "100000baseKR4"),
    (37, 100000, "full", "100000baseSR4"),
    (38, 100000, "full", "100000baseCR4"),
    (39, 100000, "full", "100000baseLR4_ER4"),
    (40, 50000, "full", "50000baseSR2"),
    (41, 1000, "full", "1000baseX"),
    (42, 10000, "full", "10000baseCR"),
    (43, 10000, "full", "10000baseSR"),
    (44, 10000, "full", "10000baseLR"),
    (45, 10000, "full", "10000baseLRM"),
    (46, 10000, "full", "10000baseER"),
    (47, 2500, "full", "2500baseT"),
    (48, 5000, "full", "5000baseT"),
    (52, 50000, "full", "50000baseKR"),
    (53, 50000, "full", "50000baseSR"),
    (54, 50000, "full", "50000baseCR"),
    (55, 50000, "full", "50000baseLR_ER_FR"),
    (56, 50000, "full", "50000baseDR"),
    (57, 100000, "full", "100000baseKR2"),
    (58, 100000, "full", "100000baseSR2"),
    (59, 100000, "full", "100000baseCR2"),
    (60, 100000, "full", "100000baseLR2_ER2_FR2"),
    (61, 100000, "full", "100000baseDR2"),
    (62, 200000, "full", "200000baseKR4"),
    (63, 200000, "full", "200000baseSR4"),
    (64, 200000, "full", "200000baseLR4_ER4_FR4"),
    (65, 200000, "full", "200000baseDR4"),
    (66, 200000, "full", "200000baseCR4"),
    (67, 100, "full", "100baseT1"),
    (68, 1000, "full", "1000baseT1"),
    (69, 400000, "full", "400000baseKR8"),
    (70, 400000, "full", "400000baseSR8"),
    (71, 400000, "full", "400000baseLR8_ER8_FR8"),
    (72, 400000, "full", "400000baseDR8"),
    (73, 400000, "full", "400000baseCR8"),
    (75, 100000, "full", "100000baseKR"),
    (76, 100000, "full", "100000baseSR"),
    (77, 100000, "full", "100000baseLR_ER_FR"),
    (78, 100000, "full", "100000baseCR"),
    (79, 100000, "full", "100000baseDR"),
    (80, 200000, "full", "200000baseKR2"),
    (81, 200000, "full", "200000baseSR2"),
    (82, 200000, "full", "200000baseLR2_ER2_FR2"),
    (83, 200000, "full", "200000baseDR2"),
    (84, 200000, "full", "200000baseCR2"),
    (85, 400000, "full", "400000baseKR4"),
    (86, 400000, "full", "400000baseSR4"),
    (87, 400000, "full", "400000baseLR4_ER4_FR4"),
    (88, 400000, "full", "400000baseDR4"),
    (89, 400000, "full", "400000baseCR4"),
    (90, 100, "half", "100baseFX"),
    (91, 100, "full", "100baseFX"),
    (92, 10, "full", "10baseT1L"),
    (93, 800000, "full", "800000baseCR8"),
    (94, 800000, "full", "800000baseKR8"),
    (95, 800000, "full", "800000baseDR8"),
    (96, 800000, "full", "800000baseDR8_2"),
    (97, 800000, "full", "800000baseSR8"),
    (98, 800000, "full", "800000baseVR8"),
    (99, 10, "full", "10baseT1S"),
    (100, 10, "half", "10baseT1S"),
    (101, 10, "half", "10baseT1S_P2MP"),
    (102, 10, "full", "10baseT1BRR"),
];

/// The bits that stand for a kind of port, and its name.
pub(crate) const PORTS: &[(usize, &str)] =
    &[(7, "TP"), (8, "AUI"), (9, "MII"), (10, "FIBRE"), (11, "BNC"), (16, "Backplane")];

/// The bit for finding the speed out with the other end.
pub(crate) const AUTONEGOTIATION: usize = 6;
/// The bit for asking the other end to pause.
pub(crate) const PAUSE: usize = 13;
/// The bit for asking in one direction alone.
pub(crate) const ASYMMETRIC_PAUSE: usize = 14;

/// Whether a bit is set in the kernel's words of 32 bits.
pub(crate) fn has(words: &[u32], bit: usize) -> bool {
    words.get(bit / 32).is_some_and(|word| word >> (bit % 32) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_in_words() {
        let words = [1 << 5, 1 << 15];
        let set: Vec<_> = SPEEDS.iter().filter(|(bit, ..)| has(&words, *bit)).map(|(.., name)| *name).collect();
        assert_eq!(set, ["1000baseT", "2500baseT"]);
        assert!(!has(&words, 64) && !has(&[], 0));
    }

    #[test]
    fn names_begin_with_their_speed() {
        for (bit, speed, _, name) in SPEEDS {
            assert!(name.starts_with(&format!("{speed}base")), "{bit}");
        }
        assert!(SPEEDS.is_sorted_by_key(|(bit, ..)| bit));
    }
}
