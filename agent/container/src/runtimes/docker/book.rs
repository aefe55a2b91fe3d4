//! What is known of Docker's containers, brought up to date by lists, answers and events.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary, ContainerSummaryStateEnum,
    EventMessage, HealthStatusEnum,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::{Described, Health, Network, Snapshot};
use super::files;
use super::status::{ended_ago, health_in};
use crate::config::Config;
use crate::described::{Life, Place, Roll, State, chosen_variables, seconds_now};
use crate::identity::is_container_id;

/// All containers that run, and those that stopped and are still told of.
#[derive(Debug)]
pub(super) struct Book {
    roll: Roll,
    pub(super) version: Option<String>,
    /// How the cgroups are found. Where that is bounded, the folders that the engine names are not looked into either.
    place: Place,
    /// How the names of variables begin that are kept.
    variables: Vec<String>,
}

/// What an event asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The container must be asked about.
    Ask(String),
    /// What is known has changed, and the container must be asked about the rest.
    PublishAndAsk(String),
    /// What is known has changed.
    Publish,
    Nothing,
}

impl Book {
    /// An empty one, of an engine whose cgroups are found so. The configuration tells for how long it keeps what
    /// stopped, and which variables.
    pub(super) fn new(config: &Config, place: Place) -> Self {
        Self { roll: Roll::new(config.stopped_for), version: None, place, variables: config.labels.variables.clone() }
    }

    /// Whether the engine is a user's own.
    pub(super) fn is_of_user(&self) -> bool {
        matches!(self.place, Place::Under(_))
    }

    pub(super) fn snapshot(&mut self) -> Snapshot {
        self.roll.snapshot(self.version.clone())
    }

    /// Whether containers that stopped are of interest.
    pub(super) fn keeps_stopped(&self) -> bool {
        self.roll.keeps()
    }

    /// A list of the containers, those that stopped among them if they are of interest. Gives the ids of those that
    /// must be asked about: all that run, since any of them may have started anew while nobody listened, and those that
    /// ended not long ago by an end that is not known yet.
    pub(super) fn list(&mut self, summaries: Vec<ContainerSummary>) -> Vec<String> {
        let mut running = HashMap::new();
        let mut to_ask = Vec::new();
        for summary in summaries {
            let Some(id) = summary.id.clone().filter(|id| is_container_id(id)) else { continue };
            let known = self.roll.get(&id);
            let Some(state) = state_in(&summary) else { continue };
            if state.is_up() || state == State::Restarting {
                to_ask.push(id.clone());
                let described = Described { place: self.place.clone(), ..summarised(&id, summary, state, known) };
                running.insert(described.id.clone(), Arc::new(described));
            } else if known.is_none_or(|known| !known.is_down()) && self.ended_lately(&summary) {
                to_ask.push(id);
            }
        }
        self.roll.running(running);
        to_ask
    }

    fn ended_lately(&self, summary: &ContainerSummary) -> bool {
        let ago = summary.status.as_deref().and_then(ended_ago);
        ago.is_some_and(|ago| self.roll.is_recent(Some(seconds_now() - ago)))
    }

    /// The answer to a question about one container.
    pub(super) fn inspected(&mut self, id: &str, answer: ContainerInspectResponse) {
        if answer.id.as_deref() != Some(id) || !is_container_id(id) {
            return;
        }
        let known = self.roll.get(id);
        let state = answer.state.unwrap_or_default();
        let runs = state.running == Some(true) && state.restarting != Some(true);
        let finished = state.finished_at.as_deref().and_then(seconds);
        if !runs && known.is_none() && !self.roll.is_recent(finished) {
            return;
        }
        let restarts = answer.restart_count.and_then(|count| u64::try_from(count).ok());
        let life = life_of(&state, restarts, finished, runs, known.map(|known| &known.life));
        let config = answer.config.unwrap_or_default();
        let host_config = answer.host_config.unwrap_or_default();
        let log = files::log(id, answer.log_path, answer.hostname_path, host_config.log_config.and_then(|log| log.typ));
        let looks_at_folders = !self.is_of_user();
        let of_driver = || answer.graph_driver.and_then(|driver| driver.data.get("UpperDir").map(Into::into));
        let described = Described {
            id: id.into(),
            name: answer.name.map(|name| without_slash(&name).to_owned()).unwrap_or_default(),
            image: config.image.or(answer.image).unwrap_or_default(),
            labels: config.labels.map(|labels| labels.into_iter().collect()).unwrap_or_default(),
            env: chosen_variables(&self.variables, config.env.unwrap_or_default()),
            created: answer.created.as_deref().and_then(seconds),
            started: state.started_at.as_deref().and_then(seconds),
            pid: state.pid.filter(|_| runs).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
            health: health_of(&state),
            network: network(host_config.network_mode.as_deref()),
            upper_dir: if looks_at_folders { of_driver() } else { None },
            volumes: if looks_at_folders { files::volumes(answer.mounts.unwrap_or_default()) } else { Arc::default() },
            log: log.filter(|_| looks_at_folders),
            ooms: known.map_or(0, |known| known.ooms),
            life,
            place: self.place.clone(),
        };
        self.roll.put(described);
    }

    /// Something happened to a container.
    pub(super) fn event(&mut self, event: &EventMessage) -> Next {
        let Some(id) = event.actor.as_ref().and_then(|actor| actor.id.clone()).filter(|id| is_container_id(id)) else {
            return Next::Nothing;
        };
        let action = event.action.as_deref().unwrap_or_default();
        let known = match action.split_once(": ").map_or((action, ""), |(action, detail)| (action, detail)) {
            ("start" | "restart" | "rename" | "update" | "unpause", _) => return Next::Ask(id),
            ("pause", _) => self.roll.change(&id, |known| known.life.state = Some(State::Paused)),
            ("die" | "died", _) => return self.died(id, event),
            ("oom", _) => self.roll.change(&id, |known| known.ooms += 1),
            ("health_status", status) => {
                let health = match status {
                    "healthy" => Health::Healthy,
                    "unhealthy" => Health::Unhealthy,
                    "starting" => Health::Starting,
                    // Podman names the result elsewhere.
                    _ => return Next::Ask(id),
                };
                self.roll.change(&id, |known| known.health = health)
            }
            _ if is_removal(event) => self.roll.removed(&id),
            _ => false,
        };
        if known { Next::Publish } else { Next::Nothing }
    }

    /// What the event tells is kept in case the container is gone before the answer.
    fn died(&mut self, id: String, event: &EventMessage) -> Next {
        let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
        let exit_code = attributes.and_then(|all| all.get("exitCode").or(all.get("containerExitCode")));
        let at = event.time_nano.map(|nanos| nanos as f64 / 1e9).or(event.time.map(|seconds| seconds as f64));
        let finished = at.unwrap_or_else(seconds_now);
        match self.roll.ended(&id, exit_code.and_then(|code| code.parse().ok()), finished) {
            true if self.roll.keeps() => Next::PublishAndAsk(id),
            true => Next::Publish,
            false => Next::Nothing,
        }
    }
}

/// Whether the engine has forgotten a container.
pub(super) fn is_removal(event: &EventMessage) -> bool {
    // The second is Podman's word.
    matches!(event.action.as_deref(), Some("destroy" | "remove"))
}

/// How a container fares by an answer about it. Of the last run that ended nothing is said while another runs, so what
/// is known of it stays.
fn life_of(
    state: &ContainerState,
    restarts: Option<u64>,
    finished: Option<f64>,
    runs: bool,
    known: Option<&Life>,
) -> Life {
    let known = known.copied().unwrap_or_default();
    let ended = |of_answer: Option<i64>| if runs { known.exit_code } else { of_answer };
    let status = match state.status {
        Some(ContainerStateStatusEnum::PAUSED) => State::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => State::Restarting,
        Some(ContainerStateStatusEnum::DEAD) => State::Dead,
        _ if runs => State::Running,
        _ => State::Exited,
    };
    // A restart may come between the event and the answer: it is the same end.
    let oom_killed = if runs { known.oom_killed } else { state.oom_killed };
    Life {
        state: Some(status),
        exit_code: ended(state.exit_code),
        oom_killed,
        restarts,
        finished: finished.or(known.finished),
    }
}

fn health_of(state: &ContainerState) -> Health {
    let status = state.health.as_ref().and_then(|health| health.status);
    status.map_or(Health::Unchecked, |status| match status {
        HealthStatusEnum::HEALTHY => Health::Healthy,
        HealthStatusEnum::STARTING => Health::Starting,
        HealthStatusEnum::UNHEALTHY => Health::Unhealthy,
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => Health::Unchecked,
    })
}

/// The state by a line of the list; nothing for one that never ran. A list of only those that run may lack it.
fn state_in(summary: &ContainerSummary) -> Option<State> {
    match summary.state {
        Some(ContainerSummaryStateEnum::CREATED) => None,
        Some(ContainerSummaryStateEnum::PAUSED) => Some(State::Paused),
        Some(ContainerSummaryStateEnum::RESTARTING) => Some(State::Restarting),
        Some(ContainerSummaryStateEnum::EXITED) => Some(State::Exited),
        Some(ContainerSummaryStateEnum::DEAD) => Some(State::Dead),
        _ => Some(State::Running),
    }
}

/// What a line of the list tells; the rest stays as known.
fn summarised(id: &str, summary: ContainerSummary, state: State, known: Option<&Arc<Described>>) -> Described {
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
        pid: known.and_then(|known| known.pid).filter(|_| state.is_up()),
        health: health_in(status),
        network,
        upper_dir: known.and_then(|known| known.upper_dir.clone()),
        volumes: known.map(|known| known.volumes.clone()).unwrap_or_default(),
        log: known.and_then(|known| known.log.clone()),
        ooms: known.map_or(0, |known| known.ooms),
        life: Life { state: Some(state), ..known.map(|known| known.life).unwrap_or_default() },
        place: Place::default(),
    }
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

/// Reads text as what an engine says of states and times.
#[cfg(feature = "fuzzing")]
pub(super) fn words(text: &str) {
    let _ = (ended_ago(text), seconds(text), health_in(text));
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerConfig, ContainerState, EventActor, HostConfig};

    use super::*;
    use crate::config::LabelPolicy;

    fn book() -> Book {
        Book::new(&Config::default(), Place::Anywhere)
    }

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

    fn known(book: &mut Book, digit: char) -> Option<Described> {
        book.snapshot().containers.get(id(digit).as_str()).map(|known| (**known).clone())
    }

    #[test]
    fn the_list_gives_names_at_once_and_asks_about_the_rest() {
        let mut book = book();
        assert_eq!(book.list(vec![summary('a', "web")]), [id('a')]);
        let web = known(&mut book, 'a').unwrap();
        assert_eq!((web.name.as_str(), web.image.as_str(), web.pid, web.started), ("web", "shop/web:1", None, None));
        assert_eq!((web.created, web.health), (Some(1_795_248_761.0), Health::Healthy));
        book.inspected(&id('a'), answer('a', 42));
        let web = known(&mut book, 'a').unwrap();
        assert_eq!((web.pid, web.started, web.network), (Some(42), Some(1_795_248_761.5), Network::Host));
        assert_eq!(book.list(vec![summary('a', "web")]), [id('a')], "it may have started anew");
        assert_eq!(known(&mut book, 'a').unwrap().pid, Some(42), "until the answer what is known stays");
        book.inspected(&id('a'), answer('a', 43));
        assert_eq!(known(&mut book, 'a').unwrap().pid, Some(43));
    }

    #[test]
    fn events() {
        let mut book = book();
        assert_eq!(book.event(&event('a', "start")), Next::Ask(id('a')));
        book.inspected(&id('a'), answer('a', 42));
        assert_eq!(book.event(&event('a', "health_status: unhealthy")), Next::Publish);
        assert_eq!(known(&mut book, 'a').unwrap().health, Health::Unhealthy);
        assert_eq!(book.event(&event('a', "oom")), Next::Publish);
        assert_eq!(book.event(&event('a', "die")), Next::PublishAndAsk(id('a')));
        let dead = known(&mut book, 'a').unwrap();
        assert_eq!((dead.pid, dead.ooms), (None, 1));
        assert_eq!(book.event(&event('a', "exec_start: sh")), Next::Nothing);
        assert_eq!(book.event(&event('a', "start")), Next::Ask(id('a')));
        book.inspected(&id('a'), answer('a', 43));
        assert_eq!(known(&mut book, 'a').map(|d| (d.pid, d.ooms)), Some((Some(43), 1)), "kills are remembered");
        assert_eq!(book.event(&event('a', "destroy")), Next::Publish);
        assert_eq!(known(&mut book, 'a'), None, "it ran when it was removed");
        assert_eq!(book.event(&event('b', "die")), Next::Nothing);
    }

    #[test]
    fn what_stops_unseen_is_forgotten_unless_it_was_killed() {
        let mut book = book();
        book.list(vec![summary('a', "web"), summary('b', "db")]);
        book.event(&event('b', "oom"));
        book.list(vec![]);
        assert_eq!(known(&mut book, 'a'), None);
        assert_eq!(known(&mut book, 'b').map(|db| db.ooms), Some(1));
    }

    #[test]
    fn only_chosen_variables_are_kept() {
        let with = |prefixes: &[&str]| {
            let variables = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
            let labels = LabelPolicy { variables, ..LabelPolicy::default() };
            let mut book = Book::new(&Config { labels, ..Config::default() }, Place::Anywhere);
            let env = ["APP_TIER=front=end", "APP_=", "PASSWORD=x", "app_tier=small", "APP"].map(str::to_owned);
            let config = ContainerConfig { env: Some(env.into()), ..ContainerConfig::default() };
            book.inspected(&id('a'), ContainerInspectResponse { config: Some(config), ..answer('a', 42) });
            let env = known(&mut book, 'a').unwrap().env;
            env.into_iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>()
        };
        assert_eq!(with(&["APP_"]), ["app_:", "app_tier:front=end"]);
        assert!(with(&[]).is_empty() && with(&["", "TIER"]).is_empty());
    }

    #[test]
    fn nonsense_is_passed_over() {
        let mut book = book();
        let odd = ContainerSummary { id: Some("../../etc".to_owned()), ..ContainerSummary::default() };
        assert!(book.list(vec![odd, ContainerSummary::default()]).is_empty());
        book.inspected(&id('a'), answer('b', 42));
        book.inspected("x", ContainerInspectResponse { id: Some("x".to_owned()), ..answer('b', 42) });
        assert_eq!(book.event(&EventMessage::default()), Next::Nothing);
        assert!(book.snapshot().containers.is_empty());
    }

    #[test]
    fn names() {
        let mut book = book();
        let linked =
            ContainerSummary { names: Some(vec!["/front/alias".to_owned(), "/web".to_owned()]), ..summary('a', "") };
        book.list(vec![linked]);
        assert_eq!(known(&mut book, 'a').unwrap().name, "web");
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
    fn the_end_of_a_container() {
        let mut book = book();
        book.inspected(&id('a'), answer('a', 42));
        let attributes = HashMap::from([("exitCode".to_owned(), "137".to_owned())]);
        let actor = EventActor { id: Some(id('a')), attributes: Some(attributes) };
        let now = seconds_now().floor();
        let death = EventMessage { actor: Some(actor), time: Some(now as i64), ..event('a', "die") };
        assert_eq!(book.event(&death), Next::PublishAndAsk(id('a')));
        let life = known(&mut book, 'a').unwrap().life;
        assert_eq!((life.state, life.exit_code, life.finished), (Some(State::Exited), Some(137), Some(now)));
        let ended = ContainerState {
            status: Some(ContainerStateStatusEnum::EXITED),
            running: Some(false),
            oom_killed: Some(true),
            exit_code: Some(137),
            finished_at: OffsetDateTime::now_utc().format(&Rfc3339).ok(),
            ..ContainerState::default()
        };
        book.inspected(&id('a'), ContainerInspectResponse { state: Some(ended.clone()), ..answer('a', 0) });
        let life = known(&mut book, 'a').unwrap().life;
        assert_eq!((life.oom_killed, life.exit_code), (Some(true), Some(137)));
        book.inspected(&id('a'), ContainerInspectResponse { restart_count: Some(1), ..answer('a', 43) });
        let life = known(&mut book, 'a').unwrap().life;
        assert_eq!((life.state, life.oom_killed, life.restarts), (Some(State::Running), Some(true), Some(1)));
        assert_eq!(life.exit_code, Some(137), "of the last run that ended");
        // One that ended before anybody listened.
        book.inspected(&id('b'), ContainerInspectResponse { state: Some(ended.clone()), ..answer('b', 0) });
        assert_eq!(known(&mut book, 'b').unwrap().life.exit_code, Some(137));
        let long_ago = ContainerState { finished_at: Some("2020-11-21T08:12:41Z".to_owned()), ..ended };
        book.inspected(&id('c'), ContainerInspectResponse { state: Some(long_ago), ..answer('c', 0) });
        assert_eq!(known(&mut book, 'c'), None);
    }

    #[test]
    fn a_list_with_those_that_stopped() {
        let mut book = book();
        let stopped = |digit, state, status: &str| ContainerSummary {
            state: Some(state),
            status: Some(status.to_owned()),
            ..summary(digit, "x")
        };
        let to_ask = book.list(vec![
            summary('a', "web"),
            stopped('b', ContainerSummaryStateEnum::EXITED, "Exited (1) 4 minutes ago"),
            stopped('c', ContainerSummaryStateEnum::EXITED, "Exited (1) 4 hours ago"),
            stopped('d', ContainerSummaryStateEnum::CREATED, "Created"),
            stopped('e', ContainerSummaryStateEnum::RESTARTING, "Restarting (1) 2 seconds ago"),
        ]);
        assert_eq!(to_ask, [id('a'), id('b'), id('e')]);
    }
}
