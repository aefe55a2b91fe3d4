//! What `prometheus.yml` says about scraping: the keys as written, and the checked job that comes of them.

mod error;
mod global;
mod job;
mod keys;
mod protocol;
mod size;

pub use error::ConfigError;
pub use global::GlobalConfig;
pub(crate) use job::Limits;
pub use job::ScrapeJob;
pub use keys::ScrapeConfig;
pub(crate) use protocol::accept;
pub use protocol::{EscapingScheme, ScrapeProtocol, ValidationScheme};
pub use size::ByteSize;
