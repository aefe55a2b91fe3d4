//! The boards of `dashboards/`: that Grafana can read them, that they keep their own rules, and that every query in
//! them has an answer where everything that they show is running.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

#[path = "dashboards/answers.rs"]
mod answers;
#[path = "dashboards/faults.rs"]
mod faults;
#[path = "dashboards/fields.rs"]
mod fields;
#[path = "dashboards/lint.rs"]
mod lint;
#[path = "dashboards/load.rs"]
mod load;
#[path = "dashboards/options.rs"]
mod options;
#[path = "dashboards/panels.rs"]
mod panels;
#[path = "dashboards/queries.rs"]
mod queries;
#[path = "dashboards/schema.rs"]
mod schema;
#[path = "dashboards/sources.rs"]
mod sources;
#[path = "dashboards/stack.rs"]
mod stack;

use std::collections::{BTreeMap, BTreeSet};

use answers::Asker;
use provisioning_parts::root;
use serde::Deserialize;
use sources::{DataSources, Providers, boards, folder};
use stack::Stack;

/// What the collector makes by itself of every target and of every alert.
const OWN: [&str; 7] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "ALERTS",
    "ALERTS_FOR_STATE",
];

#[test]
fn boards_keep_the_rules() {
    let boards = boards().unwrap();
    let stems: Vec<&str> = boards.iter().map(|board| board.stem.as_str()).collect();
    assert_eq!(stems, ["containers", "influxdb-containers", "influxdb-vms", "nodes", "pipeline", "workloads"]);
    assert_eq!(lint::complaints(&boards, &DataSources::read().unwrap().references()), Vec::<String>::new());
}

#[test]
fn provisioning_is_as_promised() {
    let sources = DataSources::read().unwrap();
    let uids: BTreeMap<&str, &str> = sources.datasources.iter().map(|s| (s.uid.as_str(), s.kind.as_str())).collect();
    let wanted = [("collector", "prometheus"), ("influxdb-containers", "influxdb"), ("influxdb-vms", "influxdb")];
    assert_eq!(uids, BTreeMap::from(wanted));
    assert_eq!(sources.datasources.iter().filter(|source| source.is_default).count(), 1);

    let mut used = BTreeSet::new();
    for source in &sources.datasources {
        used.extend(queries::names(&source.url));
        let header = source.secure_json_data.as_ref().map(|secure| queries::names(&secure.http_header_value));
        used.extend(header.unwrap_or_default());
    }
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let untold: Vec<&String> = used.iter().filter(|name| !readme.contains(name.as_str())).collect();
    assert_eq!(untold, Vec::<&String>::new(), "the README names each variable");

    let [provider] = &Providers::read().unwrap().providers[..] else { panic!("one provider") };
    assert_eq!((provider.kind.as_str(), provider.folder.as_str()), ("file", "Atalaia"));
    assert!(readme.contains(&provider.options.path), "the README names {}", provider.options.path);
}

#[test]
fn every_query_has_an_answer() {
    let boards = boards().unwrap();
    let stack = Stack::start();
    Asker::new(&stack, DataSources::read().unwrap()).await_answers(&boards);

    let known = stack.names().into_iter().chain(OWN.map(str::to_owned)).chain(recorded()).collect();
    assert_eq!(lint::unknown_metrics(&boards, &known), BTreeMap::new());
}

/// The names that the rules record.
fn recorded() -> BTreeSet<String> {
    #[derive(Deserialize)]
    struct File {
        groups: Vec<Group>,
    }
    #[derive(Deserialize)]
    struct Group {
        rules: Vec<Rule>,
    }
    #[derive(Deserialize)]
    struct Rule {
        record: Option<String>,
    }
    let files = ["vms", "containers"].map(|group| root().join(format!("rules/{group}.rules.yml")));
    let read = |path| serde_yaml_ng::from_str::<File>(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rules = files.into_iter().map(read).flat_map(|file| file.groups).flat_map(|group| group.rules);
    rules.filter_map(|rule| rule.record).collect()
}
