//! Files that a crash, a full disk or rot left in a bad state. The window always opens.

use collector_model::Append;
use collector_tsdb::Options;
use proptest::prelude::*;

use crate::stand::{Content, START as T, Stand, one, options};

/// Ten appends of one sample each.
fn ten() -> Stand {
    let stand = Stand::new();
    for i in 0..10 {
        stand.append(&[("a", T + i, i as f64)]);
    }
    stand
}

fn first(samples: i64) -> Content {
    if samples == 0 { Content::new() } else { one("a", (0..samples).map(|i| (T + i, i as f64))) }
}

#[test]
fn every_torn_tail_costs_only_what_was_not_whole() {
    let stand = ten();
    let path = stand.disk.paths(".log").remove(0);
    let whole = stand.disk.bytes(&path).len();
    let mut kept = Vec::new();
    for len in 0..=whole {
        let disk = stand.disk.image();
        disk.edit(&path, |bytes| bytes.truncate(len));
        let again = Stand::on(disk.clone(), options(), T);
        let content = again.content();
        let samples = content.values().next().map_or(0, Vec::len);
        assert_eq!(content, first(samples as i64), "cut at {len}");
        kept.push(samples);
        // The tail was cut: what is written next is read again.
        again.append(&[("b", T, 1.0)]);
        let once_more = Stand::on(disk.image(), options(), T);
        assert_eq!(once_more.content().len(), again.content().len());
        assert_eq!(once_more.metric("prometheus_tsdb_wal_corruptions_total"), 0.0, "cut at {len}");
        assert!(disk.paths(".corrupt").is_empty());
    }
    assert!(kept.is_sorted());
    assert_eq!(kept.last(), Some(&10));
    for samples in 0..=10 {
        assert!(kept.contains(&samples), "{samples}");
    }
}

#[test]
fn garbage_and_zeros_behind_the_log_are_cut_off() {
    for garbage in [&[0_u8; 4096][..], &[0xff; 100], &[7, 0, 0, 0, 1, 2, 3, 4, 5]] {
        let stand = ten();
        let path = stand.disk.paths(".log").remove(0);
        stand.disk.edit(&path, |bytes| bytes.extend_from_slice(garbage));
        assert_eq!(stand.after_crash(options()).content(), first(10));
    }
}

#[test]
fn a_flipped_bit_in_the_middle_costs_one_record() {
    let stand = ten();
    let path = stand.disk.paths(".log").remove(0);
    let len = stand.disk.bytes(&path).len();
    let mut lost = Vec::new();
    for position in 0..len {
        let disk = stand.disk.image();
        disk.edit(&path, |bytes| bytes[position] ^= 0x20);
        let again = Stand::on(disk.clone(), options(), T);
        let kept = again.content().values().next().map_or(0, Vec::len);
        lost.push(10 - kept);
        // What could be read is safe even if the process dies now.
        assert_eq!(Stand::on(disk.image(), options(), T).content(), again.content(), "at {position}");
    }
    // In a sample record: that one. In the definition of the series, or in a length: what hangs on it.
    assert!(lost.iter().filter(|l| **l == 1).count() > len / 2, "{lost:?}");
}

#[test]
fn a_corrupt_segment_is_set_aside_and_the_others_count() {
    let small = Options { wal_segment_bytes: 64, ..options() };
    let stand = Stand::on(Default::default(), small.clone(), T);
    for i in 0..10 {
        stand.append(&[(&format!("m{i}{{a=12345678901234567890}}"), T, 1.0)]);
    }
    let segments = stand.disk.paths(".log");
    assert!(segments.len() >= 5, "{segments:?}");
    stand.disk.edit(&segments[2], |bytes| bytes[3] = b'x');
    let again = stand.after_crash(small.clone());
    assert!((8..10).contains(&again.content().len()), "{}", again.content().len());
    assert_eq!(again.metric("prometheus_tsdb_wal_corruptions_total"), 1.0);
    assert_eq!(again.disk.paths(".corrupt").len(), 1);
    let once_more = again.after_crash(small);
    assert_eq!(once_more.content(), again.content());
    assert_eq!(once_more.metric("prometheus_tsdb_wal_corruptions_total"), 0.0);
}

#[test]
fn a_damaged_chunk_costs_itself_and_one_warning() {
    let stand = Stand::new();
    for i in 0..500 {
        stand.append(&[("a", T + i, i as f64), ("b", T + i, 0.5)]);
    }
    stand.window.close();
    let path = stand.disk.paths(".chunks").remove(0);
    let len = stand.disk.bytes(&path).len();
    // Both places are inside a packed chunk.
    for from in [60, len / 2] {
        // Seen at the start …
        let disk = stand.disk.image();
        disk.edit(&path, |bytes| bytes[from..from + 4].fill(0xee));
        let again = Stand::on(disk, options(), T);
        let content = again.content();
        assert_eq!(content.len(), 2, "at {from}");
        let samples: usize = content.values().map(Vec::len).sum();
        assert!((1_000 - 240..1_000).contains(&samples), "{samples}");
        assert_eq!(again.metric("prometheus_tsdb_mmap_chunk_corruptions_total"), 1.0);
        // … and while it runs.
        let again = stand.after_crash(options());
        again.disk.edit(&path, |bytes| bytes[from..from + 4].fill(0xee));
        let samples: usize = again.content().values().map(Vec::len).sum();
        assert!((1_000 - 240..1_000).contains(&samples), "{samples}");
        assert_eq!(again.metric("prometheus_tsdb_mmap_chunk_corruptions_total"), 1.0);
        assert_eq!(again.content().values().map(Vec::len).sum::<usize>(), samples);
        assert_eq!(again.metric("prometheus_tsdb_mmap_chunk_corruptions_total"), 1.0);
    }
}

#[test]
fn a_damaged_checkpoint_costs_the_series_behind_the_damage() {
    let stand = Stand::new();
    for name in ["a", "b", "c"] {
        stand.append(&[(name, T, 1.0), (name, T + 1, 2.0)]);
    }
    stand.window.close();
    let path = stand.disk.paths(".checkpoint").remove(0);
    stand.disk.edit(&path, |bytes| {
        let len = bytes.len();
        bytes.truncate(len - 20);
    });
    let again = stand.after_crash(options());
    assert_eq!(again.content().len(), 2);
    assert_eq!(again.metric("prometheus_tsdb_wal_corruptions_total"), 1.0);
    assert_eq!(again.after_crash(options()).content(), again.content());
}

#[test]
fn files_of_another_kind_do_not_keep_it_from_opening() {
    let stand = ten();
    for ending in [".log", ".checkpoint", ".chunks"] {
        stand.window.close();
        let disk = stand.disk.image();
        for path in disk.paths(ending) {
            disk.edit(&path, |bytes| *bytes = b"something else altogether".to_vec());
        }
        let again = Stand::on(disk, options(), T);
        again.append(&[("b", T, 1.0)]);
        assert!(again.after_crash(options()).content().contains_key("b"), "{ending}");
    }
}

#[test]
fn chunk_files_that_cannot_be_read_are_set_aside_and_not_removed() {
    let small = Options { chunk_samples: 20, ..options() };
    let stand = Stand::on(Default::default(), small.clone(), T);
    for i in 0..60 {
        stand.append(&[("a", T + i, 0.1 * i as f64)]);
    }
    stand.window.close();
    for refused in [true, false] {
        let disk = stand.disk.image();
        let path = disk.paths(".chunks").remove(0);
        if refused {
            disk.refuse(&path);
        } else {
            // The version, which is the last byte of the header.
            disk.edit(&path, |bytes| bytes[7] += 1);
        }
        let kept = disk.bytes(&path);
        let again = Stand::on(disk.clone(), small.clone(), T + 60);
        assert_eq!(again.metric("prometheus_tsdb_mmap_chunk_corruptions_total"), 1.0);
        assert!(!disk.paths(".chunks").contains(&path));
        assert_eq!(disk.bytes(&disk.paths(".chunks.corrupt").remove(0)), kept);
    }
}

#[test]
fn a_full_disk_costs_nothing_when_it_gets_room_in_time() {
    let stand = Stand::new();
    stand.append(&[("a", T, 0.0)]);
    for round in 0..5 {
        stand.disk.fail_after(round);
        for i in 1..=300 {
            let at = T + round as i64 * 300 + i;
            assert_eq!(stand.append(&[("a", at, 1.0), ("b", at, 2.0)]).accepted, 2);
            stand.clock.advance(1_000);
            stand.window.maintain();
        }
        assert!(stand.window.status(0).log_failure.is_some());
        assert_eq!(stand.ear.heard.lock().unwrap().len(), 1 + 600 * (round as usize + 1));
        stand.disk.heal();
        stand.clock.advance(1_000);
        stand.append(&[("c", T + 2_000 + round as i64, 1.0)]);
        assert_eq!(stand.window.status(0).log_failure, None);
        assert_eq!(stand.after_crash(options()).content(), stand.content(), "round {round}");
        stand.ear.heard.lock().unwrap().pop();
    }
    assert!(stand.metric("prometheus_tsdb_wal_writes_failed_total") >= 5.0);
    assert_eq!(stand.content().values().map(Vec::len).sum::<usize>(), 1 + 5 * 600 + 5);
}

#[test]
fn a_disk_that_stays_full_costs_counted_samples() {
    let little = Options { unwritten_bytes: 2_000, ..options() };
    let stand = Stand::on(Default::default(), little.clone(), T);
    let series = stand.series("a");
    stand.append(&[("a", T, 1.0)]);
    stand.disk.fail_after(0);
    for i in 1..=2_000 {
        let sample = collector_model::RefSample { series, timestamp_ms: T + i, value: 0.1 * i as f64 };
        assert_eq!(stand.window.append(&[sample]).unwrap().accepted, 1);
        stand.clock.advance(1);
    }
    let not_logged = stand.metric("atalaia_tsdb_not_kept_samples_total{reason=\"log_full\"}");
    let not_stored = stand.metric("atalaia_tsdb_not_kept_samples_total{reason=\"chunk_files_full\"}");
    assert!(not_logged > 1_000.0 && not_stored > 500.0, "{not_logged} {not_stored}");
    let kept = stand.content()["a"].len();
    assert_eq!(kept as f64 + not_stored, 2_001.0);
    assert_eq!(stand.ear.heard.lock().unwrap().len(), 2_001);
    // With room again, the series is defined anew and all that is in memory is safe after a checkpoint.
    stand.disk.heal();
    stand.clock.advance(1_000);
    stand.append(&[("a", T + 3_000, 1.0)]);
    let logged = stand.after_crash(little.clone()).content()["a"].clone();
    assert_eq!(logged.last().unwrap().0, T + 3_000);
    stand.window.close();
    assert_eq!(stand.after_crash(little).content(), stand.content());
}

#[test]
fn a_lost_definition_never_lends_its_samples_to_another_series() {
    let quick = Options { chunk_samples: 4, ..options() };
    let stand = Stand::on(Default::default(), quick.clone(), T);
    stand.append(&[("x", T, 1.0)]);
    for i in 0..8 {
        stand.append(&[("y", T + i, 1.0)]);
    }
    stand.window.maintain();
    // A start finds "y" first, in a chunk file, so from here on the numbers are the other way round.
    let second = stand.after_crash(quick.clone());
    second.append(&[("y", T + 100, 2.0)]);
    let disk = second.disk.image();
    // Behind the file's header and the mark of the new era comes the definition of "y".
    disk.edit(disk.paths(".log").last().unwrap(), |bytes| bytes[8 + 9 + 8 + 4] ^= 1);
    let third = Stand::on(disk, quick, T);
    assert_eq!(third.content(), stand.content());
    assert_eq!(third.metric("prometheus_tsdb_wal_corruptions_total"), 1.0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Whatever the files hold, the window opens, gives no sample that never was, and works from then on.
    #[test]
    fn any_edit_of_any_files_leaves_a_working_window(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_usize..40, any::<u8>()), 1..8),
        closed in any::<bool>(),
    ) {
        let small = Options { wal_segment_bytes: 1_500, chunk_samples: 20, ..options() };
        let stand = Stand::on(Default::default(), small.clone(), T);
        for i in 0..60 {
            stand.append(&[("a", T + i, i as f64), ("b{x=1}", T + i, 0.1 * i as f64), ("c", T + i, 1.0)]);
        }
        if closed {
            stand.window.close();
            let stand = stand.after_crash(small.clone());
            stand.append(&[("a", T + 60, 1.0)]);
        }
        let disk = stand.disk.image();
        for (file, place, len, byte) in edits {
            let mut paths = [".log", ".checkpoint", ".chunks"].map(|ending| disk.paths(ending)).concat();
            let path = paths.swap_remove(file.index(paths.len()));
            disk.edit(&path, |bytes| {
                let from = place.index(bytes.len() + 1);
                let to = (from + len).min(bytes.len());
                bytes.splice(from..to, std::iter::repeat_n(byte, len / 2));
            });
        }
        let again = Stand::on(disk, small.clone(), T);
        let truth = stand.content();
        for (series, samples) in again.content() {
            let there = |sample: &(i64, u64)| truth[&series].contains(sample) || *sample == (T + 60, 1.0_f64.to_bits());
            prop_assert!(samples.iter().all(there), "{} {:?}", series, samples);
            prop_assert!(samples.is_sorted_by(|a, b| a.0 < b.0));
        }
        again.append(&[("a", T + 100, 1.0), ("new", T + 100, 2.0)]);
        prop_assert_eq!(again.after_crash(small).content(), again.content());
    }
}
