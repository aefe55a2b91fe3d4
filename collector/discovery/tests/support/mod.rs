//! A job whose discovery is watched.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod engine;

use std::time::Duration;

use collector_discovery::{Context, DiscoveryConfig, JobDiscovery, JobGroups, Metrics, spec_of};
use collector_model::Labels;
use prometheus_client::registry::Registry;

const PATIENCE: Duration = Duration::from_secs(60);

pub fn parse(key: &str, yaml: &str) -> Result<Vec<DiscoveryConfig>, String> {
    let deserializer = serde_yaml_ng::Deserializer::from_str(yaml);
    (spec_of(key).unwrap().parse)(&mut <dyn erased_serde::Deserializer<'_>>::erase(deserializer))
        .map_err(|e| e.to_string())
}

pub struct World {
    discovery: JobDiscovery,
    groups: JobGroups,
    registry: Registry,
}

pub fn world() -> World {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let discovery = JobDiscovery::new("j", Context { metrics, user_agent: "atalaia/test".to_owned() });
    let groups = discovery.groups();
    World { discovery, groups, registry }
}

impl World {
    #[track_caller]
    pub fn apply(&mut self, configs: &[DiscoveryConfig]) {
        let prepared = self.discovery.prepare(configs).unwrap();
        self.discovery.apply(prepared);
    }

    /// All labels of every target, its group's too.
    pub fn labels(&mut self) -> Vec<Labels> {
        let groups = self.groups.current();
        let of_group = |group: &collector_discovery::TargetGroup| {
            let merged = group.targets.iter().map(|target| {
                let mut labels = group.labels.to_builder();
                target.iter().for_each(|(name, value)| {
                    labels.set(name, value);
                });
                labels.build()
            });
            merged.collect::<Vec<_>>()
        };
        groups.iter().flat_map(|group| of_group(group)).collect()
    }

    /// `address{labels}` of every target, without what tells where it comes from.
    pub fn targets(&mut self) -> Vec<String> {
        let shown = |labels: &Labels| {
            let mut rest = labels.to_builder();
            rest.retain(|name, _| !name.starts_with("__"));
            format!("{}{}", labels.get("__address__").unwrap(), rest.build())
        };
        let mut targets: Vec<String> = self.labels().iter().map(shown).collect();
        targets.sort();
        targets
    }

    pub async fn wait_for(&mut self, want: &[&str]) {
        let mut got = Vec::new();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                got = self.targets();
                if got == want {
                    return;
                }
                self.groups.changed().await;
            }
        })
        .await;
        assert!(waited.is_ok(), "waited for {want:?}, got {got:?}");
    }

    pub fn metric(&self, line: &str) -> bool {
        self.page().lines().any(|l| l == line)
    }

    /// Waits until the page of metrics holds a line.
    pub async fn wait_for_metric(&self, line: &str) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.metric(line) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "waited for {line:?} in\n{}", self.page());
    }

    pub fn page(&self) -> String {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page
    }
}
