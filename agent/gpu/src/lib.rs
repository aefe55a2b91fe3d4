//! NVIDIA's GPUs, asked through NVIDIA's own library (NVML, `libnvidia-ml.so.1`), which comes with the driver and is
//! taken in at run time where it is present.
//!
//! Taking in a library needs the loader of a dynamic program. In a static one ([`CAN_LOAD`] is false) the same types
//! are there and find nothing; they say so once, in the log, on a machine that has the driver.
//!
//! Any call may hang when the driver is in trouble: call from a thread that may block, and give no lock to it.
//!
//! Deliberately not here: the instances of a GPU that is divided (MIG), which are told as the one GPU they are part of;
//! anything that changes a setting.

#[cfg(not(target_feature = "crt-static"))]
mod boards;
#[cfg(not(target_feature = "crt-static"))]
mod figures;
#[cfg(not(target_feature = "crt-static"))]
mod library;
#[cfg(not(target_feature = "crt-static"))]
mod questions;
#[cfg(not(target_feature = "crt-static"))]
mod uses;
#[cfg(target_feature = "crt-static")]
mod without;

use std::path::Path;
use std::sync::Arc;

use agent_procfs::Root;

#[cfg(not(target_feature = "crt-static"))]
pub use boards::Boards;
#[cfg(not(target_feature = "crt-static"))]
pub use library::Gpus;
#[cfg(not(target_feature = "crt-static"))]
pub use uses::Uses;
#[cfg(target_feature = "crt-static")]
pub use without::{Boards, Gpus, Uses};

/// Whether this program was built so that it can take in the library.
pub const CAN_LOAD: bool = cfg!(not(target_feature = "crt-static"));

/// The library is there and does not answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot ask NVIDIA's library about {what}")]
pub struct Error {
    /// What it was asked.
    pub what: &'static str,
    /// Why it did not answer.
    #[source]
    pub source: Arc<dyn std::error::Error + Send + Sync>,
}

/// What a GPU is used for, process by process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// Such as `NVIDIA H100 80GB HBM3`.
    pub model: String,
    /// Such as `GPU-` and a UUID; the same for as long as the board lives.
    pub uuid: String,
    /// The number N of its file `/dev/nvidiaN`.
    pub minor: Option<u32>,
    /// Its memory in bytes.
    pub memory_total: Option<u64>,
    /// Whether the processes' [`duty`](Process::duty) is told; divided GPUs and some models do not.
    pub tells_duty: bool,
    /// Processes with a context on it, each once, in the order of their ids.
    pub processes: Vec<Process>,
}

/// A process that uses a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// As the PID namespace of this process counts.
    pub pid: u32,
    /// Memory of the GPU that it holds, in bytes.
    pub memory: Option<u64>,
    /// Share of the last ten seconds in which its work ran on the GPU, in percent; 0 where none did.
    pub duty: u32,
}

/// Whether NVIDIA's driver is loaded.
fn has_driver(root: &Root) -> bool {
    root.proc("driver/nvidia/version").exists() || Path::new("/dev/nvidiactl").exists()
}
