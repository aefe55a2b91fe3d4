//! The checker of `tests/compat.rs` over pages that somebody has doctored: each fault is seen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "compat/mod.rs"]
mod compat;

use compat::allowed::{Allowed, Entry, What};
use compat::compare::{Comparison, Round, compare};
use compat::pages::Page;
use compat::report::{Colours, table};

const PAGE: &str = "\
# HELP node_load1 Load.
# TYPE node_load1 gauge
node_load1 1.5
# HELP node_forks_total Forks.
# TYPE node_forks_total counter
node_forks_total 40
# HELP node_disk_info Disks.
# TYPE node_disk_info gauge
node_disk_info{device=\"sda\",model=\"x\",serial=\"\"} 1
node_disk_info{device=\"sdb\",model=\"y\",serial=\"\"} 1
";

fn checked(entries: &'static [Entry], before: &str, ours: &str, after: &str) -> (Comparison, Vec<Entry>) {
    let allowed = Allowed::new(entries);
    let page = Page::parse;
    let round = || Round { before: page(before), ours: page(ours), after: page(after) };
    let comparison = compare(&allowed, (0..3).map(|_| round()));
    (comparison, allowed.unused())
}

#[track_caller]
fn check(doctor: impl Fn(&str) -> String, want: &[(&str, &str)]) {
    let (comparison, _) = checked(&[], PAGE, &doctor(PAGE), PAGE);
    let found: Vec<_> = comparison.unexplained().map(|found| (found.family.as_str(), found.what.as_str())).collect();
    assert_eq!(found, want);
    let printed = table("a page", &comparison, Colours(false));
    assert_eq!(printed.matches("UNEXPLAINED").count(), want.len(), "{printed}");
}

#[test]
fn each_fault_of_a_page_is_seen() {
    check(str::to_owned, &[]);
    check(|page| page.replace("node_load1", "node_load"), &[("node_load", "only here"), ("node_load1", "only there")]);
    check(
        |page| page.replace("node_forks_total counter", "node_forks_total gauge"),
        &[("node_forks_total", "gauge here, counter there")],
    );
    check(|page| page.replace("node_load1 1.5", "node_load1 1.6"), &[("node_load1", "1.6 here, 1.5 to 1.5 there")]);
    check(
        |page| page.replace("node_forks_total 40", "node_forks_total 41"),
        &[("node_forks_total", "41 here, 40 to 40 there")],
    );
    check(
        |page| page.replace("model=\"y\"", "model=\"z\""),
        &[
            ("node_disk_info{device=\"sdb\",model=\"y\"}", "only there"),
            ("node_disk_info{device=\"sdb\",model=\"z\"}", "only here"),
        ],
    );
    check(
        |page| page.replace("node_disk_info{device=\"sdb\",model=\"y\",serial=\"\"} 1\n", ""),
        &[("node_disk_info{device=\"sdb\",model=\"y\"}", "only there")],
    );
}

#[test]
fn other_words_and_what_moves_are_no_faults() {
    let ours = PAGE.replace("HELP node_load1 Load.", "HELP node_load1 Tasks.").replace("total 40", "total 41");
    let (comparison, _) = checked(&[], PAGE, &ours, &PAGE.replace("total 40", "total 42"));
    assert_eq!(comparison.differences.len(), 0, "{comparison:?}");
    assert_eq!((comparison.families, comparison.other_helps), (3, 1));
    assert_eq!((comparison.still, comparison.moving, comparison.not_compared), (3, 1, 0));
}

#[test]
fn what_was_once_right_is_right() {
    let allowed = Allowed::new(&[]);
    let round = |ours: &str, load: &str| Round {
        before: Page::parse(PAGE),
        ours: Page::parse(&PAGE.replace("1.5", load).replace("40", ours)),
        after: Page::parse(PAGE),
    };
    let differing = |rounds: Vec<Round>| compare(&allowed, rounds.into_iter()).differences.len();
    assert_eq!(differing(vec![round("39", "1.5"), round("40", "9")]), 0);
    assert_eq!(differing(vec![round("39", "9"), round("40", "9")]), 1);
    let with_more =
        Round { ours: Page::parse(&format!("{PAGE}# TYPE node_new gauge\nnode_new 1\n")), ..round("40", "1.5") };
    assert_eq!(differing(vec![with_more, round("40", "1.5")]), 0);
}

#[test]
fn what_is_meant_needs_its_entry_and_an_entry_its_use() {
    const ENTRIES: &[Entry] = &[
        ("node_load*", What::Ours, "ours"),
        ("node_load1", What::Theirs, "theirs"),
        ("node_forks_total", What::Type, "type"),
        ("node_disk_*", What::Label("serial"), "label"),
        ("node_disk_info", What::SeriesOf("device", "sdc"), "series"),
        ("node_time_seconds", What::Values, "outlived"),
    ];
    let ours = PAGE
        .replace("node_load1", "node_load")
        .replace("node_forks_total counter", "node_forks_total gauge")
        .replace("serial=\"\"", "serial=\"7\"");
    let ours = format!("{ours}node_disk_info{{device=\"sdc\",model=\"z\",serial=\"\"}} 1\n");
    let (comparison, unused) = checked(ENTRIES, PAGE, &ours, PAGE);
    assert_eq!(comparison.unexplained().count(), 0, "{comparison:?}");
    assert_eq!(unused, [("node_time_seconds", What::Values, "outlived")]);
    let printed = table("a page", &comparison, Colours(true));
    assert!(printed.contains("only here") && printed.contains("theirs: node_load1"), "{printed}");
}
