//! containerd: one list of each namespace, then the event stream, over gRPC.
//!
//! cAdvisor's names: a container is called by its id, since containerd knows no other, unless nerdctl gave it a name.
//! The labels of Kubernetes and of nerdctl are labels like any other.

mod book;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod grpc;
mod messages;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval_at, timeout};

use self::book::{Book, Next, Told};
use self::grpc::{Answers, Channel};
use self::messages::{
    ContainerAnswer, Empty, Envelope, GetRequest, ListRequest, NamespaceList, Task, TaskList, Version,
};
use super::{Built, Engine, Failure, Post, Rate, Runtime, Spec, View, follow, socket_path};
use crate::Error;
use crate::config::Config;

pub(super) const SPEC: Spec = Spec { name: "containerd", build };

/// Every question has an answer by then, or none.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often the list is read again.
const RESYNC: Duration = Duration::from_secs(300);
/// containerd itself sends no answer above 16 MiB.
const LARGEST_ANSWER: usize = 16 << 20;
const LARGEST_EVENT: usize = 256 << 10;
/// More containers than these are no list of one machine.
const MOST_CONTAINERS: usize = 10_000;
/// Bytes that are kept of the list of a namespace, and how many of those there may be.
const LARGEST_LIST: usize = 32 << 20;
const MOST_NAMESPACES: usize = 256;
/// All namespaces.
const ALL: &str = "*";
/// What matters here; what is started in containers, as health checks are, stays on the engine's side, but for its end.
const TOPICS: &[&str] = &[
    "/containers/update",
    "/containers/delete",
    "/tasks/start",
    "/tasks/exit",
    "/tasks/oom",
    "/tasks/paused",
    "/tasks/resumed",
];

fn build(config: &Config) -> Result<Built, Error> {
    let Some(address) = &config.containerd else { return Ok(None) };
    let socket =
        socket_path(SPEC.name, address, "expected the path of a socket, as in /run/containerd/containerd.sock")?;
    let (namespaces, variables) = (config.containerd_namespaces.clone(), config.labels.variables.clone());
    Ok(Some(Box::new(Containerd { socket, namespaces, variables, book: Book::new(config.stopped_for) })))
}

struct Containerd {
    socket: PathBuf,
    namespaces: Vec<String>,
    /// How the names of variables begin that are kept.
    variables: Vec<String>,
    book: Book,
}

impl Runtime for Containerd {
    fn watch(self: Box<Self>, view: Arc<View>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let post = view.open(SPEC.name, None);
        Box::pin(follow(*self, post))
    }
}

impl Engine for Containerd {
    fn awaited_socket(&self) -> Option<PathBuf> {
        Some(self.socket.clone())
    }

    async fn session(&mut self, post: &Post) -> Result<Infallible, Failure> {
        let mut channel = within(Channel::connect(&self.socket)).await?;
        // Before the list, so that nothing is lost between the two.
        let mut events = self.events(&mut channel).await?;
        let version: Version =
            within(channel.ask("containerd.services.version.v1.Version/Version", "", &Empty {}, LARGEST_EVENT)).await?;
        self.book.version = Some(version.version).filter(|version| !version.is_empty());
        self.list(&mut channel).await?;
        post.publish(self.book.snapshot());
        post.connected(true);
        let mut resync = interval_at(Instant::now() + RESYNC, RESYNC);
        let mut rate = Rate::default();
        loop {
            tokio::select! {
                event = events.next() => {
                    let event = event?.ok_or(Failure::Ended)?;
                    post.event();
                    if rate.is_flood() {
                        return Err(Failure::Flood);
                    }
                    self.event(&mut channel, post, &event).await?;
                }
                _ = resync.tick() => {
                    self.list(&mut channel).await?;
                    post.publish(self.book.snapshot());
                }
            }
        }
    }
}

impl Containerd {
    async fn events(&self, channel: &mut Channel) -> Result<Answers<Envelope>, Failure> {
        let topics = TOPICS.iter().map(|topic| format!("topic==\"{topic}\""));
        let filters = match self.watches_all() {
            true => topics.collect(),
            false => topics
                .flat_map(|topic| self.namespaces.iter().map(move |name| format!("{topic},namespace==\"{name}\"")))
                .collect(),
        };
        let question = ListRequest { filters };
        channel.open("containerd.services.events.v1.Events/Subscribe", "", &question, LARGEST_EVENT).await
    }

    fn watches_all(&self) -> bool {
        self.namespaces.iter().any(|name| name == ALL)
    }

    /// Reads what runs in all namespaces that are watched.
    async fn list(&mut self, channel: &mut Channel) -> Result<(), Failure> {
        let mut namespaces = self.namespaces.clone();
        if self.watches_all() {
            let method = "containerd.services.namespaces.v1.Namespaces/List";
            let list: NamespaceList = within(channel.ask(method, "", &Empty {}, LARGEST_ANSWER)).await?;
            namespaces = list.namespaces.into_iter().map(|namespace| namespace.name).collect();
        }
        if namespaces.len() > MOST_NAMESPACES {
            return Err(Failure::Flood);
        }
        let mut all = Vec::new();
        for namespace in namespaces {
            let containers = within(containers(channel, &namespace, &self.variables)).await?;
            let method = "containerd.services.tasks.v1.Tasks/List";
            let tasks: TaskList =
                within(channel.ask(method, &namespace, &ListRequest::default(), LARGEST_ANSWER)).await?;
            let mut tasks: HashMap<String, Task> =
                tasks.tasks.into_iter().map(|task| (task.id.clone(), task)).collect();
            let with_task = |told: Told| {
                let task = tasks.remove(told.id())?;
                Some((namespace.clone(), told, task))
            };
            all.extend(containers.into_iter().filter_map(with_task));
        }
        self.book.list(all);
        Ok(())
    }

    async fn event(&mut self, channel: &mut Channel, post: &Post, event: &Envelope) -> Result<(), Failure> {
        match self.book.event(event) {
            Next::Nothing => return Ok(()),
            Next::Publish => {}
            Next::Ask { namespace, id } => {
                let method = "containerd.services.containers.v1.Containers/Get";
                let question = GetRequest { id };
                let answer: Result<ContainerAnswer, _> =
                    within(channel.ask(method, &namespace, &question, LARGEST_ANSWER)).await;
                match answer {
                    Ok(answer) => {
                        let told = Told::of(answer.container.unwrap_or_default(), &self.variables);
                        self.book.answered(&namespace, told);
                    }
                    // It was removed meanwhile, which an event tells too.
                    Err(Failure::Refused) => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        post.publish(self.book.snapshot());
        Ok(())
    }
}

/// All containers of a namespace, one by one: their specifications would fill one answer.
async fn containers(channel: &mut Channel, namespace: &str, variables: &[String]) -> Result<Vec<Told>, Failure> {
    let method = "containerd.services.containers.v1.Containers/ListStream";
    let mut answers: Answers<ContainerAnswer> =
        channel.open(method, namespace, &ListRequest::default(), LARGEST_ANSWER).await?;
    let (mut containers, mut bytes) = (Vec::new(), 0);
    while let Some(answer) = answers.next().await? {
        let told = answer.container.map(|container| Told::of(container, variables));
        bytes += told.as_ref().map_or(0, Told::bytes);
        containers.extend(told);
        if containers.len() > MOST_CONTAINERS || bytes > LARGEST_LIST {
            return Err(Failure::Flood);
        }
    }
    Ok(containers)
}

async fn within<T>(question: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(DEADLINE, question).await.unwrap_or(Err(Failure::Timeout))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message;
    use tokio::net::UnixListener;

    use super::messages::Container;
    use super::*;

    /// Labels without end: each answer is within its bound.
    #[tokio::test]
    async fn a_list_beyond_all_measure_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("c.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let container = Container {
            id: "a".to_owned(),
            labels: [("long".to_owned(), "x".repeat(1 << 20))].into(),
            ..Container::default()
        };
        let answer = ContainerAnswer { container: Some(container) }.encode_to_vec();
        let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
        let framed = Bytes::from([[0].as_slice(), length.as_slice(), answer.as_slice()].concat());
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut open = Vec::new();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                (0..100).for_each(|_| body.send_data(framed.clone(), false).unwrap());
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                body.send_trailers(trailers).unwrap();
                open.push(body);
            }
        });
        let mut channel = Channel::connect(&socket).await.unwrap();
        let all = timeout(Duration::from_secs(60), containers(&mut channel, "k8s.io", &[])).await;
        assert_eq!(all.unwrap().map(|all| all.len()), Err(Failure::Flood));
        server.abort();
    }
}
