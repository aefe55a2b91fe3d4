//! Sessions of users, as logind knows them, over D-Bus.

use std::collections::HashMap;

use agent_exposition::{Kind, Page};
use futures_util::{StreamExt, TryStreamExt, stream};
use zbus::OwnedObjectPath;

use crate::bus::{Address, Bus, Service, text};
use crate::{CollectError, Collector, FlagSpec, Outcome, Scrape, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "logind",
    help: "Sessions of users.",
    default_on: false,
    flags: &[BUS_ADDRESS],
    build: |context| {
        let address = context.flags.value(&BUS_ADDRESS);
        let address = address.map_or(Address::System, |address| Address::At(address.to_owned()));
        Ok(Box::new(Logind { bus: Bus::new(address, SERVICE), scrape: None }))
    },
};

const BUS_ADDRESS: FlagSpec =
    FlagSpec::value("collector.logind.bus-address", "Another bus than the system's, as D-Bus writes it.").hidden();

const SERVICE: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

/// What a session may be; anything else is `other`.
const TYPES: [&str; 7] = ["other", "unspecified", "tty", "x11", "wayland", "mir", "web"];
const CLASSES: [&str; 5] = ["other", "user", "greeter", "lock-screen", "background"];

struct Logind {
    bus: Bus,
    scrape: Option<Scrape>,
}

impl Collector for Logind {
    fn begin(&mut self, scrape: Scrape) {
        self.scrape = Some(scrape);
    }

    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        let deadline = self.scrape.unwrap_or_else(Scrape::untold).deadline;
        // No bus, or no logind on it.
        let Some((seats, sessions)) = self.bus.talk(deadline, ask)? else { return Ok(Outcome::Nothing) };
        add(page, &seats, &sessions);
        Ok(Outcome::Collected)
    }
}

/// What tells sessions apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    seat: String,
    is_remote: bool,
    kind: &'static str,
    class: &'static str,
}

async fn ask(service: &Service) -> zbus::Result<(Vec<String>, Vec<Session>)> {
    let answer = service.call(PATH, MANAGER, "ListSeats").await?;
    let seats: Vec<(String, OwnedObjectPath)> = answer.body().deserialize()?;
    let answer = service.call(PATH, MANAGER, "ListSessions").await?;
    let sessions: Vec<(String, u32, String, String, OwnedObjectPath)> = answer.body().deserialize()?;
    let sessions: Vec<Option<Session>> = stream::iter(sessions)
        .map(async |(_, _, _, seat, path)| session(service, seat, path.as_str()).await)
        .buffered(AT_A_TIME)
        .try_collect()
        .await?;
    // Sessions from elsewhere, such as those of SSH, are at no seat.
    let seats = seats.into_iter().map(|(seat, _)| seat).chain([String::new()]);
    Ok((seats.collect(), sessions.into_iter().flatten().collect()))
}

/// Questions on their way at a time.
const AT_A_TIME: usize = 32;

/// `None` for a session that has ended meanwhile.
async fn session(service: &Service, seat: String, path: &str) -> zbus::Result<Option<Session>> {
    let properties = service.get_all(path, SESSION).await?;
    let word = |name: &str, known: &[&'static str]| {
        let word = properties.get(name).and_then(text)?;
        Some(known.iter().find(|known| **known == word).copied().unwrap_or("other"))
    };
    let is_remote = properties.get("Remote").and_then(|remote| remote.downcast_ref::<bool>().ok());
    let (Some(is_remote), Some(kind), Some(class)) = (is_remote, word("Type", &TYPES), word("Class", &CLASSES)) else {
        return Ok(None);
    };
    Ok(Some(Session { seat, is_remote, kind, class }))
}

/// A series for whatever a session may be, so that one that begins is seen to grow from 0.
fn add(page: &mut Page, seats: &[String], sessions: &[Session]) {
    let mut counts = HashMap::<&Session, u64>::new();
    sessions.iter().for_each(|session| *counts.entry(session).or_default() += 1);
    let family = page.family("node_logind_sessions", "Sessions of users.", Kind::Gauge);
    for seat in seats {
        for is_remote in [false, true] {
            for (kind, class) in TYPES.into_iter().flat_map(|kind| CLASSES.map(|class| (kind, class))) {
                let session = Session { seat: seat.clone(), is_remote, kind, class };
                let remote = if is_remote { "true" } else { "false" };
                let labels = [("class", class), ("remote", remote), ("seat", seat.as_str()), ("type", kind)];
                page.sample(family, &labels, counts.get(&session).copied().unwrap_or(0) as f64);
            }
        }
    }
}
