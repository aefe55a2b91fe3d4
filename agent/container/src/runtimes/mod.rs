//! Container runtimes: what they know of containers that the kernel does not.
//!
//! A runtime is one file here and two lines: `mod NAME;` and an entry in [`RUNTIMES`]. It follows its engine for ever
//! on a task of its own and publishes what it knows; a scrape reads the last word of all and waits for nothing. An
//! engine that is away, hangs or lies costs names and labels, never figures.

mod containerd;
mod crio;
mod docker;
mod podman;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

#[cfg(feature = "fuzzing")]
pub use self::containerd::fuzzing::messages as containerd_messages;
#[cfg(feature = "fuzzing")]
pub(crate) use self::docker::words as docker_words;
use crate::Error;
use crate::config::Config;
pub(crate) use crate::described::{Described, Health, Network, Snapshot};

/// Bytes of an engine's version, which becomes a label.
const LONGEST_VERSION: usize = 256;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// More events than these in one second are a flood; a machine that starts ten containers a second makes about 40.
const MOST_EVENTS: u32 = 2000;

/// A runtime, if the configuration wants it.
pub(crate) type Built = Option<Box<dyn Runtime>>;

/// How a runtime is registered.
pub(crate) struct Spec {
    /// The value of the label `runtime`, and the name of its file here.
    pub(crate) name: &'static str,
    /// Makes it; nothing when the configuration does not want it.
    pub(crate) build: fn(&Config) -> Result<Built, Error>,
}

/// All runtimes. Of two that claim one container the first has the word.
pub(crate) const RUNTIMES: &[&Spec] = &[&docker::SPEC, &podman::SPEC, &containerd::SPEC, &crio::SPEC];

/// Follows one engine, or all of one kind.
pub(crate) trait Runtime: Send {
    /// Runs for ever: opens a place in `view`, connects, publishes, and when the connection breaks begins again after a
    /// while that grows up to a bound (see [`follow`]). Dropping the future must stop it.
    fn watch(self: Box<Self>, view: Arc<View>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The path of a socket that may be written as a URL; `expected` says what would be right.
fn socket_path(runtime: &'static str, address: &str, expected: &'static str) -> Result<PathBuf, Error> {
    let path = PathBuf::from(address.strip_prefix("unix://").unwrap_or(address));
    if path.is_absolute() {
        return Ok(path);
    }
    Err(Error::Address { runtime, address: address.to_owned(), reason: expected })
}

/// One engine at one address.
pub(crate) trait Engine: Send {
    /// Its socket, if most machines do not have one: as long as it was never there nothing has failed.
    fn awaited_socket(&self) -> Option<PathBuf>;

    /// From connecting until something fails. What is known is kept for the next session.
    fn session(&mut self, post: &Post) -> impl Future<Output = Result<Infallible, Failure>> + Send;
}

/// Follows an engine for ever, session after session.
pub(crate) async fn follow(mut engine: impl Engine, post: Opened) {
    let mut pause = FIRST_PAUSE;
    let mut told = None;
    loop {
        let is_new = post.telling().is_untouched();
        if is_new && engine.awaited_socket().is_some_and(|socket| !socket.exists()) {
            tokio::time::sleep(LONGEST_PAUSE).await;
            continue;
        }
        let begun = Instant::now();
        let Err(failure) = engine.session(&post).await;
        let was_connected = post.telling().connected;
        post.connected(false);
        post.failed(failure);
        // Once for each change, not for each attempt.
        if was_connected || told != Some(failure) {
            let (runtime, reason) = (post.name.as_str(), failure.reason());
            tracing::warn!(runtime, reason, "runtime does not answer, containers keep what is known");
            told = Some(failure);
        }
        if begun.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Why following an engine failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// Nothing answers at the address.
    Connect,
    /// No answer in time.
    Timeout,
    /// The answer is no answer of such an engine.
    Protocol,
    /// The engine answered with an error.
    Refused,
    /// The answer, or the stream of events, is beyond all measure.
    Flood,
    /// The stream of events ended.
    Ended,
}

impl Failure {
    pub(crate) const ALL: [Self; 6] =
        [Self::Connect, Self::Timeout, Self::Protocol, Self::Refused, Self::Flood, Self::Ended];

    /// The value of the label `reason`.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Refused => "refused",
            Self::Flood => "flood",
            Self::Ended => "ended",
        }
    }
}

/// Counts events by the second.
#[derive(Default)]
pub(crate) struct Rate {
    second: Option<Instant>,
    count: u32,
}

impl Rate {
    /// Counts one; says whether it is too many.
    pub(crate) fn is_flood(&mut self) -> bool {
        if self.second.is_none_or(|second| second.elapsed() >= Duration::from_secs(1)) {
            self.second = Some(Instant::now());
            self.count = 0;
        }
        self.count += 1;
        self.count > MOST_EVENTS
    }
}

/// What is told about following an engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telling {
    pub(crate) connected: bool,
    pub(crate) last_event: Option<SystemTime>,
    pub(crate) events: u64,
    pub(crate) failures: BTreeMap<Failure, u64>,
}

impl Telling {
    /// Whether there never was anything to tell.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.connected && self.events == 0 && self.failures.is_empty()
    }
}

/// Where one engine's word is published.
#[derive(Debug)]
pub(crate) struct Post {
    /// The value of the label `runtime`.
    pub(crate) name: String,
    /// What it is one of, as registered.
    runtime: &'static str,
    /// Whether most machines do not have it.
    pub(crate) is_optional: bool,
    rank: usize,
    snapshot: RwLock<Arc<Snapshot>>,
    telling: Mutex<Telling>,
    word: Arc<AtomicU64>,
}

impl Post {
    pub(crate) fn publish(&self, mut snapshot: Snapshot) {
        snapshot.version.take_if(|version| version.len() > LONGEST_VERSION);
        *self.snapshot.write() = Arc::new(snapshot);
        self.word.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn telling(&self) -> Telling {
        self.telling.lock().clone()
    }

    /// The engine's version, if it told it.
    pub(crate) fn version(&self) -> Option<String> {
        self.snapshot.read().version.clone()
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.telling.lock().connected = connected;
    }

    pub(crate) fn failed(&self, failure: Failure) {
        *self.telling.lock().failures.entry(failure).or_default() += 1;
    }

    pub(crate) fn event(&self) {
        let mut telling = self.telling.lock();
        telling.events += 1;
        telling.last_event = Some(SystemTime::now());
    }
}

/// A post in a view; dropping it takes it away with all that was published there.
#[derive(Debug)]
pub(crate) struct Opened {
    post: Arc<Post>,
    view: Arc<View>,
}

impl std::ops::Deref for Opened {
    type Target = Post;

    fn deref(&self) -> &Post {
        &self.post
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.view.posts.write().retain(|post| !Arc::ptr_eq(post, &self.post));
        self.view.word.fetch_add(1, Ordering::Release);
    }
}

/// Where a scrape reads what all runtimes publish.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// In the order of their word's weight.
    posts: RwLock<Vec<Arc<Post>>>,
    word: Arc<AtomicU64>,
    merged: Mutex<(u64, Arc<Snapshot>)>,
    /// Ids of CRI-O's containers, as their cgroups say.
    pub(crate) of_crio: watch::Sender<BTreeSet<Arc<str>>>,
}

impl View {
    /// A place to publish at, for an engine of a runtime in [`RUNTIMES`]; `of` tells several of the same kind apart.
    pub(crate) fn open(self: &Arc<Self>, runtime: &'static str, of: Option<&str>) -> Opened {
        let name = of.map_or_else(|| runtime.to_owned(), |of| format!("{runtime}:{of}"));
        // What an engine of some user says has less weight than the word of any of the machine's own.
        let of_machine = RUNTIMES.iter().position(|spec| spec.name == runtime).unwrap_or(RUNTIMES.len());
        let rank = if of.is_some() { RUNTIMES.len() } else { of_machine };
        let post = Arc::new(Post {
            name,
            runtime,
            is_optional: runtime != docker::SPEC.name,
            rank,
            snapshot: RwLock::default(),
            telling: Mutex::default(),
            word: self.word.clone(),
        });
        let mut posts = self.posts.write();
        posts.push(post.clone());
        posts.sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
        Opened { post, view: self.clone() }
    }

    /// Those that are open now.
    pub(crate) fn posts(&self) -> Vec<Arc<Post>> {
        self.posts.read().clone()
    }

    /// Whether an engine may be about to tell of a container that is new: one is followed, or is asked for the first
    /// time.
    pub(crate) fn may_tell_more(&self) -> bool {
        self.posts.read().iter().any(|post| {
            let telling = post.telling.lock();
            telling.connected || (!post.is_optional && telling.is_untouched())
        })
    }

    /// The runtime that has the word about a container.
    pub(crate) fn runtime_of(&self, id: &str) -> Option<&'static str> {
        let posts = self.posts.read();
        let mut told = posts.iter().filter(|post| post.snapshot.read().containers.contains_key(id));
        told.next().map(|post| post.runtime)
    }

    /// Tells which containers of CRI-O have cgroups.
    pub(crate) fn found_of_crio(&self, ids: BTreeSet<Arc<str>>) {
        self.of_crio.send_if_modified(|known| {
            let is_new = *known != ids;
            if is_new {
                *known = ids;
            }
            is_new
        });
    }

    /// The last word of all as one, and a number that grows with each.
    pub(crate) fn snapshot(&self) -> (u64, Arc<Snapshot>) {
        // Read before the snapshots are: what is published meanwhile is then merged again the next time.
        let word = self.word.load(Ordering::Acquire);
        let mut merged = self.merged.lock();
        if merged.0 != word {
            *merged = (word, Arc::new(merge(&self.posts.read())));
        }
        merged.clone()
    }
}

fn merge(posts: &[Arc<Post>]) -> Snapshot {
    let mut all = Snapshot::default();
    for post in posts {
        let snapshot = post.snapshot.read().clone();
        if post.name == docker::SPEC.name {
            all.version.clone_from(&snapshot.version);
        }
        for (id, described) in &snapshot.containers {
            match all.containers.entry(id.clone()) {
                Entry::Vacant(free) => drop(free.insert(described.clone())),
                Entry::Occupied(_) => all.disputed.entry(id.clone()).or_default().push(described.clone()),
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::described::Place;

    #[test]
    fn every_file_is_registered() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runtimes");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().into_string().unwrap().strip_suffix(".rs").map(str::to_owned)
            })
            .filter(|name| name != "mod")
            .collect();
        files.sort();
        let mut names: Vec<_> = RUNTIMES.iter().map(|spec| spec.name.to_owned()).collect();
        names.sort();
        assert_eq!(names, files);
    }

    fn claim(id: &str, name: &str) -> Snapshot {
        claim_under(id, name, Place::Anywhere)
    }

    fn claim_under(id: &str, name: &str, place: Place) -> Snapshot {
        let described = Described { id: id.into(), name: name.to_owned(), place, ..Described::default() };
        Snapshot { containers: [(id.into(), Arc::new(described))].into(), ..Snapshot::default() }
    }

    fn name_of(view: &View, id: &str) -> Option<String> {
        view.snapshot().1.containers.get(id).map(|described| described.name.clone())
    }

    #[test]
    fn what_two_claim_is_told_once_by_the_one_of_more_weight() {
        let view = Arc::new(View::default());
        let of_user = view.open("docker", Some("1000"));
        let of_machine = view.open("docker", None);
        of_user.publish(claim("a", "lie"));
        assert_eq!(name_of(&view, "a").as_deref(), Some("lie"));
        let before = view.snapshot().0;
        of_machine.publish(claim("a", "web"));
        assert_eq!(name_of(&view, "a").as_deref(), Some("web"));
        assert!(view.snapshot().0 > before);
        let of_podman = view.open("podman", None);
        of_podman.publish(Snapshot {
            containers: [claim("a", "lie"), claim("b", "pod")].into_iter().flat_map(|s| s.containers).collect(),
            ..Snapshot::default()
        });
        assert_eq!(
            (view.runtime_of("a"), view.runtime_of("b"), view.runtime_of("c")),
            (Some("docker"), Some("podman"), None)
        );
        drop(of_podman);
        drop(of_machine);
        assert_eq!(name_of(&view, "a").as_deref(), Some("lie"));
        drop(of_user);
        assert_eq!(name_of(&view, "a"), None);
        assert!(view.posts().is_empty());
    }

    #[test]
    fn a_user_cannot_take_the_word_on_the_container_of_another() {
        let view = Arc::new(View::default());
        let under = |user: &str| Place::Under(format!("/user.slice/user-{user}.slice/").into());
        let posts = ["1000", "1001"].map(|user| (view.open("podman", Some(user)), user));
        for (post, user) in &posts {
            post.publish(claim_under("a", user, under(user)));
        }
        let (_, snapshot) = view.snapshot();
        let name = |path: &str| snapshot.of("a", path).map(|described| described.name.clone());
        for user in ["1000", "1001"] {
            assert_eq!(name(&format!("/user.slice/user-{user}.slice/libpod-a.scope")).as_deref(), Some(user));
        }
        assert_eq!(name("/machine.slice/libpod-a.scope"), None);
    }
}
