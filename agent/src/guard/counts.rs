//! What a guard turned away, and how its configuration fares.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use agent_exposition::{Kind, Page};

/// Why a connection or a request was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No TLS session came about.
    Handshake,
    /// No user, or not his password.
    Unauthorized,
    /// More requests than `rate_limit` allows.
    RateLimit,
    /// More passwords to check than can wait.
    Busy,
}

impl Refusal {
    const ALL: [(Self, &str); 4] = [
        (Self::Handshake, "handshake"),
        (Self::Unauthorized, "unauthorized"),
        (Self::RateLimit, "rate_limit"),
        (Self::Busy, "busy"),
    ];
}

pub(super) struct Counts {
    handshake: AtomicU64,
    unauthorized: AtomicU64,
    rate_limit: AtomicU64,
    busy: AtomicU64,
    is_good: AtomicBool,
    /// Seconds since 1970.
    read: AtomicU64,
}

impl Counts {
    /// Of a configuration that has just been read.
    pub(super) fn new() -> Self {
        let counts = Self {
            handshake: AtomicU64::new(0),
            unauthorized: AtomicU64::new(0),
            rate_limit: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            is_good: AtomicBool::new(true),
            read: AtomicU64::new(0),
        };
        counts.reloaded();
        counts
    }

    fn of(&self, refusal: Refusal) -> &AtomicU64 {
        match refusal {
            Refusal::Handshake => &self.handshake,
            Refusal::Unauthorized => &self.unauthorized,
            Refusal::RateLimit => &self.rate_limit,
            Refusal::Busy => &self.busy,
        }
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.of(refusal).fetch_add(1, Relaxed);
    }

    pub(super) fn reloaded(&self) {
        self.is_good.store(true, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.read.store(now.as_secs(), Relaxed);
    }

    pub(super) fn reload_failed(&self) {
        self.is_good.store(false, Relaxed);
    }

    pub(super) fn add_to(&self, page: &mut Page) {
        let refused = page.family(
            "atalaia_web_refused_total",
            "Connections and requests that the web configuration turned away, by reason.",
            Kind::Counter,
        );
        for (refusal, reason) in Refusal::ALL {
            page.sample(refused, &[("reason", reason)], self.of(refusal).load(Relaxed) as f64);
        }
        page.single(
            "atalaia_web_config_last_reload_successful",
            "Whether the web configuration could be used when it was last read; if not, the one before is in force.",
            Kind::Gauge,
            f64::from(u8::from(self.is_good.load(Relaxed))),
        );
        page.single(
            "atalaia_web_config_last_reload_success_timestamp_seconds",
            "When the web configuration in force was read, since 1970.",
            Kind::Gauge,
            self.read.load(Relaxed) as f64,
        );
    }
}
