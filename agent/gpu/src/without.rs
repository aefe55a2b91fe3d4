//! What a static program has: nothing, and a word about it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent_exposition::Page;
use agent_procfs::Root;

use crate::{Board, Error};

/// The GPUs of this machine.
#[derive(Clone, Debug)]
pub struct Gpus {
    root: Root,
    is_told: Arc<AtomicBool>,
}

impl Gpus {
    /// `library` cannot be taken in.
    pub fn new(_library: Option<PathBuf>, root: &Root) -> Self {
        Self { root: root.clone(), is_told: Arc::default() }
    }

    /// There is nothing to try again.
    pub fn forget_failures(&self) {}

    /// For the families `node_gpu_*`.
    pub fn boards(&self) -> Boards {
        Boards { gpus: self.clone() }
    }

    /// For the GPUs of containers.
    pub fn uses(&self) -> Uses {
        Uses { gpus: self.clone() }
    }

    fn tell(&self) {
        if !self.is_told.swap(true, Ordering::Relaxed) && crate::has_driver(&self.root) {
            tracing::warn!(
                "this machine has NVIDIA's driver, but this program is static and cannot load its library: for metrics of \
                 GPUs run the dynamic one, made by `make agent-gpu`"
            );
        }
    }
}

/// All GPUs, for the families `node_gpu_*`.
#[derive(Debug)]
pub struct Boards {
    gpus: Gpus,
}

impl Boards {
    /// Adds nothing.
    ///
    /// # Errors
    /// None.
    pub fn add(&mut self, _page: &mut Page) -> Result<bool, Error> {
        self.gpus.tell();
        Ok(false)
    }
}

/// Who uses the GPUs.
#[derive(Debug)]
pub struct Uses {
    gpus: Gpus,
}

impl Uses {
    /// Nobody.
    ///
    /// # Errors
    /// None.
    pub fn read(&mut self) -> Result<Vec<Board>, Error> {
        self.gpus.tell();
        Ok(Vec::new())
    }
}
