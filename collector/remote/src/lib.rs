//! Durable delivery: one queue on disk per destination, and the sinks that empty it.
//!
//! [`Destinations`] hears every accepted sample through [`collector_model::Forward`], writes what each destination
//! keeps to that destination's own queue, and sends it from there in the background. A destination that is down
//! delays no other, and what it has not acknowledged is still there after the death of the process.

mod config;
mod destination;
mod destinations;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod intake;
mod line_protocol;
mod metrics;
mod orphans;
mod paged;
pub mod prompb;
mod queue;
mod receive;
mod response;
mod sender;
pub mod sinks;
mod status;

pub use config::{ByteSize, DropNonFinite, MetadataConfig, QueueConfig, Settings};
pub use destinations::{DestinationConfig, Destinations, Options};
pub use error::{ConfigError, OpenError};
pub use line_protocol::Precision;
pub use receive::{ReceiveError, decode_write_request};
pub use sinks::influxdb::InfluxWriteConfig;
pub use sinks::remote_write::RemoteWriteConfig;
pub use status::{DestinationStatus, LastError};
