//! NVIDIA's GPUs, by NVIDIA's own library.

use std::path::PathBuf;

use agent_exposition::Page;
use agent_gpu::Boards;

use crate::{CollectError, Collector, FlagSpec, Flags, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "nvidia",
    help: "NVIDIA's GPUs, where the driver's library is; the static program cannot load it.",
    default_on: true,
    flags: &[LIBRARY],
    build: |context| Ok(Box::new(Nvidia { boards: context.gpus.boards() })),
};

const LIBRARY: FlagSpec = FlagSpec::value(
    "collector.nvidia.library",
    "The driver's library, for GPUs of the machine and of containers (default libnvidia-ml.so.1, where the loader finds it).",
);

/// The library that the flags name.
pub(crate) fn library(flags: &Flags) -> Option<PathBuf> {
    flags.value(&LIBRARY).filter(|path| !path.is_empty()).map(PathBuf::from)
}

struct Nvidia {
    boards: Boards,
}

impl Collector for Nvidia {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        Ok(if self.boards.add(page)? { Outcome::Collected } else { Outcome::Nothing })
    }
}
