//! File discovery on real files, and the way from one configuration to the next.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use collector_discovery::{DiscoveryConfig, spec_of};

use self::support::{parse, world};

fn files(pattern: &Path) -> Vec<DiscoveryConfig> {
    parse("file_sd_configs", &format!("[{{files: ['{}']}}]", pattern.display())).unwrap()
}

#[tokio::test]
async fn files_of_every_kind_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("a.json"), r#"[{"targets": ["a:1", "a:2"], "labels": {"dc": "x"}}, {"targets": ["a:3"]}]"#)
        .unwrap();
    std::fs::write(path("b.json"), "[]").unwrap();
    std::fs::write(path("other.txt"), "no").unwrap();
    let mut world = world();
    world.apply(&files(&path("*.json")));
    world.wait_for(&["a:1{dc=\"x\"}", "a:2{dc=\"x\"}", "a:3{}"]).await;
    assert!(world.metric("prometheus_sd_discovered_targets{name=\"scrape\",config=\"j\"} 3"));
    // Fewer groups, and a file that had none.
    std::fs::write(path("a.json"), r#"[{"targets": ["a:1"]}]"#).unwrap();
    std::fs::write(path("b.json"), r#"[{"targets": ["b:1"]}]"#).unwrap();
    world.wait_for(&["a:1{}", "b:1{}"]).await;
    // As editors and configuration tools do it: a new file takes the name.
    std::fs::write(path("new"), r#"[{"targets": ["a:9"]}]"#).unwrap();
    std::fs::rename(path("new"), path("a.json")).unwrap();
    world.wait_for(&["a:9{}", "b:1{}"]).await;
    std::fs::remove_file(path("a.json")).unwrap();
    world.wait_for(&["b:1{}"]).await;
}

#[tokio::test]
async fn a_malformed_file_keeps_its_last_good_targets() {
    let folder = tempfile::tempdir().unwrap();
    let (bad, good) = (folder.path().join("bad.yml"), folder.path().join("good.yml"));
    std::fs::write(&bad, "- targets: [a:1]\n  labels: {version: 1.10}\n").unwrap();
    std::fs::write(&good, "- targets: [b:1]\n").unwrap();
    let mut world = world();
    world.apply(&files(&folder.path().join("*.yml")));
    world.wait_for(&["a:1{version=\"1.10\"}", "b:1{}"]).await;
    std::fs::write(&bad, "- targets: [a:1]\n  lables: {}\n").unwrap();
    std::fs::write(&good, "- targets: [b:2]\n").unwrap();
    world.wait_for(&["a:1{version=\"1.10\"}", "b:2{}"]).await;
    assert!(!world.metric("prometheus_sd_file_read_errors_total 0"));
    std::fs::write(&bad, "- targets: [a:2]\n").unwrap();
    world.wait_for(&["a:2{}", "b:2{}"]).await;
}

#[tokio::test]
async fn a_reload_leaves_no_gap_and_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yml");
    std::fs::write(&path, "- targets: [a:1]\n").unwrap();
    let fixed = |targets: &str| parse("static_configs", &format!("[{{targets: [{targets}]}}]")).unwrap();
    let mut world = world();
    world.apply(&[files(&path), fixed("'s:1'")].concat());
    world.wait_for(&["a:1{}", "s:1{}"]).await;
    // The entry of the file is the same, so its provider runs on.
    world.apply(&[fixed("'s:1', 's:2'"), files(&path)].concat());
    let seen = world.targets();
    assert!(seen.contains(&"a:1{}".to_owned()) && seen.contains(&"s:1{}".to_owned()), "{seen:?}");
    world.wait_for(&["a:1{}", "s:1{}", "s:2{}"]).await;
    world.apply(&fixed("'s:2'"));
    world.wait_for(&["s:2{}"]).await;
    world.apply(&[]);
    world.wait_for(&[]).await;
}

#[test]
fn refusals_say_what_is_wrong() {
    let refused = |key: &str, yaml: &str| parse(key, yaml).expect_err(yaml);
    assert!(refused("file_sd_configs", "[{files: []}]").contains("at least one path"));
    assert!(refused("file_sd_configs", "[{files: [a.txt]}]").contains("\"a.txt\" is not valid for file discovery"));
    assert!(refused("file_sd_configs", "[{files: ['*/a.yml']}]").contains("not valid for file discovery"));
    assert!(refused("file_sd_configs", "[{files: [a.yml], refresh_interval: 0s}]").contains("greater than zero"));
    assert!(refused("file_sd_configs", "[{file: [a.yml]}]").contains("unknown field `file`"));
    assert!(refused("static_configs", "[{target: [a]}]").contains("unknown field `target`"));
    assert!(refused("static_configs", "[null]").contains("expected struct"));
    assert!(spec_of("docker_sd_config").is_none() && spec_of("docker_sd_configs").is_some());
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_keeps_its_last_good_targets() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("real")).unwrap();
    std::fs::write(path("real/a.yml"), "- targets: [a:1]\n").unwrap();
    std::fs::write(path("real/b.yml"), "- targets: [b:1]\n").unwrap();
    std::os::unix::fs::symlink(path("real"), path("sd")).unwrap();
    std::fs::write(path("other.yml"), "- targets: [o:1]\n").unwrap();
    let shown = |name: &str| path(name).display().to_string();
    let list = format!("'{}', '{}', '{}'", shown("sd/a*.yml"), shown("sd/b.yml"), shown("other.yml"));
    let mut world = world();
    world.apply(&parse("file_sd_configs", &format!("[{{files: [{list}], refresh_interval: 50ms}}]")).unwrap());
    world.wait_for(&["a:1{}", "b:1{}", "o:1{}"]).await;
    assert!(world.metric("prometheus_sd_file_read_errors_total 0"));
    // A file takes the folder's name: even root cannot read a folder there.
    std::fs::write(path("file"), "").unwrap();
    std::fs::rename(path("file"), path("sd")).unwrap();
    std::fs::write(path("other.yml"), "- targets: [o:2]\n").unwrap();
    world.wait_for(&["a:1{}", "b:1{}", "o:2{}"]).await;
    assert!(!world.metric("prometheus_sd_file_read_errors_total 0"));
    // It is back, with other files in it: only now it is known that the old ones are gone.
    std::fs::rename(path("real/a.yml"), path("real/a2.yml")).unwrap();
    std::fs::write(path("real/a2.yml"), "- targets: [a:2]\n").unwrap();
    std::os::unix::fs::symlink(path("real"), path("link")).unwrap();
    std::fs::rename(path("link"), path("sd")).unwrap();
    world.wait_for(&["a:2{}", "b:1{}", "o:2{}"]).await;
}
