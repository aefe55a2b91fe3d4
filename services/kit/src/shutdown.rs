//! The word that the process is to end.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Turns true once, on SIGTERM or SIGINT, or when [`Shutdown::begin`] is called. Clones tell the same.
#[derive(Clone, Debug)]
pub struct Shutdown {
    begun: watch::Sender<bool>,
}

impl Shutdown {
    /// Listens for the two signals from now on.
    ///
    /// # Errors
    /// The system refuses to register a handler.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::by_hand();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let told = shutdown.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!("{name} received, shutting down");
            told.begin();
        });
        Ok(shutdown)
    }

    /// One that only [`Shutdown::begin`] turns.
    #[must_use]
    pub fn by_hand() -> Self {
        Self { begun: watch::Sender::new(false) }
    }

    /// Tells every clone.
    pub fn begin(&self) {
        self.begun.send_replace(true);
    }

    /// Whether it has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.begun.borrow()
    }

    /// Waits until it begins.
    pub async fn wait(&self) {
        // The sender lives in `self`, so the channel cannot close.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }
}
