//! What leaves the window, when, and what goes with it.

use collector_model::{Append, Appended, RefSample, Rejection, STALE_NAN};
use collector_tsdb::Options;

use crate::stand::{START as T, Stand, options};

const MINUTE: i64 = 60_000;

/// Lets the clock run, a minute at a time, with one sample each for some series.
fn run(stand: &Stand, minutes: i64, series: &[&str]) {
    for _ in 0..minutes {
        use collector_model::Clock;
        let now_ms = stand.clock.now_ms();
        for name in series {
            stand.append(&[(name, now_ms, 1.0)]);
        }
        stand.clock.advance(MINUTE);
        stand.window.maintain();
    }
}

fn hour() -> Options {
    Options { retention_ms: 60 * MINUTE, chunk_samples: 5, ..options() }
}

#[test]
fn samples_leave_after_the_retention_and_not_before() {
    let stand = Stand::on(Default::default(), hour(), T);
    run(&stand, 300, &["a"]);
    let samples = &stand.content()["a"];
    let oldest_minutes = (T + 300 * MINUTE - samples[0].0) / MINUTE;
    // A chunk has five samples and goes as a whole.
    assert!((60..=65).contains(&oldest_minutes), "{oldest_minutes}");
    assert!(stand.disk.paths(".chunks").len() <= 16);
    let oldest = stand.metric("prometheus_tsdb_head_min_time") as i64;
    assert!((samples[0].0 - 30 * MINUTE..=samples[0].0).contains(&oldest));
    assert!(stand.metric("prometheus_tsdb_time_retentions_total") > 8.0);
    assert_eq!(stand.after_crash(hour()).content(), stand.content());
}

#[test]
fn a_series_goes_with_its_last_sample_and_its_handle_is_not_used_again() {
    let stand = Stand::on(Default::default(), hour(), T);
    let old = stand.series("gone{x=1}");
    stand.append(&[("gone{x=1}", T, 1.0)]);
    run(&stand, 60, &["stays"]);
    assert_eq!(stand.content().len(), 2);
    run(&stand, 2, &["stays"]);
    assert_eq!(stand.content().keys().collect::<Vec<_>>(), ["stays"]);
    assert_eq!(stand.ear.forgotten.lock().unwrap().iter().copied().collect::<Vec<_>>(), [old.0]);
    assert_eq!(stand.metric("prometheus_tsdb_head_series_removed_total"), 1.0);
    assert_eq!(stand.metric("prometheus_tsdb_head_series"), 1.0);
    assert_eq!(stand.window.labels(old), None);
    let now_ms = T + 62 * MINUTE;
    let late = RefSample { series: old, timestamp_ms: now_ms, value: 1.0 };
    let refused = Appended { accepted: 0, rejected: vec![(0, Rejection::UnknownSeries)] };
    assert_eq!(stand.window.append(&[late]).unwrap(), refused);
    // The slot is used again, the handle is not.
    let new = stand.series("new");
    assert_eq!(new.0 as u32, old.0 as u32);
    assert_ne!(new, old);
    assert_eq!(stand.window.append(&[late]).unwrap(), refused);
    stand.append(&[("new", now_ms, 5.0)]);
    assert_eq!(stand.after_crash(hour()).content(), stand.content());
}

#[test]
fn a_series_that_never_got_a_sample_goes_too() {
    let stand = Stand::on(Default::default(), hour(), T);
    let unused = stand.series("unused");
    run(&stand, 9, &["a"]);
    assert!(stand.window.labels(unused).is_some());
    run(&stand, 3, &["a"]);
    assert!(stand.window.labels(unused).is_none());
}

#[test]
fn an_ended_series_gives_its_open_chunk_back_early() {
    let stand = Stand::on(Default::default(), Options { chunk_samples: 120, ..hour() }, T);
    stand.append(&[("ended", T, 1.0), ("ended", T + 1, STALE_NAN), ("quiet", T, 1.0)]);
    let created = || stand.metric("prometheus_tsdb_head_chunks_created_total");
    run(&stand, 10, &["a"]);
    assert_eq!(created(), 0.0);
    run(&stand, 2, &["a"]);
    assert_eq!(created(), 1.0);
    run(&stand, 20, &["a"]);
    assert_eq!(created(), 2.0);
    assert_eq!(stand.content().len(), 3);
    assert_eq!(stand.after_crash(hour()).content(), stand.content());
}

#[test]
fn the_oldest_files_go_when_there_is_no_room() {
    let bound = 16_000;
    let options = Options { retention_bytes: Some(bound), ..hour() };
    let stand = Stand::on(Default::default(), Options { checkpoint_interval_ms: MINUTE, ..options }, T);
    let names: Vec<String> = (0..20).map(|i| format!("m{i}{{label=value}}")).collect();
    run(&stand, 55, &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(stand.metric("prometheus_tsdb_size_retentions_total") > 0.0);
    assert_eq!(stand.metric("prometheus_tsdb_time_retentions_total"), 0.0);
    let status = stand.window.status(0);
    // The file being written and the log since the last checkpoint come on top.
    assert!(status.chunk_file_bytes < bound + 4_000, "{status:?}");
    assert_eq!(stand.content().len(), 20);
}

#[test]
fn checkpoints_keep_the_log_short() {
    let often = Options { checkpoint_interval_ms: 10 * MINUTE, wal_segment_bytes: 4_096, ..hour() };
    let stand = Stand::on(Default::default(), often.clone(), T);
    let names: Vec<String> = (0..200).map(|i| format!("m{i}{{label=value{i}}}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut longest = 0;
    for _ in 0..10 {
        run(&stand, 20, &names);
        longest = longest.max(stand.window.status(0).wal_bytes);
        assert_eq!(stand.after_crash(often.clone()).content(), stand.content());
    }
    assert!(longest < 150_000, "{longest}");
    assert!(stand.metric("prometheus_tsdb_checkpoint_creations_total") >= 10.0);
    assert_eq!(stand.disk.paths(".checkpoint").len(), 1);
    assert!(stand.disk.paths(".tmp").is_empty());
}

#[test]
fn a_long_sleep_leaves_nothing_old() {
    let stand = Stand::on(Default::default(), hour(), T);
    run(&stand, 30, &["a", "b"]);
    let again = Stand::on(stand.disk.image(), hour(), T + 1_000 * MINUTE);
    assert!(again.content().is_empty());
    assert_eq!(again.window.status(1).series, 0);
    run(&again, 3, &["a"]);
    assert_eq!(again.content()["a"].len(), 3);
}
