//! The library: taken in once, kept, and tried again now and then where it is not there or does not work.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_procfs::Root;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use parking_lot::Mutex;

use crate::boards::Boards;
use crate::uses::Uses;
use crate::{Error, has_driver};

/// How long a library that is not there, or does not work, is not tried again: a driver is loaded once a boot.
const RETRY: Duration = Duration::from_secs(60);
/// How long one caller waits while another takes the library in, which takes about a second per GPU that sleeps.
const OPENING: Duration = Duration::from_secs(5);

/// The GPUs of this machine. Clones share the library, which is left properly when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Gpus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    library: Option<PathBuf>,
    root: Root,
    state: Mutex<State>,
}

/// The library as it was taken in.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) nvml: Nvml,
    pub(crate) driver: Driver,
}

/// What does not change while the library is there; it looks for another library to tell.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) version: Option<String>,
    /// Such as `13.0`.
    pub(crate) cuda: Option<String>,
}

impl Driver {
    fn of(nvml: &Nvml) -> Self {
        // 13000 is 13.0, 12040 is 12.4.
        let cuda = nvml.sys_cuda_driver_version().ok();
        let cuda = cuda.map(|version| format!("{}.{}", version / 1000, version % 1000 / 10));
        Self { version: nvml.sys_driver_version().ok(), cuda }
    }
}

#[derive(Debug)]
struct State {
    library: Library,
    /// What was said last of a library that cannot be used, to say it once.
    told: Option<String>,
}

#[derive(Debug)]
enum Library {
    Untried,
    Open(Arc<Loaded>),
    /// Not there; tried at that time.
    Absent(Instant),
    /// There, and refuses; tried at that time.
    Failed(Instant, Error),
}

impl Gpus {
    /// Takes nothing in yet. `library` is a file, or `None` for `libnvidia-ml.so.1` where the loader finds it. A file
    /// that was named and cannot be taken in is an error of each reading, one that was not named is none.
    pub fn new(library: Option<PathBuf>, root: &Root) -> Self {
        let state = Mutex::new(State { library: Library::Untried, told: None });
        Self { inner: Arc::new(Inner { library, root: root.clone(), state }) }
    }

    /// For the families `node_gpu_*`.
    pub fn boards(&self) -> Boards {
        Boards::new(self.clone())
    }

    /// For the GPUs of containers.
    pub fn uses(&self) -> Uses {
        Uses::new(self.clone())
    }

    /// Has the next reading try a library again that was not there or did not work, which else it does after a minute.
    pub fn forget_failures(&self) {
        let mut state = self.inner.state.lock();
        if matches!(state.library, Library::Absent(_) | Library::Failed(..)) {
            state.library = Library::Untried;
        }
    }

    /// The library, or nothing where this machine has none.
    pub(crate) fn library(&self) -> Result<Option<Arc<Loaded>>, Error> {
        let Some(mut state) = self.inner.state.try_lock_for(OPENING) else {
            return Err(failure("anything: it is being loaded still", NvmlError::Timeout));
        };
        match &state.library {
            Library::Open(loaded) => return Ok(Some(Arc::clone(loaded))),
            Library::Absent(since) if since.elapsed() < RETRY => return Ok(None),
            Library::Failed(since, error) if since.elapsed() < RETRY => return Err(error.clone()),
            Library::Untried | Library::Absent(_) | Library::Failed(..) => {}
        }
        let mut builder = Nvml::builder();
        if let Some(path) = &self.inner.library {
            builder.lib_path(OsStr::new(path));
        }
        match builder.init() {
            Ok(nvml) => {
                let driver = Driver::of(&nvml);
                tracing::info!(driver = driver.version.as_deref(), "NVIDIA's library is loaded");
                let loaded = Arc::new(Loaded { nvml, driver });
                *state = State { library: Library::Open(Arc::clone(&loaded)), told: None };
                Ok(Some(loaded))
            }
            // The library can lie there without a GPU: packages bring it.
            Err(error @ NvmlError::DriverNotLoaded) => Ok(self.is_absent(&mut state, &error)),
            Err(error @ NvmlError::LibloadingError(_)) if self.inner.library.is_none() => {
                Ok(self.is_absent(&mut state, &error))
            }
            Err(error) => {
                let error = failure("anything", error);
                state.library = Library::Failed(Instant::now(), error.clone());
                Err(error)
            }
        }
    }

    fn is_absent(&self, state: &mut State, error: &NvmlError) -> Option<Arc<Loaded>> {
        state.library = Library::Absent(Instant::now());
        let error = error.to_string();
        if has_driver(&self.inner.root) && state.told.as_ref() != Some(&error) {
            tracing::warn!(error, "this machine has NVIDIA's driver, but its library cannot be used");
            state.told = Some(error);
        }
        None
    }

    /// Lets go of a library that lost its driver, so that it is taken in anew after a while.
    pub(crate) fn close(&self, error: NvmlError) -> Error {
        let error = failure("the number of GPUs", error);
        if let Some(mut state) = self.inner.state.try_lock_for(OPENING) {
            state.library = Library::Failed(Instant::now(), error.clone());
        }
        error
    }
}

fn failure(what: &'static str, error: NvmlError) -> Error {
    // In words alone: the errors of loading hold others that say the same once more.
    let words = match error {
        NvmlError::LibloadingError(error) => error.to_string(),
        error => error.to_string(),
    };
    let source: Box<dyn std::error::Error + Send + Sync> = words.into();
    Error { what, source: source.into() }
}

/// Whether the GPU fell off the bus or needs a reset, so that nothing more can be asked of it.
pub(crate) fn is_lost(error: &NvmlError) -> bool {
    matches!(error, NvmlError::GpuLost | NvmlError::ResetRequired)
}
