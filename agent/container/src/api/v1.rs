//! Version 1: `ContainerInfo` with its history.

use std::sync::Arc;
use std::time::SystemTime;

use super::figures;
use super::json::Json;
use super::parameters::InfoRequest;
use crate::history::{About, Recent, Sample};

/// One container.
pub(super) fn container(recent: &Recent, about: &About, request: &InfoRequest) -> String {
    let mut json = Json::default();
    json.object();
    members(&mut json, recent, about, request);
    json.end_object();
    json.finish()
}

/// A list of containers.
pub(super) fn list(recent: &Recent, all: &[&Arc<About>], request: &InfoRequest) -> String {
    let mut json = Json::default();
    json.list();
    for about in all {
        json.object();
        members(&mut json, recent, about, request);
        json.end_object();
    }
    json.end_list();
    json.finish()
}

/// Containers by their paths.
pub(super) fn map(recent: &Recent, all: &[&Arc<About>], request: &InfoRequest) -> String {
    let mut json = Json::default();
    json.object();
    for about in all {
        json.object_in(&about.path);
        members(&mut json, recent, about, request);
        json.end_object();
    }
    json.end_object();
    json.finish()
}

fn members(json: &mut Json, recent: &Recent, about: &About, request: &InfoRequest) {
    let samples: Vec<_> = recent.samples(about).filter(|(at, _)| request.wants(*at)).collect();
    let newest = recent.samples(about).next_back().map(|(_, sample)| sample);
    reference(json, about);
    let mut below = recent.below(&about.path).peekable();
    if below.peek().is_some() {
        json.list_in("subcontainers");
        for about in below {
            json.object();
            reference(json, about);
            json.end_object();
        }
        json.end_list();
    }
    json.object_in("spec");
    figures::spec(json, about, newest, false);
    json.end_object();
    json.list_in("stats");
    for (at, sample) in samples.iter().skip(samples.len().saturating_sub(request.most)) {
        stats(json, *at, sample, &*about.path == "/");
    }
    json.end_list();
}

fn reference(json: &mut Json, about: &About) {
    json.text_if("id", about.id.as_deref());
    json.text("name", &about.path);
    figures::names(json, about);
}

fn stats(json: &mut Json, at: SystemTime, sample: &Sample, of_machine: bool) {
    json.object();
    json.time("timestamp", at);
    figures::cpu(json, &sample.cpu);
    figures::disk_io(json, &sample.devices);
    figures::memory(json, &sample.memory);
    figures::network(json, &sample.interfaces, true);
    figures::file_systems(json, &sample.file_systems, of_machine);
    figures::processes(json, sample.tasks);
    json.end_object();
}
