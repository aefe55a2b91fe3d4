//! Random operations on the window and on a plain map beside it, with crashes and failing disks in between.

use std::collections::BTreeMap;

use collector_model::{Append, MatchOp, Matcher, RefSample, STALE_NAN};
use collector_tsdb::Options;
use proptest::prelude::*;

use crate::fake_disk::FakeDisk;
use crate::stand::{Content, START as T, Stand, labels, options};

const NAMES: [&str; 6] = ["a", "b", "c{x=1}", "c{x=2}", "d{x=1,y=2}", "e"];

#[derive(Clone, Debug)]
enum Step {
    /// One append: for each series of the bits, so many samples, so far apart.
    Append {
        series: u8,
        samples: u8,
        step_ms: i64,
        value: u64,
    },
    Maintain,
    Crash,
    CleanRestart,
}

fn any_step() -> impl Strategy<Value = Step> {
    let value =
        prop_oneof![any::<u64>(), Just(STALE_NAN.to_bits()), (0_i32..1_000).prop_map(|i| f64::from(i).to_bits())];
    let append = (1_u8..64, 1_u8..40, prop_oneof![Just(1_000_i64), 0_i64..5_000], value)
        .prop_map(|(series, samples, step_ms, value)| Step::Append { series, samples, step_ms, value });
    prop_oneof![12 => append, 2 => Just(Step::Maintain), 2 => Just(Step::Crash), 1 => Just(Step::CleanRestart)]
}

fn small() -> Options {
    Options {
        chunk_samples: 16,
        wal_segment_bytes: 2_000,
        checkpoint_wal_bytes: 4_000,
        checkpoint_interval_ms: 30_000,
        ..options()
    }
}

/// The samples of one append, and the map after it.
fn next_batch(stand: &Stand, model: &mut Content, newest: &mut i64, step: &Step) -> Vec<RefSample> {
    let Step::Append { series, samples, step_ms, value } = step else { return Vec::new() };
    let mut batch = Vec::new();
    for i in 0..i64::from(*samples) {
        *newest += 1 + step_ms;
        for (bit, name) in NAMES.iter().enumerate().filter(|(bit, _)| series & (1 << bit) != 0) {
            let bits = value.wrapping_add((i * bit as i64) as u64);
            let labels = labels(name);
            batch.push(RefSample {
                series: stand.window.resolve(&labels).unwrap(),
                timestamp_ms: *newest,
                value: f64::from_bits(bits),
            });
            model.entry(labels.to_string()).or_default().push((*newest, bits));
        }
    }
    batch
}

fn check_against(stand: &Stand, model: &Content, newest: i64) {
    assert_eq!(&stand.content(), model);
    let middle = T + (newest - T) / 2;
    let matcher = Matcher::new(MatchOp::Regex, "x", "1|3").unwrap();
    let want: Content = model
        .iter()
        .filter(|(name, _)| name.contains("x=\"1\""))
        .map(|(n, s)| (n.clone(), s.iter().filter(|(t, _)| *t >= middle).copied().collect::<Vec<_>>()))
        .filter(|(_, samples)| !samples.is_empty())
        .collect();
    assert_eq!(stand.select(middle, newest, &[matcher]), want);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn holds_what_a_map_holds(steps in proptest::collection::vec(any_step(), 1..40)) {
        let mut stand = Stand::on(FakeDisk::default(), small(), T);
        let mut model = Content::new();
        let mut newest = T;
        for step in &steps {
            match step {
                Step::Append { .. } => {
                    let batch = next_batch(&stand, &mut model, &mut newest, step);
                    stand.clock.set(newest);
                    prop_assert_eq!(stand.window.append(&batch).unwrap().accepted, batch.len());
                }
                Step::Maintain => {
                    stand.clock.advance(20_000);
                    newest += 20_000;
                    stand.window.maintain();
                }
                Step::Crash => stand = stand.after_crash(small()),
                Step::CleanRestart => {
                    stand.window.close();
                    stand = stand.after_crash(small());
                }
            }
            check_against(&stand, &model, newest);
        }
        check_against(&stand.after_crash(small()), &model, newest);
    }

    /// Every append is whole or not there at all; while the disk takes writes, all of them are there.
    #[test]
    fn a_crash_at_any_write_keeps_whole_appends(
        steps in proptest::collection::vec(any_step(), 1..25),
        writes in 0_u64..60,
        heals in any::<bool>(),
    ) {
        let stand = Stand::on(FakeDisk::default(), small(), T);
        stand.disk.fail_after(writes);
        let mut newest = T;
        // The map after each append, and how many of them are surely safe.
        let mut after = vec![Content::new()];
        let mut safe = 0;
        for step in &steps {
            match step {
                Step::Append { .. } => {
                    let mut model = after.last().unwrap().clone();
                    let batch = next_batch(&stand, &mut model, &mut newest, step);
                    stand.clock.set(newest);
                    prop_assert_eq!(stand.window.append(&batch).unwrap().accepted, batch.len());
                    after.push(model);
                }
                _ => {
                    stand.clock.advance(20_000);
                    newest += 20_000;
                    stand.window.maintain();
                }
            }
            let at = after.len() - 1;
            // The window itself goes on whatever the disk does.
            prop_assert_eq!(&stand.content(), &after[at]);
            if stand.window.status(0).log_failure.is_none() {
                safe = at;
            }
            let found = stand.after_crash(small()).content();
            let whole = after[safe..].contains(&found);
            prop_assert!(whole, "after {} appends, {} of them safe, found {:?}", at, safe, found);
        }
        if heals {
            stand.disk.heal();
            stand.clock.advance(2_000);
            stand.window.maintain();
            prop_assert_eq!(&stand.after_crash(small()).content(), after.last().unwrap());
        }
    }
}

/// Pins the model down: what it must hold after two appends, written out.
#[test]
fn the_model_itself_holds_samples() {
    let stand = Stand::new();
    let (mut model, mut newest) = (Content::new(), T);
    let step = Step::Append { series: 0b101, samples: 2, step_ms: 9, value: 7 };
    assert_eq!(next_batch(&stand, &mut model, &mut newest, &step).len(), 4);
    let want = BTreeMap::from([
        ("a".to_owned(), vec![(T + 10, 7), (T + 20, 7)]),
        ("c{x=\"1\"}".to_owned(), vec![(T + 10, 7), (T + 20, 9)]),
    ]);
    assert_eq!(model, want);
}
