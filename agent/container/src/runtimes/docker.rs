//! Docker, and whatever else answers its API: one list, then the event stream.
//!
//! A container is asked about one by one (its process, when it started, its writable layer) once when it
//! appears, and again when an event says that this has changed; never at a scrape. Every few minutes, and after each
//! loss of the connection, list and answers are read again, in case an event was lost.

mod book;
mod files;
mod status;
mod transport;

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::Docker as Bollard;
use bollard::errors::Error as DockerError;
use bollard::models::{ContainerInspectResponse, EventMessage};
use bollard::query_parameters::{EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder};
use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout};

use self::book::{Book, Next};
pub(super) use self::transport::Address;
use self::transport::{LARGEST_ANSWER, LARGEST_ANSWER_OF_USER, NEWEST};
use super::{Built, Engine, Failure, Post, Rate, Runtime, Spec, View, follow};
use crate::Error;
use crate::config::Config;
use crate::described::Place;

pub(super) const SPEC: Spec = Spec { name: "docker", build };

/// Every question has an answer by then, or none.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often the list is read again.
const RESYNC: Duration = Duration::from_secs(300);
/// How often containers are asked about again whose answer did not come in time.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many containers are asked about at once.
const QUESTIONS: usize = 4;
/// More containers than these waiting to be asked about are dropped for a new list.
const MOST_WAITING: usize = 4096;
/// What happens to containers that matters here. Starting and stopping of processes in them, and what health checks
/// do all the time, stays on the engine's side.
const EVENTS: &[&str] =
    &["start", "restart", "die", "oom", "rename", "update", "pause", "unpause", "destroy", "health_status"];

/// States of interest. Each engine refuses words that it does not know, and has more that are none of Docker's.
const DOCKERS_UP: &[&str] = &["running", "paused", "restarting"];
const DOCKERS_ENDED: &[&str] = &["exited", "dead"];
const PODMANS_UP: &[&str] = &["running", "paused"];
const PODMANS_ENDED: &[&str] = &["exited"];

fn build(config: &Config) -> Result<Built, Error> {
    let Some(address) = &config.docker else { return Ok(None) };
    let address = Address::of(SPEC.name, address)?;
    Ok(Some(Box::new(Docker { client: Client::of_docker(address, config) })))
}

struct Docker {
    client: Client,
}

impl Runtime for Docker {
    fn watch(self: Box<Self>, view: Arc<View>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let post = view.open(SPEC.name, None);
        Box::pin(follow(self.client, post))
    }
}

/// Follows one engine that answers Docker's API.
pub(super) struct Client {
    address: Address,
    book: Book,
    is_docker: bool,
}

impl Client {
    /// Docker's own.
    fn of_docker(address: Address, config: &Config) -> Self {
        Self { address, book: Book::new(config, Place::Anywhere), is_docker: true }
    }

    /// Podman, whose cgroups are found so.
    pub(super) fn of_podman(address: Address, config: &Config, place: Place) -> Self {
        Self { address, book: Book::new(config, place), is_docker: false }
    }
}

impl Engine for Client {
    fn awaited_socket(&self) -> Option<PathBuf> {
        match &self.address {
            Address::Unix(path) if !self.is_docker => Some(path.clone()),
            _ => None,
        }
    }

    async fn session(&mut self, post: &Post) -> Result<Infallible, Failure> {
        Err(Session::open(self, post).await?.follow().await)
    }
}

/// What happened while an answer was on its way, which may be older; what is said last here has the last word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meanwhile {
    Nothing,
    /// It must be asked about again.
    Changed,
    /// There is nothing left to be told.
    Removed,
}

/// Reads text as what an address or an engine's answer may hold.
#[cfg(feature = "fuzzing")]
pub(crate) fn words(text: &str) {
    let _ = Address::of(SPEC.name, text);
    let _ = transport::spoken(Some(text), text.split('\n').next_back());
    book::words(text);
}

type Answer = (String, Result<ContainerInspectResponse, Failure>);

struct Session<'a> {
    docker: Bollard,
    allowance: Arc<AtomicU64>,
    book: &'a mut Book,
    post: &'a Post,
    /// Since when events are wanted: before the list was read, by the engine's clock as good as by ours.
    since: SystemTime,
    waiting: BTreeSet<String>,
    asking: FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    /// Containers being asked about, and what events told of each meanwhile.
    asked: HashMap<String, Meanwhile>,
    /// Those whose answer did not come in time since the last list, and those of them that are to be asked about again:
    /// each once, since an engine that hangs may keep for ever what belongs to a question.
    late: BTreeSet<String>,
    again: BTreeSet<String>,
    is_docker: bool,
    /// States in which a container is listed, and those in which it is if what stopped is of interest.
    up: &'static [&'static str],
    ended: &'static [&'static str],
}

impl<'a> Session<'a> {
    async fn open(client: &'a mut Client, post: &'a Post) -> Result<Self, Failure> {
        let largest = if client.book.is_of_user() { LARGEST_ANSWER_OF_USER } else { LARGEST_ANSWER };
        let (docker, _) = client.address.client(NEWEST, largest).map_err(|_| Failure::Protocol)?;
        let version = within(docker.version()).await?;
        let spoken = transport::spoken(version.api_version.as_deref(), version.min_api_version.as_deref());
        let (docker, allowance) = client.address.client(spoken, largest).map_err(|_| Failure::Protocol)?;
        client.book.version = version.version;
        let since = SystemTime::now();
        let mut session = Self {
            docker,
            allowance,
            book: &mut client.book,
            is_docker: client.is_docker,
            up: if client.is_docker { DOCKERS_UP } else { PODMANS_UP },
            ended: if client.is_docker { DOCKERS_ENDED } else { PODMANS_ENDED },
            post,
            since,
            waiting: BTreeSet::new(),
            asking: FuturesUnordered::new(),
            asked: HashMap::new(),
            late: BTreeSet::new(),
            again: BTreeSet::new(),
        };
        session.list().await?;
        Ok(session)
    }

    /// Reads the list, tells it at once, and leaves to ask about what it does not hold.
    async fn list(&mut self) -> Result<(), Failure> {
        let ended = if self.book.keeps_stopped() { self.ended } else { &[] };
        let filters = HashMap::from([("status", [self.up, ended].concat())]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers = within(self.docker.list_containers(Some(options))).await?;
        self.waiting.extend(self.book.list(containers));
        self.late.clear();
        self.again.clear();
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        self.post.publish(self.book.snapshot());
    }

    async fn follow(&mut self) -> Failure {
        let mut filters = HashMap::from([("type", vec!["container"])]);
        // Podman compares these words with its own, which are others.
        if self.is_docker {
            filters.insert("event", EVENTS.to_vec());
        }
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
        let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
        let mut events = Box::pin(self.docker.events(Some(options)));
        self.post.connected(true);
        let mut resync = tokio::time::interval_at(Instant::now() + RESYNC, RESYNC);
        let mut patience = tokio::time::interval_at(Instant::now() + PATIENCE, PATIENCE);
        let mut rate = Rate::default();
        loop {
            self.ask();
            let step = tokio::select! {
                event = next(&mut events) => self.event(event, &mut rate),
                Some(answer) = self.asking.next(), if !self.asking.is_empty() => {
                    self.answer(answer);
                    Ok(())
                }
                _ = patience.tick() => {
                    self.waiting.append(&mut self.again);
                    Ok(())
                }
                _ = resync.tick() => self.list().await,
            };
            if let Err(failure) = step {
                return failure;
            }
        }
    }

    /// Asks about waiting containers, a few at a time.
    fn ask(&mut self) {
        while self.asking.len() < QUESTIONS {
            let Some(id) = self.waiting.pop_first() else { return };
            if let Some(meanwhile) = self.asked.get_mut(&id) {
                *meanwhile = Meanwhile::Changed.max(*meanwhile);
                continue;
            }
            self.asked.insert(id.clone(), Meanwhile::Nothing);
            let docker = self.docker.clone();
            self.asking.push(Box::pin(async move {
                let answer = within(docker.inspect_container(&id, None::<InspectContainerOptions>)).await;
                (id, answer)
            }));
        }
    }

    fn answer(&mut self, (id, answer): Answer) {
        match self.asked.remove(&id) {
            Some(Meanwhile::Removed) => return,
            Some(Meanwhile::Changed) => drop(self.waiting.insert(id.clone())),
            Some(Meanwhile::Nothing) | None => {}
        }
        match answer {
            Ok(inspected) => self.book.inspected(&id, inspected),
            // It was removed meanwhile, which an event tells too.
            Err(Failure::Refused) => {}
            Err(failure) => {
                self.post.failed(failure);
                if failure == Failure::Timeout && self.late.insert(id.clone()) {
                    self.again.insert(id);
                }
            }
        }
        self.publish();
    }

    fn event(&mut self, event: Result<EventMessage, Failure>, rate: &mut Rate) -> Result<(), Failure> {
        let event = match event {
            Err(_) if transport::is_exceeded(&self.allowance) => return Err(Failure::Flood),
            event => event?,
        };
        transport::refill(&self.allowance);
        if rate.is_flood() {
            return Err(Failure::Flood);
        }
        self.post.event();
        let id = event.actor.as_ref().and_then(|actor| actor.id.as_ref());
        if let Some(meanwhile) = id.and_then(|id| self.asked.get_mut(id)) {
            let is_gone = book::is_removal(&event);
            let told = if is_gone { Meanwhile::Removed } else { Meanwhile::Changed };
            *meanwhile = told.max(*meanwhile);
        }
        match self.book.event(&event) {
            Next::Ask(id) => return self.wait(id),
            Next::PublishAndAsk(id) => {
                self.publish();
                return self.wait(id);
            }
            Next::Publish => self.publish(),
            Next::Nothing => {}
        }
        Ok(())
    }

    /// Has a container asked about as soon as its turn comes.
    fn wait(&mut self, id: String) -> Result<(), Failure> {
        self.waiting.insert(id);
        if self.waiting.len() > MOST_WAITING { Err(Failure::Flood) } else { Ok(()) }
    }
}

async fn next(
    events: &mut (impl Stream<Item = Result<EventMessage, DockerError>> + Unpin),
) -> Result<EventMessage, Failure> {
    match events.next().await {
        Some(event) => event.map_err(|error| failure(&error)),
        None => Err(Failure::Ended),
    }
}

async fn within<T>(question: impl Future<Output = Result<T, DockerError>>) -> Result<T, Failure> {
    match timeout(DEADLINE, question).await {
        Ok(answer) => answer.map_err(|error| failure(&error)),
        Err(_) => Err(Failure::Timeout),
    }
}

fn failure(error: &DockerError) -> Failure {
    match error {
        DockerError::DockerResponseServerError { .. } => Failure::Refused,
        DockerError::RequestTimeoutError => Failure::Timeout,
        error if transport::is_connecting(error) => Failure::Connect,
        error if transport::is_flood(error) => Failure::Flood,
        _ => Failure::Protocol,
    }
}
