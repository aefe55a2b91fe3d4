//! What decides about labels and the number of series.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, UNIX_EPOCH};

use agent_container::{Config, Containers, LabelPolicy, Renames, Sets};
use support::engine::{Engine, Reply};
use support::{Machine, eventually, no_runtimes, scrape, sum, values};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The container's samples by family.
fn families(page: &str) -> BTreeMap<&str, usize> {
    let mut families = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with("container_") && line.contains(&format!("{A}.scope\""))) {
        *families.entry(line.split('{').next().unwrap()).or_default() += 1;
    }
    families
}

#[test]
fn a_container_with_too_many_series_loses_whole_families_from_the_end() {
    let machine = Machine::from_fixture("v2", UNIX_EPOCH + Duration::from_secs(1_700_000_500));
    let config = Config { sets: Sets::all(), ..machine.config() };
    let page = scrape(&Containers::new(config.clone()).unwrap());
    let whole = families(&page);
    let count: usize = whole.values().sum();
    assert_eq!(sum(&page, "atalaia_container_series_dropped_total", &[]), Some(0.0));

    for limit in [count, count - 1, 60, 1] {
        let containers = Containers::new(Config { series_limit: limit as u32, ..config.clone() }).unwrap();
        let page = scrape(&containers);
        let kept = families(&page);
        let left: usize = kept.values().sum();
        assert!(left <= limit, "{left} of {limit}");
        assert!(kept.iter().all(|(name, samples)| whole[name] == *samples), "half a family: {kept:?}");
        let dropped = sum(&page, "atalaia_container_series_dropped_total", &[]).unwrap();
        // Others may have too many as well.
        assert!(dropped >= (count - left) as f64);
        assert_eq!(left == count, limit == count);
        if limit == count - 1 {
            assert_eq!(kept.len(), whole.len() - 1);
            assert!(!kept.contains_key("container_pressure_io_stalled_seconds_total"), "{kept:?}");
        }
        let again = sum(&scrape(&containers), "atalaia_container_series_dropped_total", &[]).unwrap();
        assert_eq!(again, 2.0 * dropped, "it counts over scrapes");
        assert!(!values(&page, "container_last_seen", &["id=\"/\""]).is_empty(), "the root has no bound");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_new_names_with_docker() {
    check_names(|config, engine| config.docker = Some(engine.address()));
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_new_names_with_podman() {
    check_names(|config, engine| config.podman = Some(engine.address()));
}

#[track_caller]
fn check_names(watch: impl FnOnce(&mut Config, &Engine)) {
    let machine = Machine::new();
    machine.add_container(A);
    let engine = Engine::start(&machine.path(""));
    engine.containers(&[(A, "web")]);
    let answer = format!(
        r#"{{"Id":"{A}","Name":"/web","State":{{"Running":true,"Pid":1}},"Config":{{"Image":"shop/web:1",
        "Labels":{{"com.docker.compose.service":"front"}},"Env":["APP_TIER=gold","PASSWORD=secret","PATH=/bin"]}}}}"#
    );
    engine.reply(&format!("/containers/{A}/json"), Reply::Json(answer));
    let renames = ["com.docker.compose.service=service", "name=container", "container_env_app_tier=tier"];
    let labels = LabelPolicy {
        variables: vec!["APP_".to_owned()],
        renames: Renames::parse(renames).unwrap(),
        ..LabelPolicy::default()
    };
    let mut config = Config { labels, user_runtimes: machine.path("no-users"), ..machine.config() };
    watch(&mut config, &engine);
    let containers = Containers::new(config).unwrap();
    containers.start().unwrap();
    let want = format!(
        "container_memory_usage_bytes{{container=\"web\",id=\"/docker/{A}\",image=\"shop/web:1\",service=\"front\",tier=\"gold\"}} 16384"
    );
    eventually("the renamed labels", || scrape(&containers).lines().any(|line| line == want).then_some(()));
    assert!(!scrape(&containers).contains("secret"));
}

/// A cgroup with a thousand below it in every hierarchy that may be written to; removed in the end.
struct Crowd {
    folders: Vec<std::path::PathBuf>,
}

const CROWD: usize = 1000;

impl Crowd {
    /// `None` where no hierarchy may be written to.
    fn real(name: &str) -> Option<Self> {
        let root = std::path::Path::new("/sys/fs/cgroup");
        let mut roots = vec![root.to_owned()];
        roots.extend(std::fs::read_dir(root).ok()?.flatten().map(|entry| entry.path()));
        // Links to a hierarchy are left out, as are plain cgroups of a single hierarchy.
        let is_one = root.join("cgroup.controllers").exists();
        let tops = roots.into_iter().filter(|top| if is_one { top == root } else { top != root && !top.is_symlink() });
        let mut crowd = Self { folders: Vec::new() };
        for top in tops.filter(|top| top.join("cgroup.procs").exists()) {
            let folder = top.join(name);
            if std::fs::create_dir(&folder).is_err() {
                continue;
            }
            crowd.folders.push(folder.clone());
            for number in 0..CROWD {
                std::fs::create_dir(folder.join(format!("{number}.scope"))).ok()?;
            }
        }
        (!crowd.folders.is_empty()).then_some(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for folder in &self.folders {
            for number in 0..CROWD {
                let _ = std::fs::remove_dir(folder.join(format!("{number}.scope")));
            }
            let _ = std::fs::remove_dir(folder);
        }
    }
}

#[test]
fn a_thousand_cgroups() {
    let name = format!("atalaia-test-{}", std::process::id());
    let crowd = Crowd::real(&name);
    let machine = Machine::new();
    let mut config = match &crowd {
        Some(_) => no_runtimes(),
        None => {
            println!("no cgroup hierarchy can be written to: a tree of files stands for it");
            machine.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
            for number in 0..CROWD {
                let folder = format!("sys/fs/cgroup/{name}/{number}.scope");
                machine.write(&format!("{folder}/memory.stat"), "anon 1\nfile 1\n");
                machine.write(&format!("{folder}/memory.current"), "0\n");
            }
            machine.config()
        }
    };
    config.raw_cgroup_prefixes = vec![format!("/{name}/")];
    config.disable_root = true;
    let containers = Containers::new(config).unwrap();
    let first = Instant::now();
    scrape(&containers);
    let (first, second) = (first.elapsed(), Instant::now());
    let page = scrape(&containers);
    println!(
        "1,000 cgroups: first scrape {first:?}, the next {:?}, {} samples",
        second.elapsed(),
        page.lines().filter(|line| !line.starts_with('#')).count()
    );
    let piece = format!("id=\"/{name}/");
    for family in ["container_last_seen", "container_memory_usage_bytes", "container_spec_memory_limit_bytes"] {
        let got = values(&page, family, &[&piece]).len();
        let may_lack = crowd.is_none() && family.contains("spec");
        assert!(got == CROWD || may_lack, "{family}: {got}");
    }
    if crowd.is_some() {
        drop(crowd);
        assert!(values(&scrape(&containers), "container_last_seen", &[&piece]).is_empty(), "gone at once");
    }
}

/// Each of a container's series bears all of its labels, and an image brings as many as it likes.
#[tokio::test(flavor = "multi_thread")]
async fn labels_without_measure_are_left_out() {
    let machine = Machine::new();
    machine.add_container(A);
    let engine = Engine::start(&machine.path(""));
    engine.version(&"9".repeat(10_000), 12, 41);
    let long = "x".repeat(1 << 20);
    let labels = format!(r#""a.long":"{long}","tier":"front","z.long":"{long}""#);
    let summary = format!(
        r#"{{"Id":"{A}","Names":["/web"],"Image":"shop/web:1","Created":1700000000,"Labels":{{{labels}}},
        "State":"running","Status":"Up 2 seconds"}}"#
    );
    engine.reply("/containers/json", Reply::Json(format!("[{summary}]")));
    let answer = format!(
        r#"{{"Id":"{A}","Name":"/web","Created":"2023-11-14T22:13:20Z","State":{{"Running":true,"Pid":4242}},
        "Config":{{"Image":"shop/web:1","Labels":{{{labels}}}}},"HostConfig":{{"NetworkMode":"default"}}}}"#
    );
    engine.reply(&format!("/containers/{A}/json"), Reply::Json(answer));
    let containers = Containers::new(Config { docker: Some(engine.address()), ..machine.config() }).unwrap();
    containers.start().unwrap();
    let page = eventually("the name", || {
        let page = scrape(&containers);
        (!values(&page, "container_memory_usage_bytes", &["name=\"web\"", "container_label_tier=\"front\""]).is_empty())
            .then_some(page)
    });
    assert!(page.len() < 200_000, "{} bytes", page.len());
    assert_eq!(values(&page, "atalaia_container_labels_left_out", &[]), [2.0]);
}
