//! What is known of Docker's containers, brought up to date by lists, answers and events.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bollard::models::{ContainerInspectResponse, ContainerSummary, EventMessage, HealthStatusEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::{Described, Health, Network, Snapshot};
use crate::identity::is_container_id;

/// All containers that run, and those that ran and still exist.
#[derive(Debug, Default)]
pub(super) struct Book {
    containers: HashMap<Arc<str>, Arc<Described>>,
    pub(super) version: Option<String>,
    /// How the names of variables begin that are kept.
    variables: Vec<String>,
}

/// What an event asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The container must be asked about.
    Ask(String),
    /// What is known has changed.
    Publish,
    Nothing,
}

impl Book {
    /// An empty one that keeps the variables whose names begin so.
    pub(super) fn keeping(variables: Vec<String>) -> Self {
        Self { variables, ..Self::default() }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { containers: self.containers.clone(), version: self.version.clone() }
    }

    /// A list of the containers that run. Gives their ids, since all must be asked about: any of them may have started
    /// anew while nobody listened. Of those that are not on it, only the ones with kills to remember are kept.
    pub(super) fn list(&mut self, summaries: Vec<ContainerSummary>) -> Vec<String> {
        let mut running = HashMap::new();
        let mut to_ask = Vec::new();
        for summary in summaries {
            let Some(id) = summary.id.clone().filter(|id| is_container_id(id)) else { continue };
            let known = self.containers.get(id.as_str());
            to_ask.push(id.clone());
            let described = summarised(&id, summary, known);
            running.insert(described.id.clone(), Arc::new(described));
        }
        for (id, known) in self.containers.drain() {
            // One that left no trace of a kill has nothing to be remembered for.
            if !running.contains_key(&id) && known.ooms > 0 {
                let stopped = Described { pid: None, ..(*known).clone() };
                running.insert(id, Arc::new(stopped));
            }
        }
        self.containers = running;
        to_ask
    }

    /// The answer to a question about one container.
    pub(super) fn inspected(&mut self, id: &str, answer: ContainerInspectResponse) {
        if answer.id.as_deref() != Some(id) || !is_container_id(id) {
            return;
        }
        let known = self.containers.get(id);
        let state = answer.state.unwrap_or_default();
        let runs = state.running == Some(true);
        if !runs && known.is_none() {
            return;
        }
        let config = answer.config.unwrap_or_default();
        let host_config = answer.host_config.unwrap_or_default();
        let upper_dir = answer.graph_driver.and_then(|driver| driver.data.get("UpperDir").map(Into::into));
        let health = state.health.and_then(|health| health.status).map_or(Health::Unchecked, |status| match status {
            HealthStatusEnum::HEALTHY => Health::Healthy,
            HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY => Health::StartingOrUnhealthy,
            HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => Health::Unchecked,
        });
        let described = Described {
            id: id.into(),
            name: answer.name.map(|name| without_slash(&name).to_owned()).unwrap_or_default(),
            image: config.image.or(answer.image).unwrap_or_default(),
            labels: config.labels.map(|labels| labels.into_iter().collect()).unwrap_or_default(),
            env: chosen(&self.variables, config.env.unwrap_or_default()),
            created: answer.created.as_deref().and_then(seconds),
            started: state.started_at.as_deref().and_then(seconds),
            pid: state.pid.filter(|_| runs).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
            health,
            network: network(host_config.network_mode.as_deref()),
            upper_dir,
            ooms: known.map_or(0, |known| known.ooms),
        };
        self.containers.insert(described.id.clone(), Arc::new(described));
    }

    /// Something happened to a container.
    pub(super) fn event(&mut self, event: &EventMessage) -> Next {
        let Some(id) = event.actor.as_ref().and_then(|actor| actor.id.clone()).filter(|id| is_container_id(id)) else {
            return Next::Nothing;
        };
        let action = event.action.as_deref().unwrap_or_default();
        match action.split_once(": ").map_or((action, ""), |(action, detail)| (action, detail)) {
            ("start" | "restart" | "rename" | "update" | "unpause", _) => Next::Ask(id),
            ("die", _) => self.change(&id, |known| known.pid = None),
            ("oom", _) => self.change(&id, |known| known.ooms += 1),
            ("health_status", status) => {
                let health = match status {
                    "healthy" => Health::Healthy,
                    _ => Health::StartingOrUnhealthy,
                };
                self.change(&id, |known| known.health = health)
            }
            ("destroy", _) => match self.containers.remove(id.as_str()) {
                Some(_) => Next::Publish,
                None => Next::Nothing,
            },
            _ => Next::Nothing,
        }
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Described)) -> Next {
        let Some(known) = self.containers.get_mut(id) else { return Next::Nothing };
        let mut changed = (**known).clone();
        change(&mut changed);
        *known = Arc::new(changed);
        Next::Publish
    }
}

/// What a line of the list tells; the rest stays as known.
fn summarised(id: &str, summary: ContainerSummary, known: Option<&Arc<Described>>) -> Described {
    let name = summary.names.as_deref().unwrap_or_default();
    // With links a container is also called `/other/alias`; its own name has one slash only.
    let own = name.iter().map(|name| without_slash(name)).find(|name| !name.contains('/'));
    let status = summary.status.as_deref().unwrap_or_default();
    let network = network(summary.host_config.as_ref().and_then(|config| config.network_mode.as_deref()));
    Described {
        id: id.into(),
        name: own.or(name.first().map(String::as_str)).unwrap_or_default().to_owned(),
        image: summary.image.unwrap_or_default(),
        labels: summary.labels.unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>(),
        env: known.map(|known| known.env.clone()).unwrap_or_default(),
        created: summary.created.map(|seconds| seconds as f64).filter(|seconds| *seconds > 0.0),
        started: known.and_then(|known| known.started),
        pid: known.and_then(|known| known.pid),
        health: health_in(status),
        network,
        upper_dir: known.and_then(|known| known.upper_dir.clone()),
        ooms: known.map_or(0, |known| known.ooms),
    }
}

/// `Up 5 minutes (healthy)`, `Up 2 seconds (health: starting)`, `Up 3 hours`.
fn health_in(status: &str) -> Health {
    match status.rsplit_once('(').map(|(_, rest)| rest.trim_end_matches(')')) {
        Some("healthy") => Health::Healthy,
        Some("unhealthy" | "health: starting") => Health::StartingOrUnhealthy,
        _ => Health::Unchecked,
    }
}

/// The variables `NAME=value` whose names begin with one of the prefixes, by name in lower case as cAdvisor has them.
fn chosen(prefixes: &[String], variables: Vec<String>) -> BTreeMap<String, String> {
    let pairs = variables.iter().filter_map(|variable| variable.split_once('='));
    pairs
        .filter(|(name, _)| prefixes.iter().any(|prefix| !prefix.is_empty() && name.starts_with(prefix.as_str())))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect()
}

fn network(mode: Option<&str>) -> Network {
    match mode.unwrap_or_default() {
        "host" => Network::Host,
        mode if mode.starts_with("container:") => Network::Other,
        _ => Network::Own,
    }
}

fn without_slash(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// Seconds since 1970 of a time in RFC 3339. Docker writes the year 1 for never.
fn seconds(text: &str) -> Option<f64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(time.unix_timestamp_nanos() as f64 / 1e9).filter(|seconds| *seconds > 0.0)
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState, EventActor, HostConfig};

    use super::*;

    fn id(digit: char) -> String {
        std::iter::repeat_n(digit, 64).collect()
    }

    fn summary(digit: char, name: &str) -> ContainerSummary {
        ContainerSummary {
            id: Some(id(digit)),
            names: Some(vec![format!("/{name}")]),
            image: Some("shop/web:1".to_owned()),
            created: Some(1_795_248_761),
            status: Some("Up 2 seconds (healthy)".to_owned()),
            ..ContainerSummary::default()
        }
    }

    fn answer(digit: char, pid: i64) -> ContainerInspectResponse {
        ContainerInspectResponse {
            id: Some(id(digit)),
            name: Some("/web".to_owned()),
            created: Some("2026-11-21T08:12:41.280986522Z".to_owned()),
            state: Some(ContainerState {
                running: Some(pid > 0),
                pid: Some(pid),
                started_at: Some("2026-11-21T08:12:41.5Z".to_owned()),
                ..ContainerState::default()
            }),
            config: Some(ContainerConfig { image: Some("shop/web:1".to_owned()), ..ContainerConfig::default() }),
            host_config: Some(HostConfig { network_mode: Some("host".to_owned()), ..HostConfig::default() }),
            ..ContainerInspectResponse::default()
        }
    }

    fn event(digit: char, action: &str) -> EventMessage {
        EventMessage {
            action: Some(action.to_owned()),
            actor: Some(EventActor { id: Some(id(digit)), attributes: None }),
            ..EventMessage::default()
        }
    }

    fn known(book: &Book, digit: char) -> Option<Described> {
        book.snapshot().containers.get(id(digit).as_str()).map(|known| (**known).clone())
    }

    #[test]
    fn the_list_gives_names_at_once_and_asks_about_the_rest() {
        let mut book = Book::default();
        assert_eq!(book.list(vec![summary('a', "web")]), [id('a')]);
        let web = known(&book, 'a').unwrap();
        assert_eq!((web.name.as_str(), web.image.as_str(), web.pid, web.started), ("web", "shop/web:1", None, None));
        assert_eq!((web.created, web.health), (Some(1_795_248_761.0), Health::Healthy));
        book.inspected(&id('a'), answer('a', 42));
        let web = known(&book, 'a').unwrap();
        assert_eq!((web.pid, web.started, web.network), (Some(42), Some(1_795_248_761.5), Network::Host));
        assert_eq!(book.list(vec![summary('a', "web")]), [id('a')], "it may have started anew");
        assert_eq!(known(&book, 'a').unwrap().pid, Some(42), "until the answer what is known stays");
        book.inspected(&id('a'), answer('a', 43));
        assert_eq!(known(&book, 'a').unwrap().pid, Some(43));
    }

    #[test]
    fn events() {
        let mut book = Book::default();
        assert_eq!(book.event(&event('a', "start")), Next::Ask(id('a')));
        book.inspected(&id('a'), answer('a', 42));
        assert_eq!(book.event(&event('a', "health_status: unhealthy")), Next::Publish);
        assert_eq!(known(&book, 'a').unwrap().health, Health::StartingOrUnhealthy);
        assert_eq!(book.event(&event('a', "oom")), Next::Publish);
        assert_eq!(book.event(&event('a', "die")), Next::Publish);
        let dead = known(&book, 'a').unwrap();
        assert_eq!((dead.pid, dead.ooms), (None, 1));
        assert_eq!(book.event(&event('a', "exec_start: sh")), Next::Nothing);
        assert_eq!(book.event(&event('a', "start")), Next::Ask(id('a')));
        book.inspected(&id('a'), answer('a', 43));
        assert_eq!(known(&book, 'a').map(|d| (d.pid, d.ooms)), Some((Some(43), 1)), "kills are remembered");
        assert_eq!(book.event(&event('a', "destroy")), Next::Publish);
        assert_eq!(known(&book, 'a'), None);
        assert_eq!(book.event(&event('b', "die")), Next::Nothing);
    }

    #[test]
    fn what_stops_unseen_is_forgotten_unless_it_was_killed() {
        let mut book = Book::default();
        book.list(vec![summary('a', "web"), summary('b', "db")]);
        book.event(&event('b', "oom"));
        book.list(vec![]);
        assert_eq!(known(&book, 'a'), None);
        assert_eq!(known(&book, 'b').map(|db| db.ooms), Some(1));
    }

    #[test]
    fn only_chosen_variables_are_kept() {
        let with = |prefixes: &[&str]| {
            let mut book = Book::keeping(prefixes.iter().map(|prefix| (*prefix).to_owned()).collect());
            let env = ["APP_TIER=front=end", "APP_=", "PASSWORD=x", "app_tier=small", "APP"].map(str::to_owned);
            let config = ContainerConfig { env: Some(env.into()), ..ContainerConfig::default() };
            book.inspected(&id('a'), ContainerInspectResponse { config: Some(config), ..answer('a', 42) });
            let env = known(&book, 'a').unwrap().env;
            env.into_iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>()
        };
        assert_eq!(with(&["APP_"]), ["app_:", "app_tier:front=end"]);
        assert!(with(&[]).is_empty() && with(&["", "TIER"]).is_empty());
    }

    #[test]
    fn nonsense_is_passed_over() {
        let mut book = Book::default();
        let odd = ContainerSummary { id: Some("../../etc".to_owned()), ..ContainerSummary::default() };
        assert!(book.list(vec![odd, ContainerSummary::default()]).is_empty());
        book.inspected(&id('a'), answer('b', 42));
        book.inspected("x", ContainerInspectResponse { id: Some("x".to_owned()), ..answer('b', 42) });
        assert_eq!(book.event(&EventMessage::default()), Next::Nothing);
        assert!(book.snapshot().containers.is_empty());
    }

    #[test]
    fn names() {
        let mut book = Book::default();
        let linked =
            ContainerSummary { names: Some(vec!["/front/alias".to_owned(), "/web".to_owned()]), ..summary('a', "") };
        book.list(vec![linked]);
        assert_eq!(known(&book, 'a').unwrap().name, "web");
    }

    #[track_caller]
    fn check_seconds(text: &str, want: Option<f64>) {
        assert_eq!(seconds(text), want, "{text}");
    }

    #[test]
    fn times() {
        check_seconds("1970-01-01T00:00:10Z", Some(10.0));
        check_seconds("1970-01-01T01:00:10.25+01:00", Some(10.25));
        check_seconds("0001-01-01T00:00:00Z", None);
        check_seconds("yesterday", None);
    }

    #[test]
    fn health_of_a_status() {
        assert_eq!(health_in("Up 5 minutes (healthy)"), Health::Healthy);
        assert_eq!(health_in("Up 5 minutes (unhealthy)"), Health::StartingOrUnhealthy);
        assert_eq!(health_in("Up 2 seconds (health: starting)"), Health::StartingOrUnhealthy);
        assert_eq!(health_in("Up 2 seconds"), Health::Unchecked);
        assert_eq!(health_in("Up 2 seconds (Paused)"), Health::Unchecked);
    }
}
