//! Whether a request comes from a user. A password costs a bcrypt when it is first seen, not at each scrape.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use ring::hmac;
use tokio::sync::Semaphore;

use super::password::PasswordHash;

/// How many answers are remembered of each kind, as many as exporter-toolkit remembers of both.
const REMEMBERED: usize = 100;
/// How many requests may wait for their bcrypt: a second or two of computing.
const WAITING: usize = 16;

/// What came of asking for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Admitted,
    Unknown,
    /// So many passwords are being checked that this one was not.
    Busy,
}

/// Checks passwords, one at a time, and remembers what came of it. It keeps no password: what it remembers are
/// digests with a key of its own.
pub(super) struct Passwords {
    key: hmac::Key,
    right: Mutex<HashSet<Digest>>,
    // Apart, so that guessing does not make the right ones forgotten.
    wrong: Mutex<HashSet<Digest>>,
    place: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

type Digest = [u8; 32];

impl Passwords {
    /// Remembers nothing yet. `None` when the system gives no randomness.
    pub(super) fn new() -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new()).ok()?;
        Some(Self {
            key,
            right: Mutex::default(),
            wrong: Mutex::default(),
            place: Arc::new(Semaphore::new(1)),
            waiting: Arc::default(),
        })
    }

    /// Whether the request's user and password are among `users`. An unknown user takes as long as a known one.
    pub(super) async fn check(&self, users: &BTreeMap<String, PasswordHash>, headers: &HeaderMap) -> Verdict {
        let Some((name, password)) = credentials(headers) else { return Verdict::Unknown };
        let Some(dearest) = users.values().copied().max_by_key(|hash| hash.cost()) else { return Verdict::Unknown };
        let hash = users.get(&name).copied();
        let compared = hash.unwrap_or(dearest.of_nobody());
        let digest = self.digest(&name, compared, &password);
        if let Some(verdict) = self.remembered(&digest) {
            return verdict;
        }
        let Some(waiting) = Waiting::enter(&self.waiting) else { return Verdict::Busy };
        // Closed never.
        let Ok(place) = self.place.clone().acquire_owned().await else { return Verdict::Busy };
        // Who waited before may have brought the same.
        if let Some(verdict) = self.remembered(&digest) {
            return verdict;
        }
        // Both go with the thread, which does not end when whoever asked hangs up: otherwise hanging up would make room
        // for the next at once, and any number would be computed.
        let computed = tokio::task::spawn_blocking(move || {
            let is_right = compared.is_of(password.as_bytes());
            drop((place, waiting));
            is_right
        });
        let Ok(is_right) = computed.await else { return Verdict::Busy };
        let is_right = is_right && hash.is_some();
        let mut kind = if is_right { &self.right } else { &self.wrong }.lock();
        if kind.len() >= REMEMBERED {
            kind.clear();
        }
        kind.insert(digest);
        if is_right { Verdict::Admitted } else { Verdict::Unknown }
    }

    fn remembered(&self, digest: &Digest) -> Option<Verdict> {
        if self.right.lock().contains(digest) {
            return Some(Verdict::Admitted);
        }
        self.wrong.lock().contains(digest).then_some(Verdict::Unknown)
    }

    /// The hash is part of it, so that a changed password is not remembered.
    fn digest(&self, name: &str, hash: PasswordHash, password: &str) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(name.len() as u64).to_le_bytes());
        context.update(name.as_bytes());
        context.update(&hash.bytes().collect::<Vec<_>>());
        context.update(password.as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

/// Counts a request that waits, as long as it does.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn enter(count: &Arc<AtomicUsize>) -> Option<Self> {
        let before = count.fetch_add(1, Relaxed);
        let entered = Self(count.clone());
        (before < WAITING).then_some(entered)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Name and password of HTTP's basic authentication.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = STANDARD.decode(encoded).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn users() -> BTreeMap<String, PasswordHash> {
        // "abc", with the least cost that there is.
        let hash = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
        BTreeMap::from([("alice".to_owned(), PasswordHash::parse(hash).unwrap())])
    }

    fn with(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())])
    }

    fn basic(credentials: &str) -> HeaderMap {
        with(&format!("Basic {}", STANDARD.encode(credentials)))
    }

    #[tokio::test]
    async fn admits_users_with_their_passwords_alone() {
        let passwords = Passwords::new().unwrap();
        // Twice: what is remembered is the same.
        for _ in 0..2 {
            for (headers, want) in [
                (basic("alice:abc"), Verdict::Admitted),
                (basic("alice:abd"), Verdict::Unknown),
                (basic("alice:"), Verdict::Unknown),
                (basic("alice"), Verdict::Unknown),
                (basic("bob:abc"), Verdict::Unknown),
                (with("basic YWxpY2U6YWJj"), Verdict::Admitted),
                (with("Bearer YWxpY2U6YWJj"), Verdict::Unknown),
                (with("Basic YWxpY2U6YWJ"), Verdict::Unknown),
                (with("Basic"), Verdict::Unknown),
                (HeaderMap::new(), Verdict::Unknown),
            ] {
                assert_eq!(passwords.check(&users(), &headers).await, want, "{headers:?}");
            }
        }
        assert_eq!(passwords.check(&BTreeMap::new(), &basic("alice:abc")).await, Verdict::Unknown);
        let renamed = users().into_values().map(|hash| ("alice".to_owned(), hash.of_nobody())).collect();
        assert_eq!(passwords.check(&renamed, &basic("alice:abc")).await, Verdict::Unknown);
    }

    #[tokio::test]
    async fn guessing_is_bounded_and_locks_nobody_out() {
        let passwords = Passwords::new().unwrap();
        assert_eq!(passwords.check(&users(), &basic("alice:abc")).await, Verdict::Admitted);
        for n in 0..REMEMBERED + 1 {
            passwords.check(&users(), &basic(&format!("alice:{n}"))).await;
        }
        assert!(passwords.wrong.lock().len() <= REMEMBERED);
        assert_eq!(passwords.remembered_count(), 1);
        // All places to wait are taken: who is known comes in all the same, others are sent away.
        passwords.waiting.store(WAITING, Relaxed);
        assert_eq!(passwords.check(&users(), &basic("alice:abc")).await, Verdict::Admitted);
        assert_eq!(passwords.check(&users(), &basic("alice:new")).await, Verdict::Busy);
        assert_eq!(passwords.waiting.load(Relaxed), WAITING);
    }

    /// What was begun for him is computed to its end, so there is no room yet for another.
    #[tokio::test]
    async fn who_goes_away_leaves_no_room() {
        let passwords = Arc::new(Passwords::new().unwrap());
        let hash = "$2a$10$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
        let users = BTreeMap::from([("alice".to_owned(), PasswordHash::parse(hash).unwrap())]);
        let asking = {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.check(&users, &basic("alice:abc")).await })
        };
        while passwords.place.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        assert_eq!((passwords.place.available_permits(), passwords.waiting.load(Relaxed)), (0, 1));
        let _place = tokio::time::timeout(Duration::from_secs(60), passwords.place.acquire()).await.unwrap();
        while passwords.waiting.load(Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
    }

    impl Passwords {
        fn remembered_count(&self) -> usize {
            self.right.lock().len()
        }
    }
}
