//! Taking, refusing, giving back, and coming back after a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use collector_model::{
    Append, AppendError, Appended, Budget, Matcher, NORMAL_NAN, NoForward, RefSample, Rejection, STALE_NAN, Select,
    SelectError, Selection, SeriesRef,
};
use collector_tsdb::{OpenError, Options, Window};
use prometheus_client::registry::Registry;

use crate::stand::{SetClock, Stand, labels, one, options};

use crate::stand::START as T;

#[test]
fn gives_back_what_it_took_before_and_after_a_crash() {
    let stand = Stand::new();
    let values = [1.0, STALE_NAN, NORMAL_NAN, f64::INFINITY, -0.0, 0.1, 1e300];
    let samples: Vec<_> =
        (0..1_000).map(|i| (T + i * 5_000 - 1_000 * 5_000, values[i as usize % values.len()])).collect();
    for (timestamp_ms, value) in &samples {
        let appended = stand.append(&[("up{job=a}", *timestamp_ms, *value)]);
        assert_eq!(appended, Appended { accepted: 1, rejected: vec![] });
    }
    let want = one("up{job=\"a\"}", samples);
    assert_eq!(stand.content(), want);
    let again = stand.after_crash(options());
    assert_eq!(again.content(), want);
    again.window.close();
    assert!(matches!(again.window.append(&[]), Err(AppendError::Closed)));
    assert_eq!(again.content(), want);
    assert_eq!(again.after_crash(options()).content(), want);
    // A start behind a clean end has no log to read.
    assert_eq!(again.disk.paths(".log").len(), 1);
}

#[test]
fn refuses_each_bad_sample_by_its_reason_and_takes_the_rest() {
    let stand = Stand::new();
    stand.append(&[("a", T, 1.0)]);
    let hours = 3_600_000;
    let a = stand.series("a");
    let sample = |series, timestamp_ms, value| RefSample { series, timestamp_ms, value };
    let batch = [
        sample(a, T - 1, 1.0),
        sample(a, T, 1.0),
        sample(a, T, 2.0),
        sample(a, T - 6 * hours - 1, 1.0),
        sample(a, T + 600_001, 1.0),
        sample(SeriesRef(a.0 + (1 << 32)), T, 1.0),
        sample(SeriesRef(99), T, 1.0),
        sample(a, T + 600_000, 3.0),
        sample(stand.series("b"), T - 6 * hours, 4.0),
    ];
    use Rejection::{Duplicate, OutOfBounds, OutOfOrder, UnknownSeries};
    let rejected = vec![
        (0, OutOfOrder),
        (2, Duplicate),
        (3, OutOfBounds),
        (4, OutOfBounds),
        (5, UnknownSeries),
        (6, UnknownSeries),
    ];
    assert_eq!(stand.window.append(&batch).unwrap(), Appended { accepted: 3, rejected });
    // What was refused or heard before is not heard again.
    let heard: Vec<_> = stand.ear.heard.lock().unwrap().iter().map(|(s, t, _)| (s.clone(), *t)).collect();
    assert_eq!(heard, [("a".into(), T), ("a".into(), T + 600_000), ("b".into(), T - 6 * hours)]);
    assert_eq!(stand.metric("prometheus_tsdb_head_samples_appended_total"), 3.0);
    assert_eq!(stand.metric("prometheus_tsdb_out_of_order_samples_total"), 1.0);
    assert_eq!(stand.metric("prometheus_tsdb_out_of_bound_samples_total"), 2.0);
    assert_eq!(stand.metric("atalaia_tsdb_rejected_samples_total{reason=\"duplicate\"}"), 1.0);
}

#[test]
fn a_repeated_stale_marker_is_no_duplicate() {
    let stand = Stand::new();
    assert_eq!(stand.append(&[("a", T, STALE_NAN), ("a", T, STALE_NAN)]).accepted, 2);
    assert_eq!(stand.append(&[("a", T, NORMAL_NAN)]).rejected, [(0, Rejection::Duplicate)]);
}

#[test]
fn the_newest_sample_is_known_after_a_restart() {
    let stand = Stand::new();
    // Both where the newest sample is in a closed chunk and where it is in an open one.
    for samples in [240, 250] {
        let name = format!("m{samples}");
        for i in 0..samples {
            stand.append(&[(&name, T + i, 1.0)]);
        }
    }
    for _ in 0..2 {
        let again = stand.after_crash(options());
        assert_eq!(again.append(&[("m240", T + 239, 1.0), ("m250", T + 249, 1.0)]).rejected, []);
        assert_eq!(again.append(&[("m240", T + 239, 2.0)]).rejected, [(0, Rejection::Duplicate)]);
        assert_eq!(again.append(&[("m250", T + 248, 1.0)]).rejected, [(0, Rejection::OutOfOrder)]);
        stand.window.close();
    }
}

#[test]
fn selects_by_time_over_closed_and_open_chunks() {
    // Chunks that end on a whole second and chunks that do not.
    for step_ms in [1_000, 1_500] {
        let stand = Stand::new();
        let at = |i: i64| T + i * step_ms;
        for i in 0..400 {
            stand.append(&[("a", at(i), i as f64)]);
        }
        let select = |min_ms, max_ms| stand.select(min_ms, max_ms, &[Matcher::equal("__name__", "a")]);
        for (first, last) in [(0, 399), (0, 0), (119, 119), (119, 121), (120, 120), (230, 399), (399, 399)] {
            let want = one("a", (first..=last).map(|i| (at(i), i as f64)));
            assert_eq!(select(at(first), at(last)), want, "{first}..={last}");
            assert_eq!(select(at(first - 1) + 1, at(last + 1) - 1), want, "{first}..={last} and a bit");
        }
        assert!(select(at(5) + 1, at(6) - 1).is_empty());
        assert!(select(at(119) + 1, at(120) - 1).is_empty());
        assert!(select(at(400), i64::MAX).is_empty());
        assert!(select(i64::MIN, T - 1).is_empty());
    }
}

#[test]
fn a_chunk_that_stays_small_takes_more_samples() {
    let closed_after = |samples: i64, value: fn(f64) -> f64| {
        let stand = Stand::on(Default::default(), Options { chunk_bytes: 160, ..options() }, T);
        for i in 0..samples {
            stand.append(&[("a", T + i, value(i as f64))]);
        }
        assert_eq!(stand.content(), one("a", (0..samples).map(|i| (T + i, value(i as f64)))));
        assert_eq!(stand.after_crash(options()).content(), stand.content());
        stand.metric("prometheus_tsdb_head_chunks_created_total")
    };
    assert_eq!(closed_after(479, |_| 1.0), 0.0);
    assert_eq!(closed_after(480, |_| 1.0), 1.0);
    // A counter has more than 160 bytes at 120 samples, noise has 512 before that.
    assert_eq!(closed_after(120, |i| 1_000.0 + 37.0 * i + i % 7.0), 1.0);
    assert_eq!(closed_after(100, f64::sin), 1.0);
}

struct Room(AtomicUsize);

impl Budget for Room {
    fn take(&self, samples: usize) -> Result<(), SelectError> {
        let taken = self.0.fetch_add(samples, Ordering::SeqCst) + samples;
        if taken > 150 { Err(SelectError::TooManySamples { limit: 150 }) } else { Ok(()) }
    }
}

#[test]
fn asks_the_budget_for_what_it_gives_and_stops_where_that_ends() {
    let stand = Stand::new();
    for i in 0..300 {
        stand.append(&[("a", T + i, 1.0)]);
    }
    let room = Room(AtomicUsize::new(0));
    let matchers = vec![Matcher::equal("__name__", "a")];
    let narrow = Selection { min_ms: T + 100, max_ms: T + 199, matchers: matchers.clone() };
    assert_eq!(stand.window.select(&narrow, &room).unwrap()[0].samples.len(), 100);
    assert_eq!(room.0.load(Ordering::SeqCst), 100);
    let wide = Selection { min_ms: 0, max_ms: i64::MAX, matchers };
    assert!(matches!(stand.window.select(&wide, &room), Err(SelectError::TooManySamples { limit: 150 })));
    assert!(room.0.load(Ordering::SeqCst) <= 100 + 120);
}

#[test]
fn names_series_and_labels() {
    let stand = Stand::new();
    stand.append(&[("up{job=a}", T, 1.0), ("up{job=b,x=1}", T + 10, 1.0), ("cpu{job=a}", T + 20, 1.0)]);
    stand.window.maintain();
    let selection = |min_ms, max_ms, matchers: &[Matcher]| Selection { min_ms, max_ms, matchers: matchers.to_vec() };
    let up = selection(0, i64::MAX, &[Matcher::equal("__name__", "up")]);
    let late = selection(T + 5, i64::MAX, &[]);
    let all = selection(0, i64::MAX, &[]);
    let texts = |selections: &[Selection]| {
        stand.window.series(selections).unwrap().iter().map(|l| l.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(texts(std::slice::from_ref(&up)), ["up{job=\"a\"}", "up{job=\"b\", x=\"1\"}"]);
    assert_eq!(texts(std::slice::from_ref(&late)), ["cpu{job=\"a\"}", "up{job=\"b\", x=\"1\"}"]);
    assert_eq!(texts(&[up, late.clone()]).len(), 3);
    assert_eq!(stand.window.label_names(&[]).unwrap(), ["__name__", "job", "x"]);
    assert_eq!(stand.window.label_names(std::slice::from_ref(&all)).unwrap(), ["__name__", "job", "x"]);
    let cpu = selection(0, i64::MAX, &[Matcher::equal("__name__", "cpu")]);
    assert_eq!(stand.window.label_names(std::slice::from_ref(&cpu)).unwrap(), ["__name__", "job"]);
    assert_eq!(stand.window.label_values("job", &[]).unwrap(), ["a", "b"]);
    assert_eq!(stand.window.label_values("job", &[cpu]).unwrap(), ["a"]);
    assert_eq!(stand.window.label_values("x", &[late]).unwrap(), ["1"]);
    assert!(stand.window.label_values("none", &[all]).unwrap().is_empty());
}

#[test]
fn tells_about_itself() {
    let stand = Stand::new();
    stand.append(&[("up{job=a}", T, 1.0), ("up{job=b}", T + 10, 1.0), ("cpu{job=a}", T + 20, 1.0)]);
    stand.window.maintain();
    let status = stand.window.status(2);
    assert_eq!((status.series, status.chunks, status.label_pairs), (3, 3, 4));
    assert_eq!((status.min_ms, status.max_ms), (Some(T), Some(T + 20)));
    let rows =
        |list: &[collector_tsdb::Ranked]| list.iter().map(|r| format!("{} {}", r.name, r.value)).collect::<Vec<_>>();
    assert_eq!(rows(&status.series_count_by_metric_name), ["up 2", "cpu 1"]);
    assert_eq!(rows(&status.label_value_count_by_label_name), ["__name__ 2", "job 2"]);
    assert_eq!(rows(&status.series_count_by_label_value_pair), ["__name__=up 2", "job=a 2"]);
    assert_eq!(rows(&status.memory_in_bytes_by_label_name), ["__name__ 31", "job 12"]);
    assert_eq!(status.log_failure, None);
    assert!(status.wal_bytes > 0 && status.memory_bytes > 0);
    assert_eq!(stand.metric("prometheus_tsdb_head_series"), 3.0);
    assert_eq!(stand.metric("prometheus_tsdb_head_min_time"), T as f64);
    assert_eq!(stand.metric("prometheus_tsdb_head_max_time"), (T + 20) as f64);
}

#[test]
fn bounds_the_number_of_series() {
    let stand = Stand::on(Default::default(), Options { max_series: 2, ..options() }, T);
    let (a, _) = (stand.series("a"), stand.series("b"));
    assert_eq!(stand.series("a"), a);
    let refused = stand.window.resolve(&labels("c"));
    assert!(matches!(refused, Err(AppendError::SeriesLimit { limit: 2, labels: l }) if l == labels("c")));
}

#[test]
fn a_directory_belongs_to_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &std::path::Path| {
        let clock: Arc<SetClock> = Stand::new().clock;
        Window::open(Options::new(path), clock, Arc::new(NoForward), &mut Registry::default())
    };
    let first = open(dir.path()).unwrap();
    let second = open(dir.path()).map(|_| ());
    assert!(matches!(&second, Err(OpenError::Locked(path)) if path == dir.path()), "{second:?}");
    drop(first);
    open(dir.path()).unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    assert!(matches!(open(&dir.path().join("file")), Err(OpenError::Directory { .. })));
}

#[test]
fn works_on_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let stand = Stand::new();
    let open = || {
        let clock: Arc<SetClock> = Arc::clone(&stand.clock);
        Window::open(Options::new(dir.path()), clock, Arc::new(NoForward), &mut Registry::default()).unwrap()
    };
    let read = |window: &Window| {
        let selection = Selection { min_ms: 0, max_ms: i64::MAX, matchers: vec![Matcher::equal("__name__", "a")] };
        window.select(&selection, &collector_model::Unbounded).unwrap()[0].samples.clone()
    };
    let window = open();
    let series = window.resolve(&labels("a")).unwrap();
    for i in 0..50_000 {
        window.append(&[RefSample { series, timestamp_ms: T + i, value: (i * i) as f64 }]).unwrap();
    }
    window.maintain();
    let want = read(&window);
    assert_eq!(want.len(), 50_000);
    drop(window);
    let window = open();
    assert_eq!(read(&window), want);
    window.close();
    drop(window);
    assert_eq!(read(&open()), want);
}
