//! Many threads at once: appends of their own series and of a shared one, queries, upkeep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use collector_model::{Append, Matcher, RefSample, Rejection, Select, Selection, Unbounded};
use collector_tsdb::Options;

use crate::stand::{START as T, Stand, labels, options};

const WRITERS: i64 = 4;
const SERIES: i64 = 50;
const ROUNDS: i64 = 400;

fn busy() -> Options {
    Options {
        checkpoint_interval_ms: 0,
        sync_interval_ms: 0,
        wal_segment_bytes: 20_000,
        retention_ms: 600_000,
        ..options()
    }
}

fn write(stand: &Stand, writer: i64) -> usize {
    let own: Vec<_> = (0..SERIES).map(|i| stand.series(&format!("m{i}{{writer={writer}}}"))).collect();
    let shared = stand.series("shared");
    let mut shared_taken = 0;
    for round in 1..=ROUNDS {
        let mut batch: Vec<_> = own
            .iter()
            .map(|series| RefSample { series: *series, timestamp_ms: T + round, value: (round * writer) as f64 })
            .collect();
        batch.push(RefSample { series: shared, timestamp_ms: T + round * WRITERS + writer, value: writer as f64 });
        let appended = stand.window.append(&batch).unwrap();
        let shared_refused = matches!(appended.rejected[..], [(50, Rejection::OutOfOrder)]);
        assert!(shared_refused || appended.rejected.is_empty(), "{:?}", appended.rejected);
        shared_taken += usize::from(!shared_refused);
    }
    shared_taken
}

#[test]
fn nothing_is_lost_or_torn_between_threads() {
    let stand = Stand::on(Default::default(), busy(), T);
    let done = AtomicBool::new(false);
    let shared_taken = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|w| {
                scope.spawn({
                    let stand = &stand;
                    move || write(stand, w)
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                stand.window.maintain();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let matchers = vec![Matcher::equal("__name__", "m7")];
                let selection = Selection { min_ms: T, max_ms: T + ROUNDS, matchers };
                for found in stand.window.select(&selection, &Unbounded).unwrap() {
                    let times = found.samples.iter().map(|s| s.timestamp_ms);
                    // Without gaps from the first round to the newest.
                    assert!(times.eq(T + 1..=T + found.samples.len() as i64), "{:?}", found.samples);
                }
            }
        });
        let taken = writers.into_iter().map(|w| w.join().unwrap()).sum::<usize>();
        done.store(true, Ordering::Relaxed);
        taken
    });
    let content = stand.content();
    assert_eq!(content.len() as i64, WRITERS * SERIES + 1);
    assert_eq!(content["shared"].len(), shared_taken);
    for samples in content.iter().filter(|(name, _)| *name != "shared").map(|(_, samples)| samples) {
        assert!(samples.iter().map(|(t, _)| *t).eq(T + 1..=T + ROUNDS));
    }
    assert_eq!(stand.ear.heard.lock().unwrap().len(), content.values().map(Vec::len).sum::<usize>());
    // The log has the samples of the shared series in the order in which they were taken.
    assert_eq!(stand.after_crash(busy()).content(), content);
}

#[test]
fn one_series_however_many_ask_for_it() {
    let stand = Stand::new();
    let handles: Vec<_> = thread::scope(|scope| {
        let all: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..500).map(|i| stand.series(&format!("m{i}"))).collect::<Vec<_>>()))
            .collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert!(handles.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(stand.window.status(0).series, 500);
    assert_eq!(stand.window.labels(handles[0][3]), Some(labels("m3")));
}

#[test]
fn series_come_and_go_under_queries() {
    let stand = Stand::on(Default::default(), Options { retention_ms: 1_000, ..busy() }, T);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..2_000_i64 {
                stand.clock.set(T + round * 10);
                stand.append(&[(&format!("m{}{{round={round}}}", round % 7), T + round * 10, round as f64)]);
            }
            done.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                stand.window.maintain();
            }
        });
        while !done.load(Ordering::Relaxed) {
            for found in
                stand.window.select(&Selection { min_ms: 0, max_ms: i64::MAX, matchers: vec![] }, &Unbounded).unwrap()
            {
                // The samples belong to the labels, though slots are used again all the time.
                let round: f64 = found.labels.get("round").unwrap().parse().unwrap();
                assert_eq!(found.samples[0].value, round);
            }
        }
    });
    stand.clock.advance(3_000);
    stand.window.maintain();
    assert_eq!(stand.window.status(0).series, 0);
    assert_eq!(stand.ear.forgotten.lock().unwrap().len(), 2_000);
}
