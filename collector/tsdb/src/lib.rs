//! The local window: compressed series in memory, chunk files and a write-ahead log.

pub mod encoding;
mod error;
mod options;
mod status;
mod window;

pub use error::OpenError;
pub use options::Options;
pub use status::{Ranked, Status};
pub use window::Window;
