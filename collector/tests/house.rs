//! The house's laws, as tests: which package may import which, that every crate opts into the lints, that a
//! file stays one idea, that documents name paths which exist.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our packages a package may import. One without a line here fails the test, and so does a wrong edge.
const LAW: &[(&str, &[&str])] = &[
    ("agent-exposition", &[]),
    ("agent-procfs", &[]),
    ("agent-gpu", &["agent-procfs", "agent-exposition"]),
    ("agent-node", &["agent-procfs", "agent-exposition", "agent-gpu"]),
    ("agent-container", &["agent-procfs", "agent-exposition", "agent-gpu"]),
    ("atalaia-agent", &["agent-exposition", "agent-procfs", "agent-gpu", "agent-node", "agent-container"]),
    ("collector-model", &[]),
    // A crate of its own because scraping, discovery and delivery share it and may not import each other.
    ("collector-http", &[]),
    ("collector-tsdb", &["collector-model"]),
    ("collector-promql", &["collector-model"]),
    ("collector-discovery", &["collector-model", "collector-http"]),
    ("collector-remote", &["collector-model", "collector-http"]),
    ("collector-scrape", &["collector-model", "collector-http", "collector-discovery", "agent-exposition"]),
    ("collector-ruler", &["collector-model", "collector-promql"]),
    (
        "atalaia-collector",
        &[
            "collector-model",
            "collector-http",
            "collector-tsdb",
            "collector-promql",
            "collector-discovery",
            "collector-remote",
            "collector-scrape",
            "collector-ruler",
            "atalaia-agent",
        ],
    ),
    ("services-kit", &[]),
    ("services-file-transfer", &["services-kit"]),
    ("services-voting", &["services-kit"]),
    ("services-echo", &["services-kit"]),
    ("services-hits", &["services-kit"]),
    ("services-registry", &["services-kit"]),
    // What tests start and stop; everything may have it as a dev-dependency, which the law does not look at.
    ("provisioning-parts", &[]),
    ("provisioning-tests", &[]),
];

/// Lines a source file may have before it must name its reason in its first lines with `Long because`.
const FILE_LINES: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Package name → the packages of ours that it depends on outside its tests.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    packages
        .iter()
        .map(|package| {
            let wanted = package["dependencies"].as_array().unwrap().iter();
            let wanted = wanted.filter(|d| d["kind"].as_str() != Some("dev")).map(|d| d["name"].as_str().unwrap());
            let wanted = wanted.filter(|name| ours.contains(name)).map(str::to_owned).collect();
            (package["name"].as_str().unwrap().to_owned(), wanted)
        })
        .collect()
}

fn breaches(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (package, imports) in edges {
        let Some((_, allowed)) = LAW.iter().find(|(name, _)| name == package) else {
            found.push(format!("{package} has no line in the law"));
            continue;
        };
        for import in imports.iter().filter(|i| !allowed.contains(&i.as_str())) {
            found.push(format!("{package} must not import {import}"));
        }
    }
    found
}

#[test]
fn imports_go_left_only() {
    assert_eq!(breaches(&edges()), Vec::<String>::new());
}

#[test]
fn a_wrong_edge_and_an_unknown_package_are_seen() {
    let mut edges = edges();
    edges.get_mut("collector-tsdb").unwrap().insert("collector-remote".to_owned());
    edges.insert("collector-new".to_owned(), BTreeSet::new());
    assert_eq!(
        breaches(&edges),
        ["collector-new has no line in the law", "collector-tsdb must not import collector-remote"]
    );
}

#[test]
fn every_package_opts_into_the_lints() {
    for package in metadata()["packages"].as_array().unwrap() {
        let manifest = std::fs::read_to_string(package["manifest_path"].as_str().unwrap()).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} does not opt in", package["name"]);
    }
}

/// Crates that must stay free of async, clocks, environment and files, with the files that are excused.
const PURE: &[(&str, &[&str])] = &[
    // A question over netlink has a deadline.
    ("agent/procfs/src", &["root.rs", "connection.rs"]),
    ("agent/exposition/src", &[]),
    ("collector/model/src", &[]),
    ("collector/promql/src", &[]),
    ("collector/tsdb/src/encoding", &[]),
];

#[test]
fn pure_crates_touch_nothing() {
    let banned = [
        "std::fs",
        "std::env",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "SystemTime::now",
        "Instant::now",
        "tokio::",
        "async fn",
    ];
    for (folder, excused) in PURE {
        for file in files(&root().join(folder), "rs") {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            // Tests at the end of a file, and files of tests, may.
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for word in banned.iter().filter(|_| !excused.contains(&name.as_str()) && name != "tests.rs") {
                assert!(!code.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

#[test]
fn no_file_holds_two_ideas() {
    let mut long = Vec::new();
    for folder in ["agent", "collector", "services"] {
        for file in files(&root().join(folder), "rs") {
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("\n#[cfg(test)]").next().unwrap();
            let lines = code.lines().count();
            if lines > FILE_LINES && !text.lines().take(12).any(|l| l.contains("Long because")) {
                long.push(format!("{} has {lines} lines", file.display()));
            }
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

/// Every path in backticks in a README that looks like one of this repository's must exist.
#[test]
fn documents_name_paths_that_exist() {
    let rooms = ["agent/", "collector/", "rules/", "services/", "provisioning/", "dashboards/", ".ci/", ".github/"];
    let mut missing = Vec::new();
    for document in files(&root(), "md") {
        let text = std::fs::read_to_string(&document).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.trim_end_matches('/');
            let plain = !path.contains(['*', '{', '<', ' ', '$', '…', '\n'])
                && !path.contains("NAME")
                && !path.contains("GROUP");
            if plain && rooms.iter().any(|r| path.starts_with(r)) && !root().join(path).exists() {
                missing.push(format!("{} names {path}", document.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_room_has_a_readme() {
    let mut rooms: Vec<PathBuf> = metadata()["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| Path::new(p["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned())
        .collect();
    rooms.extend(["rules", "provisioning"].map(|r| root().join(r)));
    let without: Vec<_> = rooms.iter().filter(|r| !r.join("README.md").exists()).collect();
    assert_eq!(without, Vec::<&PathBuf>::new());
}

/// The project stands alone: nothing in it leans on the folder it was once written in.
#[test]
fn nothing_names_the_workplace() {
    let words = [["../", "shared"].concat(), ["/work", "/"].concat()];
    for extension in ["rs", "md", "sh", "toml", "yml"] {
        for file in files(&root(), extension) {
            let text = std::fs::read_to_string(&file).unwrap();
            for word in &words {
                assert!(!text.contains(word.as_str()), "{} names {word}", file.display());
            }
        }
    }
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                let skipped = ["target", "node_modules", ".git", ".atalaia", "corpus", "fixtures"];
                if !skipped.contains(&name) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
