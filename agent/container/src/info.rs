//! The short story of one container, as `GET /info/ID` tells it.

/// One container at one moment.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Info {
    /// The container's full id; for a plain cgroup its path.
    pub id: String,
    /// The image's first tag; empty when no runtime tells it.
    pub image: String,
    /// The container's name; empty when no runtime tells it.
    pub name: String,
    /// When the figures were read, RFC 3339 in UTC.
    pub timestamp: String,
    /// Memory in use as charged by the kernel, MiB.
    pub memory_usage: f64,
    /// CPU time of the container over that of the whole machine (idle time included) in the same span: 0 to 1.
    pub cpu_usage: f64,
}

/// There is no story to tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// No container has that id or name, and no id begins so.
    #[error("no container {asked:?}")]
    NotFound {
        /// The id, prefix or name as asked for.
        asked: String,
    },
    /// Several ids begin so.
    #[error("{count} containers have an id that begins with {asked:?}")]
    Ambiguous {
        /// The prefix as asked for.
        asked: String,
        /// How many there are.
        count: usize,
    },
    /// It exists, but its memory or CPU time could not be read; it may have just stopped.
    #[error("cannot read memory and CPU time of container {id}")]
    Unreadable {
        /// The container's id.
        id: String,
    },
}
