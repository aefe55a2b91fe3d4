//! CRI-O: one answer about each container, over HTTP at its socket.
//!
//! Its interface has neither a list nor events; which containers there are the cgroups say, so it is asked about each
//! that a scrape found and nobody has named yet. How containers end it does not tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Built, Described, Engine, Failure, Network, Post, Runtime, Snapshot, Spec, View, follow, socket_path};
use crate::Error;
use crate::config::Config;
use crate::described::{Life, Place, State};

pub(super) const SPEC: Spec = Spec { name: "crio", build };

/// Every question has an answer by then, or none, unless the configuration says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);
/// One container's answer, with all its annotations.
const LARGEST_ANSWER: usize = 4 << 20;
/// After so long it is asked again about containers that it did not know.
const PATIENCE: Duration = Duration::from_secs(60);
/// The name of the container that owns the network of its pod.
const SANDBOX: &str = "POD";

fn build(config: &Config) -> Result<Built, Error> {
    let Some(address) = &config.crio else { return Ok(None) };
    let socket = socket_path(SPEC.name, address, "expected the path of a socket, as in /var/run/crio/crio.sock")?;
    let deadline = if config.crio_timeout.is_zero() { DEADLINE } else { config.crio_timeout };
    Ok(Some(Box::new(Crio { socket, deadline, wanted: None, known: HashMap::new() })))
}

struct Crio {
    socket: PathBuf,
    deadline: Duration,
    /// Ids of its containers, as their cgroups say.
    wanted: Option<watch::Receiver<BTreeSet<Arc<str>>>>,
    known: HashMap<Arc<str>, Arc<Described>>,
}

impl Runtime for Crio {
    fn watch(mut self: Box<Self>, view: Arc<View>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let post = view.open(SPEC.name, None);
        self.wanted = Some(view.of_crio.subscribe());
        Box::pin(follow(*self, post))
    }
}

impl Engine for Crio {
    fn awaited_socket(&self) -> Option<PathBuf> {
        Some(self.socket.clone())
    }

    async fn session(&mut self, post: &Post) -> Result<Infallible, Failure> {
        let _: Info = self.get("/info").await?;
        post.connected(true);
        let mut unknown = BTreeSet::new();
        let mut again = Instant::now() + PATIENCE;
        loop {
            let wanted = self.wanted.as_mut().map(|wanted| wanted.borrow_and_update().clone()).unwrap_or_default();
            self.known.retain(|id, _| wanted.contains(id));
            unknown.retain(|id| wanted.contains(id));
            for id in &wanted {
                if self.known.contains_key(id) || unknown.contains(id) {
                    continue;
                }
                match self.get::<Answer>(&format!("/containers/{id}")).await {
                    Ok(answer) => drop(self.known.insert(id.clone(), Arc::new(answer.described(id)))),
                    Err(Failure::Refused) => drop(unknown.insert(id.clone())),
                    // The answer is odd, not the engine: the others are asked about all the same.
                    Err(failure @ (Failure::Protocol | Failure::Flood)) => {
                        post.failed(failure);
                        unknown.insert(id.clone());
                    }
                    Err(failure) => return Err(failure),
                }
            }
            post.publish(Snapshot { containers: self.known.clone(), ..Snapshot::default() });
            let Some(changes) = &mut self.wanted else { return Err(Failure::Ended) };
            match timeout_at(again, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Failure::Ended),
                Err(_) => {
                    unknown.clear();
                    again = Instant::now() + PATIENCE;
                }
            }
        }
    }
}

impl Crio {
    async fn get<A: for<'a> Deserialize<'a>>(&self, path: &str) -> Result<A, Failure> {
        match timeout(self.deadline, self.read(path)).await {
            Ok(body) => serde_json::from_slice(&body?).map_err(|_| Failure::Protocol),
            Err(_) => Err(Failure::Timeout),
        }
    }

    async fn read(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|_| Failure::Connect)?;
        let handshake = hyper::client::conn::http1::handshake::<_, String>(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|_| Failure::Protocol)?;
        // It ends with the answer; its error is the answer's too.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = http::Request::get(path).header(http::header::HOST, "crio").body(String::new());
        let answer =
            sender.send_request(request.map_err(|_| Failure::Protocol)?).await.map_err(|_| Failure::Protocol)?;
        if !answer.status().is_success() {
            return Err(Failure::Refused);
        }
        whole(answer.into_body()).await
    }
}

async fn whole(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Failure::Ended)?;
        bytes.extend_from_slice(frame.data_ref().map(|data| &**data).unwrap_or_default());
        if bytes.len() > LARGEST_ANSWER {
            return Err(Failure::Flood);
        }
    }
    Ok(bytes)
}

/// That it is CRI-O which answers.
#[derive(Deserialize)]
struct Info {
    #[serde(rename = "cgroup_driver")]
    _cgroup_driver: String,
}

/// What is told of one container.
#[derive(Deserialize)]
struct Answer {
    name: String,
    #[serde(default)]
    pid: i64,
    #[serde(default)]
    image: String,
    /// Nanoseconds since 1970.
    #[serde(default)]
    created_time: i64,
    #[serde(default)]
    log_path: PathBuf,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    /// Only newer versions tell it.
    #[serde(default)]
    host_network: Option<bool>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Answer {
    fn described(self, id: &Arc<str>) -> Described {
        let labels = self.labels.unwrap_or_default();
        let annotations = self.annotations.unwrap_or_default();
        let is_sandbox = labels.get("io.kubernetes.container.name").is_none_or(|name| name == SANDBOX);
        let restarts = annotations.get("io.kubernetes.container.restartCount").and_then(|count| count.parse().ok());
        Described {
            id: id.clone(),
            name: self.name,
            image: self.image,
            created: Some(self.created_time as f64 / 1e9).filter(|seconds| *seconds > 0.0),
            pid: u32::try_from(self.pid).ok().filter(|pid| *pid > 0),
            network: match is_sandbox {
                _ if self.host_network == Some(true) => Network::Host,
                true => Network::Own,
                false => Network::Other,
            },
            life: Life { state: Some(State::Running), restarts, ..Life::default() },
            log: Some(self.log_path.into()).filter(|path: &Arc<Path>| path.is_absolute()),
            place: Place::ById,
            labels,
            ..Described::default()
        }
    }
}
