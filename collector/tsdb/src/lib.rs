//! The local window: the last hours of every series, compressed, in memory and in a directory.
//!
//! A sample that [`Window::append`](collector_model::Append::append) takes goes into the open chunk of its series,
//! to the [`Forward`](collector_model::Forward) listener and into the write-ahead log, in that order. A full chunk
//! goes to a chunk file, and only its place stays in memory. From time to time a checkpoint writes the open chunks
//! down, and the log before it goes. A start reads the chunk files, the checkpoint and the rest of the log.
//!
//! Not here, on purpose: out-of-order samples (they are refused), native histograms and exemplars, compaction into
//! larger blocks, deletion of single series, threads (the owner calls [`Window::maintain`]) and anything async.

mod disk;
pub mod encoding;
mod error;
mod frame_reader;
mod head;
mod index;
mod log;
mod maintain;
mod metrics;
mod names;
mod options;
mod restore;
mod select;
mod status;
mod store;
mod window;

pub use disk::{Disk, DiskFile, OsDisk};
pub use error::OpenError;
pub use options::Options;
pub use status::{Ranked, Status};
pub use window::Window;
