//! What is known of containerd's containers, brought up to date by lists and events.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use serde::Deserialize;

use super::super::{Described, Network, Snapshot};
use super::messages::{Container, Envelope, OfContainer, Task, TaskExit, TaskStart, TaskStatus};
use crate::described::{Life, Roll, State, chosen_variables, seconds_now};
use crate::identity::is_container_id;

/// The exit code of what was killed.
const KILLED: i64 = 137;

/// All containers that run, and those that stopped and are still told of.
#[derive(Debug)]
pub(super) struct Book {
    roll: Roll,
    pub(super) version: Option<String>,
    /// Those with a kill for want of memory in the run that is under way or was the last.
    killed_in: HashSet<String>,
}

/// What containerd tells of a container, with its specification reduced to the variables that are kept.
#[derive(Debug)]
pub(super) struct Told {
    container: Container,
    env: BTreeMap<String, String>,
}

/// What is read of a specification, which is the one of the Open Container Initiative.
#[derive(Deserialize)]
struct Specification {
    process: Process,
}

#[derive(Deserialize)]
struct Process {
    env: Vec<String>,
}

impl Told {
    /// Keeps the variables whose names begin so.
    pub(super) fn of(mut container: Container, variables: &[String]) -> Self {
        let specification = container.spec.take().filter(|_| !variables.is_empty());
        let read = specification.and_then(|any| serde_json::from_slice::<Specification>(&any.value).ok());
        let env = read.map(|read| chosen_variables(variables, read.process.env)).unwrap_or_default();
        Self { container, env }
    }

    /// How much it is, about.
    pub(super) fn bytes(&self) -> usize {
        self.container.encoded_len() + self.env.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    /// The container's id in its namespace.
    pub(super) fn id(&self) -> &str {
        &self.container.id
    }
}

/// What an event asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The container must be asked about.
    Ask {
        namespace: String,
        id: String,
    },
    /// What is known has changed.
    Publish,
    Nothing,
}

impl Book {
    pub(super) fn new(stopped_for: Duration) -> Self {
        Self { roll: Roll::new(stopped_for), version: None, killed_in: HashSet::new() }
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
        let snapshot = self.roll.snapshot(self.version.clone());
        self.killed_in.retain(|key| snapshot.containers.contains_key(key.as_str()));
        snapshot
    }

    /// All containers of all namespaces that are watched, each with its task.
    pub(super) fn list(&mut self, all: Vec<(String, Told, Task)>) {
        let mut listed = HashMap::new();
        for (namespace, told, task) in all {
            let Some(key) = key(&namespace, told.id()) else { continue };
            let known = self.roll.get(&key);
            let is_same = known.is_some_and(|known| known.pid == Some(task.pid));
            let before = known.map(|known| known.life).unwrap_or_default();
            let finished = task.exited_at.and_then(|at| at.seconds());
            let state = match TaskStatus::try_from(task.status) {
                Ok(TaskStatus::Running) => State::Running,
                Ok(TaskStatus::Paused | TaskStatus::Pausing) => State::Paused,
                Ok(TaskStatus::Stopped) if self.roll.is_recent(finished) => State::Exited,
                _ => continue,
            };
            let life = match state.is_up() {
                true => Life { state: Some(state), ..before },
                false => {
                    let exit_code = Some(i64::from(task.exit_status));
                    let oom_killed = before.oom_killed.filter(|_| before.finished == finished);
                    Life { state: Some(state), exit_code, oom_killed, finished, ..before }
                }
            };
            let started = known.and_then(|known| known.started).filter(|_| is_same || !state.is_up());
            let pid = Some(task.pid).filter(|_| state.is_up());
            let described = described(&key, told, known, life);
            listed.insert(described.id.clone(), Arc::new(Described { pid, started, ..described }));
        }
        self.roll.running(listed);
    }

    /// The answer to a question about one container.
    pub(super) fn answered(&mut self, namespace: &str, told: Told) {
        let Some(key) = key(namespace, told.id()) else { return };
        if let Some(known) = self.roll.get(&key) {
            let described = described(&key, told, Some(known), known.life);
            let (pid, started) = (known.pid, known.started);
            self.roll.put(Described { pid, started, ..described });
        }
    }

    /// Something happened in a namespace that is watched.
    pub(super) fn event(&mut self, envelope: &Envelope) -> Next {
        let body = envelope.event.as_ref().map(|event| event.value.as_slice()).unwrap_or_default();
        let Ok(OfContainer { container: id }) = OfContainer::decode(body) else { return Next::Nothing };
        let namespace = envelope.namespace.clone();
        let Some(key) = key(&namespace, &id) else { return Next::Nothing };
        let known = match envelope.topic.as_str() {
            "/tasks/start" => {
                let at = envelope.timestamp.and_then(|at| at.seconds());
                let Ok(start) = TaskStart::decode(body) else { return Next::Nothing };
                self.started(&key, &id, start.pid, at);
                return Next::Ask { namespace, id };
            }
            "/containers/update" if self.roll.get(&key).is_some() => return Next::Ask { namespace, id },
            "/tasks/exit" => match TaskExit::decode(body) {
                // The end of a process that was started in it later is none of the container.
                Ok(exit) if exit.process == exit.container => self.exited(&key, exit),
                _ => false,
            },
            "/tasks/oom" => self.killed(&key),
            "/tasks/paused" => self.roll.change(&key, |known| known.life.state = Some(State::Paused)),
            "/tasks/resumed" => self.roll.change(&key, |known| known.life.state = Some(State::Running)),
            "/containers/delete" => self.roll.removed(&key),
            _ => false,
        };
        if known { Next::Publish } else { Next::Nothing }
    }

    fn started(&mut self, key: &str, id: &str, pid: u32, at: Option<f64>) {
        self.killed_in.remove(key);
        let known = self.roll.get(key).map(|known| (**known).clone());
        let mut described =
            known.unwrap_or_else(|| Described { id: key.into(), name: id.to_owned(), ..Described::default() });
        described.pid = Some(pid).filter(|pid| *pid > 0);
        described.started = at;
        described.life.state = Some(State::Running);
        self.roll.put(described);
    }

    fn exited(&mut self, key: &str, exit: TaskExit) -> bool {
        let code = i64::from(exit.exit_status);
        let finished = exit.exited_at.and_then(|at| at.seconds()).unwrap_or_else(seconds_now);
        let oom_killed = code == KILLED && self.killed_in.contains(key);
        let known = self.roll.ended(key, Some(code), finished);
        known && self.roll.change(key, |known| known.life.oom_killed = Some(oom_killed))
    }

    fn killed(&mut self, key: &str) -> bool {
        if self.roll.get(key).is_some() {
            self.killed_in.insert(key.to_owned());
        }
        self.roll.change(key, |known| {
            known.ooms += 1;
            // The word of the kill may come after that of the end.
            if known.is_down() && known.life.exit_code == Some(KILLED) {
                known.life.oom_killed = Some(true);
            }
        })
    }
}

/// Under what a container is known: its id where that is unique by its making, otherwise with its namespace.
fn key(namespace: &str, id: &str) -> Option<String> {
    let is_sane = !id.is_empty() && id.len() <= 128 && !id.contains(['/', '\0', '\n']);
    is_sane.then(|| if is_container_id(id) { id.to_owned() } else { format!("{namespace}/{id}") })
}

/// Without what its task tells.
fn described(key: &str, told: Told, known: Option<&Arc<Described>>, life: Life) -> Described {
    let Told { container, env } = told;
    let label = |name: &str| container.labels.get(name).filter(|value| !value.is_empty());
    // Of a pod's containers the sandbox owns the network.
    let is_in_pod = label("io.cri-containerd.kind").is_some_and(|kind| kind == "container");
    let restarts = label("containerd.io/restart.count").and_then(|count| count.parse().ok());
    // nerdctl keeps the output beside what else it knows of the container.
    let log = label("nerdctl/state-dir").map(|folder| Path::new(folder).join(format!("{}-json.log", container.id)));
    Described {
        id: key.into(),
        log: log.filter(|log| log.is_absolute()).map(Into::into),
        name: label("nerdctl/name").unwrap_or(&container.id).clone(),
        network: if is_in_pod { Network::Other } else { Network::Own },
        created: container.created_at.and_then(|at| at.seconds()),
        ooms: known.map_or(0, |known| known.ooms),
        life: Life { restarts, ..life },
        image: container.image,
        labels: container.labels.into_iter().collect::<BTreeMap<_, _>>(),
        env,
        ..Described::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::{Any, Timestamp};
    use super::*;

    const ID: &str = "776b5118f8733ce092fb3460c7fae017c9a3702d61ed882cce4186cf208b0047";

    fn book() -> Book {
        Book::new(Duration::from_secs(600))
    }

    fn container(id: &str, labels: &[(&str, &str)]) -> Told {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let image = "docker.io/shop/web:1".to_owned();
        Told::of(Container { id: id.to_owned(), labels, image, ..Container::default() }, &[])
    }

    fn task(pid: u32, status: TaskStatus) -> Task {
        Task { pid, status: status.into(), ..Task::default() }
    }

    fn event(topic: &str, body: &impl Message) -> Envelope {
        let event = Some(Any { value: body.encode_to_vec() });
        let timestamp = Some(Timestamp { seconds: 1_700_000_000, nanos: 500_000_000 });
        Envelope { timestamp, namespace: "k8s.io".to_owned(), topic: topic.to_owned(), event }
    }

    fn exit(id: &str, process: &str, exit_status: u32) -> TaskExit {
        let exited_at = Some(Timestamp { seconds: seconds_now() as i64, nanos: 0 });
        TaskExit { container: id.to_owned(), process: process.to_owned(), exit_status, exited_at }
    }

    fn known(book: &mut Book, key: &str) -> Option<Described> {
        book.snapshot().containers.get(key).map(|known| (**known).clone())
    }

    #[test]
    fn a_list_gives_names_images_labels_and_processes() {
        let mut book = book();
        let of_nerdctl = [("nerdctl/name", "shop"), ("nerdctl/state-dir", "/var/lib/nerdctl/x/box")];
        let of_pod = container(ID, &[("io.cri-containerd.kind", "container"), ("io.kubernetes.pod.name", "web-0")]);
        book.list(vec![
            ("k8s.io".to_owned(), of_pod, task(42, TaskStatus::Running)),
            ("default".to_owned(), container("box", &of_nerdctl), task(43, TaskStatus::Paused)),
            ("default".to_owned(), container("made", &[]), task(44, TaskStatus::Created)),
            ("default".to_owned(), container("a/b", &[]), task(45, TaskStatus::Running)),
        ]);
        let web = known(&mut book, ID).unwrap();
        assert_eq!((web.name.as_str(), web.image.as_str(), web.pid), (ID, "docker.io/shop/web:1", Some(42)));
        assert_eq!((web.network, web.labels["io.kubernetes.pod.name"].as_str()), (Network::Other, "web-0"));
        let shop = known(&mut book, "default/box").unwrap();
        assert_eq!((web.log, shop.log.as_deref()), (None, Some(Path::new("/var/lib/nerdctl/x/box/box-json.log"))));
        assert_eq!((shop.name.as_str(), shop.life.state), ("shop", Some(State::Paused)));
        assert_eq!(book.snapshot().containers.len(), 2);
    }

    #[test]
    fn a_life() {
        let mut book = book();
        let ask = Next::Ask { namespace: "k8s.io".to_owned(), id: ID.to_owned() };
        let start = TaskStart { container: ID.to_owned(), pid: 42 };
        assert_eq!(book.event(&event("/tasks/start", &start)), ask);
        book.answered("k8s.io", container(ID, &[]));
        let web = known(&mut book, ID).unwrap();
        assert_eq!(
            (web.pid, web.started, web.image.as_str()),
            (Some(42), Some(1_700_000_000.5), "docker.io/shop/web:1")
        );
        assert_eq!(book.event(&event("/tasks/exit", &exit(ID, "exec-1", 1))), Next::Nothing);
        assert_eq!(known(&mut book, ID).unwrap().life.state, Some(State::Running));
        assert_eq!(book.event(&event("/tasks/oom", &OfContainer { container: ID.to_owned() })), Next::Publish);
        assert_eq!(book.event(&event("/tasks/exit", &exit(ID, ID, 137))), Next::Publish);
        let life = known(&mut book, ID).unwrap().life;
        assert_eq!((life.state, life.exit_code, life.oom_killed), (Some(State::Exited), Some(137), Some(true)));
        assert_eq!(book.event(&event("/containers/delete", &OfContainer { container: ID.to_owned() })), Next::Publish);
        assert_eq!(known(&mut book, ID).unwrap().life.state, Some(State::Removed));
        assert_eq!(book.event(&event("/tasks/start", &start)), ask);
        book.event(&event("/tasks/exit", &exit(ID, ID, 137)));
        assert_eq!(known(&mut book, ID).unwrap().life.oom_killed, Some(false), "killed, and not for want of memory");
        book.event(&event("/tasks/oom", &OfContainer { container: ID.to_owned() }));
        let web = known(&mut book, ID).unwrap();
        assert_eq!((web.life.oom_killed, web.ooms), (Some(true), 2), "the word of the kill came late");
    }

    #[track_caller]
    fn check_variables(prefixes: &[&str], specification: &str, want: &[(&str, &str)]) {
        let spec = Some(Any { value: specification.into() });
        let variables: Vec<_> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        let told = Told::of(Container { id: ID.to_owned(), spec, ..Container::default() }, &variables);
        assert_eq!(told.container.spec, None);
        let mut book = book();
        book.list(vec![("k8s.io".to_owned(), told, task(42, TaskStatus::Running))]);
        let env = known(&mut book, ID).unwrap().env;
        assert_eq!(env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(), want);
    }

    #[test]
    fn only_chosen_variables_are_kept() {
        let specification = r#"{"ociVersion":"1.0.2","process":{"args":["sh"],"env":["APP_TIER=gold","PASSWORD=x"]}}"#;
        check_variables(&["APP_"], specification, &[("app_tier", "gold")]);
        check_variables(&[], specification, &[]);
        check_variables(&["APP_"], r#"{"process":{"args":["sh"]}}"#, &[]);
        check_variables(&["APP_"], "{", &[]);
    }

    #[test]
    fn a_task_that_stopped_before_anybody_listened() {
        let mut book = book();
        let ended = |seconds| Task {
            exit_status: 3,
            exited_at: Some(Timestamp { seconds, nanos: 0 }),
            ..task(42, TaskStatus::Stopped)
        };
        let now = seconds_now() as i64;
        book.list(vec![
            ("k8s.io".to_owned(), container(ID, &[]), ended(now)),
            ("k8s.io".to_owned(), container("old", &[]), ended(now - 700)),
        ]);
        let life = known(&mut book, ID).unwrap().life;
        assert_eq!((life.exit_code, life.finished), (Some(3), Some(now as f64)));
        assert_eq!(known(&mut book, "k8s.io/old"), None);
    }

    #[test]
    fn nonsense_is_passed_over() {
        let mut book = book();
        let mut odd = event("/tasks/start", &TaskStart::default());
        assert_eq!(book.event(&odd), Next::Nothing);
        odd.event = Some(Any { value: vec![0xff, 0xff] });
        assert_eq!(book.event(&odd), Next::Nothing);
        assert_eq!(book.event(&Envelope::default()), Next::Nothing);
        assert!(book.snapshot().containers.is_empty());
    }
}
