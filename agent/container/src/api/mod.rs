//! cAdvisor's REST API: paths and JSON of `/api/v1.x` and `/api/v2.x`.
//!
//! This is the API without HTTP: a path, parameters and a body in, JSON out. Names and units are those of cAdvisor's
//! `info/v1` and `info/v2`; what is not known is left out, where cAdvisor writes 0.

mod figures;
mod index;
mod json;
mod machine;
mod parameters;
mod processes;
mod v1;
mod v2;
mod validate;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

pub use index::INDEX;

use self::json::Json;
use self::parameters::{InfoRequest, Parameters};
use crate::Inner;
use crate::history::{About, Event, EventKind, EventQuery, Recent};

/// How often a listener to events has the cgroups looked at, at least.
const LISTENING: Duration = Duration::from_secs(20);

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// After `/api/`, decoded.
    pub path: &'a str,
    /// The query's, decoded.
    pub parameters: &'a [(String, String)],
    /// The body, empty for none.
    pub body: &'a [u8],
}

/// An answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply {
    /// JSON, whole.
    Json(String),
    /// Events as they come, JSON lines without end.
    Events(Box<EventStream>),
}

/// No answer, in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// There is no such endpoint.
    #[error("no endpoint /api/{path}: /api/ lists all of them")]
    Endpoint {
        /// As asked for.
        path: String,
    },
    /// There is no such container.
    #[error("no container {name:?}")]
    Container {
        /// As asked for.
        name: String,
    },
    /// There is no such file system.
    #[error("no file system with {by} {name:?}")]
    FileSystem {
        /// What it was asked for by.
        by: &'static str,
        /// As asked for.
        name: String,
    },
    /// Something cAdvisor has and this agent does not.
    #[error("{what}: {reason}")]
    Absent {
        /// The endpoint.
        what: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A parameter is wrong.
    #[error("parameter {name}={value}: expected {right}")]
    Parameter {
        /// Its name.
        name: String,
        /// As given.
        value: String,
        /// What would be right.
        right: &'static str,
    },
    /// The body is wrong.
    #[error("the body is not the JSON of a request, such as {{\"num_stats\":10}}: {reason}")]
    Body {
        /// Why.
        reason: String,
    },
}

impl ApiError {
    /// Whether what was asked for is not there; otherwise the question is wrong.
    pub fn is_not_found(&self) -> bool {
        !matches!(self, Self::Parameter { .. } | Self::Body { .. })
    }
}

/// Versions, and the endpoints that each has besides those of the one before.
const V1: &[(&str, &[&str])] =
    &[("v1.0", &["containers", "machine"]), ("v1.1", &["subcontainers"]), ("v1.2", &["docker"]), ("v1.3", &["events"])];

impl Inner {
    /// Answers a question; blocks for as long as reading the cgroups takes.
    pub(crate) fn api(self: &Arc<Self>, request: Request<'_>) -> Result<Reply, ApiError> {
        let no_endpoint = || ApiError::Endpoint { path: request.path.to_owned() };
        let (version, rest) = request.path.split_once('/').unwrap_or((request.path, ""));
        let (endpoint, name) = rest.split_once('/').unwrap_or((rest, ""));
        let asked = Asked { endpoint, name, parameters: Parameters(request.parameters), body: request.body };
        match V1.iter().position(|(known, _)| *known == version) {
            Some(at) => match V1.iter().take(at + 1).any(|(_, endpoints)| endpoints.contains(&endpoint)) {
                true => self.version_1(asked),
                false => Err(no_endpoint()),
            },
            None if version == "v2.0" || version == "v2.1" => {
                self.version_2(asked, version == "v2.1").unwrap_or_else(|| Err(no_endpoint()))
            }
            None => Err(no_endpoint()),
        }
    }

    /// The readable report of `/validate/`.
    pub(crate) fn validate(&self) -> String {
        let mut collection = self.collection.lock();
        collection.refresh(&self.view);
        validate::validate(&mut collection, &self.config, &self.view)
    }

    fn version_1(self: &Arc<Self>, asked: Asked<'_>) -> Result<Reply, ApiError> {
        let json = match asked.endpoint {
            "machine" => self.machine_info(),
            "events" => return self.events(asked),
            "docker" => {
                let request = InfoRequest::new(asked.parameters, asked.body)?;
                let recent = self.recent(self.config.housekeeping_interval);
                let all = match asked.name {
                    "" => recent.all().filter(|about| about.is_container).collect(),
                    name => vec![find(&recent, name, Kind::Docker)?],
                };
                v1::map(&recent, &all, &request)
            }
            endpoint => {
                let request = InfoRequest::new(asked.parameters, asked.body)?;
                let recent = self.recent(self.config.housekeeping_interval);
                let about = find(&recent, asked.name, Kind::Name)?;
                match endpoint {
                    "containers" => v1::container(&recent, about, &request),
                    _ => v1::list(&recent, &with_those_below(&recent, about), &request),
                }
            }
        };
        Ok(Reply::Json(json))
    }

    /// Nothing where there is no such endpoint.
    fn version_2(self: &Arc<Self>, asked: Asked<'_>, is_2_1: bool) -> Option<Result<Reply, ApiError>> {
        const KNOWN: &[&str] = &[
            "version",
            "attributes",
            "machine",
            "machinestats",
            "stats",
            "summary",
            "spec",
            "ps",
            "storage",
            "events",
            "appmetrics",
        ];
        if !KNOWN.contains(&asked.endpoint) || (asked.endpoint == "machinestats" && !is_2_1) {
            return None;
        }
        if asked.endpoint == "events" {
            return Some(self.events(asked));
        }
        Some(self.figures(asked, is_2_1).map(Reply::Json))
    }

    fn figures(&self, asked: Asked<'_>, is_2_1: bool) -> Result<String, ApiError> {
        let options = Options::new(asked.parameters)?;
        let text = match asked.endpoint {
            "version" => {
                let mut json = Json::default();
                json.text_item(&self.config.version);
                json.finish()
            }
            "machine" => self.machine_info(),
            "attributes" => self.attributes(),
            "appmetrics" => {
                return Err(ApiError::Absent {
                    what: "appmetrics",
                    reason: "metrics that applications give are scraped from them, not through this agent",
                });
            }
            "ps" => {
                let recent = self.recent(self.age(options));
                let about = find(&recent, asked.name, options.kind)?;
                let found = processes::Processes::find(&mut self.collection.lock(), &about.path);
                // Without the lock, so that scrapes go on: there may be very many.
                found.tell(&self.config.root, SystemTime::now())
            }
            "storage" => self.storage(asked.parameters, options)?,
            "machinestats" => {
                let recent = self.recent(self.age(options));
                v2::machine_stats(&recent, find(&recent, "/", Kind::Name)?, options.count)
            }
            endpoint => {
                let recent = self.recent(self.age(options));
                let about = find(&recent, asked.name, options.kind);
                let all = match (about, options.kind) {
                    (Ok(about), _) if options.recursive => with_those_below(&recent, about),
                    (Ok(about), _) => vec![about],
                    // All containers, as for `/docker` in version 1.
                    (Err(_), Kind::Docker) if matches!(asked.name, "" | "/") => {
                        recent.all().filter(|about| about.is_container).collect()
                    }
                    (Err(error), _) => return Err(error),
                };
                match endpoint {
                    "stats" if is_2_1 => v2::stats_2_1(&recent, &all, options.count),
                    "stats" => v2::stats_2_0(&recent, &all, options.count),
                    "spec" => v2::specs(&recent, &all),
                    _ => v2::summaries(&recent, &all),
                }
            }
        };
        Ok(text)
    }

    fn age(&self, options: Options) -> Duration {
        options.max_age.unwrap_or(self.config.housekeeping_interval)
    }

    fn machine_info(&self) -> String {
        self.with_machine(|about| about.machine_info())
    }

    fn attributes(&self) -> String {
        let (_, snapshot) = self.view.snapshot();
        let (version, engine) = (self.config.version.as_str(), snapshot.version.as_deref());
        self.with_machine(|about| machine::About { version, engine, ..about }.attributes())
    }

    fn with_machine(&self, tell: impl FnOnce(machine::About<'_>) -> String) -> String {
        let recent = self.recent(self.config.housekeeping_interval);
        let newest = recent.get("/").and_then(|root| recent.samples(root).next_back());
        let about = {
            let mut collection = self.collection.lock();
            machine::About::new(&mut collection, &self.config.root, newest.map(|(_, sample)| sample))
        };
        tell(about)
    }

    fn storage(&self, parameters: Parameters<'_>, options: Options) -> Result<String, ApiError> {
        let recent = self.recent(self.age(options));
        let root = find(&recent, "/", Kind::Name)?;
        let newest = recent.samples(root).next_back();
        let points = machine::mount_points(&self.config.root);
        let is_root = |device: &str| points.get(device).is_some_and(|point| point.as_os_str() == "/");
        let by_uuid = parameters.get("uuid").map(|uuid| (uuid, self.device_of(uuid)));
        let label = parameters.get("label");
        let mut json = Json::default();
        json.list();
        let mut found = false;
        let all = newest.iter().flat_map(|(at, sample)| sample.file_systems.iter().map(|fs| (*at, fs)));
        for (at, file_system) in all {
            let device = &*file_system.device;
            let by_label = label.is_none_or(|label| label == "root" && is_root(device));
            let of_uuid = by_uuid.as_ref().is_none_or(|(_, known)| known.as_deref() == Some(device));
            if !by_label || !of_uuid {
                continue;
            }
            found = true;
            json.object();
            json.time("timestamp", at);
            json.text("device", device);
            json.text_if("mountpoint", points.get(device).and_then(|point| point.to_str()));
            json.number("capacity", file_system.size);
            json.number("usage", file_system.used);
            json.list_in("labels");
            if is_root(device) {
                json.text_item("root");
            }
            json.end_list();
            json.number("inodes", file_system.inodes);
            json.number("inodes_free", file_system.inodes_free);
            json.end_object();
        }
        json.end_list();
        let named = by_uuid.map(|(uuid, _)| ("uuid", uuid)).or(label.map(|label| ("label", label)));
        match named {
            Some((by, name)) if !found => Err(ApiError::FileSystem { by, name: name.to_owned() }),
            _ => Ok(json.finish()),
        }
    }

    /// The device of a file system's UUID, as udev's links tell it.
    fn device_of(&self, uuid: &str) -> Option<String> {
        let is_uuid = !uuid.is_empty() && uuid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let link = self.config.root.rootfs.join("dev/disk/by-uuid").join(uuid);
        let target = is_uuid.then(|| std::fs::read_link(link).ok())??;
        Some(format!("/dev/{}", target.file_name()?.to_str()?))
    }

    fn events(self: &Arc<Self>, asked: Asked<'_>) -> Result<Reply, ApiError> {
        let parameters = asked.parameters;
        let all = parameters.flag("all_events")? == Some(true);
        let names = [
            ("creation_events", EventKind::Creation),
            ("deletion_events", EventKind::Deletion),
            ("oom_events", EventKind::Oom),
            ("oom_kill_events", EventKind::OomKill),
        ];
        let mut kinds = Vec::new();
        for (name, kind) in names {
            if parameters.flag(name)? == Some(true) || all {
                kinds.push(kind);
            }
        }
        if kinds.is_empty() {
            kinds = EventKind::ALL.to_vec();
        }
        let query = EventQuery {
            path: format!("/{}", asked.name.trim_matches('/')),
            below: parameters.flag("subcontainers")? == Some(true),
            kinds,
            start: parameters.time("start_time")?,
            end: parameters.time("end_time")?,
            most: parameters.count("max_events", 10)?,
        };
        if parameters.flag("stream")? == Some(true) {
            let receiver = self.events.listen();
            return Ok(Reply::Events(Box::new(EventStream { inner: self.clone(), query, receiver })));
        }
        self.recent(self.config.housekeeping_interval);
        let mut json = Json::default();
        json.list();
        for event in self.events.find(&query) {
            put_event(&mut json, &event);
        }
        json.end_list();
        Ok(Reply::Json(json.finish()))
    }
}

fn put_event(json: &mut Json, event: &Event) {
    json.object();
    json.text("container_name", &event.path);
    json.time("timestamp", event.at);
    json.text("event_type", event.kind.name());
    json.object_in("event_data");
    json.end_object();
    json.end_object();
}

/// A question taken apart.
#[derive(Clone, Copy)]
struct Asked<'a> {
    endpoint: &'a str,
    /// What follows the endpoint's slash.
    name: &'a str,
    parameters: Parameters<'a>,
    body: &'a [u8],
}

/// By what a container is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its cgroup's path.
    Name,
    /// Its name or id.
    Docker,
}

/// What all questions of version 2 may ask for.
#[derive(Clone, Copy, Debug)]
struct Options {
    kind: Kind,
    count: usize,
    recursive: bool,
    max_age: Option<Duration>,
}

impl Options {
    fn new(parameters: Parameters<'_>) -> Result<Self, ApiError> {
        let kind = match parameters.get("type") {
            None | Some("name") => Kind::Name,
            // Whatever the engine is called, its containers are found by the same names.
            Some("docker" | "podman") => Kind::Docker,
            Some(other) => return parameters::wrong("type", other, "name or docker"),
        };
        Ok(Self {
            kind,
            count: parameters.count("count", 64)?,
            recursive: parameters.flag("recursive")? == Some(true),
            max_age: parameters.duration("max_age")?,
        })
    }
}

fn find<'a>(recent: &'a Recent, name: &str, kind: Kind) -> Result<&'a Arc<About>, ApiError> {
    let found = match kind {
        Kind::Name => recent.get(&format!("/{}", name.trim_matches('/'))),
        Kind::Docker => recent.container(name.trim_matches('/')),
    };
    let shown = if name.is_empty() && kind == Kind::Name { "/" } else { name };
    found.ok_or_else(|| ApiError::Container { name: shown.to_owned() })
}

/// A container and all below it.
fn with_those_below<'a>(recent: &'a Recent, about: &Arc<About>) -> Vec<&'a Arc<About>> {
    let prefix = about.path.trim_end_matches('/');
    let is_below = |about: &&Arc<About>| {
        about.path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    recent.all().filter(is_below).collect()
}

/// Events as they come.
pub struct EventStream {
    inner: Arc<Inner>,
    query: EventQuery,
    receiver: Receiver<Event>,
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventStream").field("query", &self.query).finish_non_exhaustive()
    }
}

impl EventStream {
    /// The next event that is wanted, as a line of JSON; waits for it, and has the cgroups looked at meanwhile. Nothing
    /// once there can be none any more.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            self.inner.history.ask();
            match tokio::time::timeout(LISTENING, self.receiver.recv()).await {
                Ok(Ok(event)) if self.query.wants(&event) => {
                    let mut json = Json::default();
                    put_event(&mut json, &event);
                    return Some(json.finish() + "\n");
                }
                Ok(Err(RecvError::Closed)) => return None,
                // One that was too slow has missed some, and goes on with the rest.
                Ok(Err(RecvError::Lagged(missed))) => self.inner.events.missed(missed),
                Ok(Ok(_)) | Err(_) => {}
            }
        }
    }
}
