//! `node_gpu_*`: what each GPU tells about itself.
//!
//! What a GPU does not support has no sample. One that fell off the bus has `node_gpu_up` 0 under the names that it had,
//! and costs the others nothing.

use std::collections::HashSet;

use agent_exposition::{Kind, Page};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use crate::Error;
use crate::figures::{Figures, sorted};
use crate::library::{Driver, Gpus, is_lost};
use crate::questions::{CONSTANT, QUESTIONS, Question};

/// All GPUs, for the families `node_gpu_*`.
#[derive(Debug)]
pub struct Boards {
    gpus: Gpus,
    /// By index.
    known: Vec<Known>,
}

/// What is kept of a GPU between scrapes.
#[derive(Debug, Default)]
struct Known {
    /// There once the GPU has answered.
    identity: Option<Identity>,
    is_lost: bool,
    /// The questions that failed for no reason of the usual ones, to tell each once.
    told: HashSet<&'static str>,
}

#[derive(Debug)]
struct Identity {
    uuid: String,
    model: String,
    /// What else tells it from others, by label.
    more: Vec<(&'static str, String)>,
    /// What does not change.
    constant: Figures,
}

impl Boards {
    pub(crate) fn new(gpus: Gpus) -> Self {
        Self { gpus, known: Vec::new() }
    }

    /// Adds the families of all GPUs, and tells whether there was something to add.
    ///
    /// # Errors
    /// When the library is there and does not answer at all. One GPU that does not is no error.
    pub fn add(&mut self, page: &mut Page) -> Result<bool, Error> {
        let Some(library) = self.gpus.library()? else { return Ok(false) };
        let nvml = &library.nvml;
        let count = nvml.device_count().map_err(|error| self.gpus.close(error))?;
        if count == 0 {
            return Ok(false);
        }
        add_driver(&library.driver, page);
        for index in 0..count {
            let place = index as usize;
            if place >= self.known.len() {
                self.known.resize_with(place + 1, Known::default);
            }
            if let Some(known) = self.known.get_mut(place) {
                known.add(nvml, index, page);
            }
        }
        Ok(true)
    }
}

fn add_driver(driver: &Driver, page: &mut Page) {
    let all = [("cuda_version", &driver.cuda), ("version", &driver.version)];
    let labels: Vec<_> = all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    let help = "NVIDIA's driver, and the newest CUDA that it takes, as labels.";
    let family = page.family("node_gpu_driver_info", help, Kind::Gauge);
    page.sample(family, &labels, 1.0);
}

impl Known {
    fn add(&mut self, nvml: &Nvml, index: u32, page: &mut Page) {
        let device = match nvml.device_by_index(index) {
            Ok(device) => Some(device),
            Err(error) if is_lost(&error) => None,
            // Not given to this container, or on its way out: no GPU of ours.
            Err(_) => return,
        };
        let mut figures = Figures::default();
        let answers = device.is_some_and(|device| self.ask(&device, &mut figures));
        figures.gauge("node_gpu_up", "1 if the GPU answers, 0 if it fell off the bus.", f64::from(u8::from(answers)));
        let index = index.to_string();
        let mut labels = vec![("gpu", index.as_str())];
        if let Some(identity) = &self.identity {
            labels.extend([("model", identity.model.as_str()), ("uuid", identity.uuid.as_str())]);
            let family = page.family("node_gpu_info", "What the GPU is, as labels.", Kind::Gauge);
            let more = identity.more.iter().map(|(name, value)| (*name, value.as_str()));
            page.sample(family, &sorted(&labels, more), 1.0);
            if answers {
                identity.constant.put(page, &labels);
            }
        }
        figures.put(page, &labels);
        self.note(answers, &index);
    }

    /// Asks everything, and tells whether the GPU was there to the end.
    fn ask(&mut self, device: &Device<'_>, figures: &mut Figures) -> bool {
        self.name(device).is_ok() && ask_all(QUESTIONS, device, &mut self.told, figures)
    }

    /// Finds out who the GPU at this index is, which does not change but where one is gone after the driver was loaded
    /// anew.
    fn name(&mut self, device: &Device<'_>) -> Result<(), NvmlError> {
        let uuid = device.uuid()?;
        if self.identity.as_ref().is_some_and(|identity| identity.uuid == uuid) {
            return Ok(());
        }
        let model = device.name()?;
        let more = [
            ("pci_bus_id", device.pci_info().map(|pci| pci.bus_id.to_ascii_lowercase())),
            ("serial", device.serial()),
            ("vbios_version", device.vbios_version()),
        ];
        let more = more.into_iter().filter_map(|(name, value)| Some((name, value.ok()?))).collect();
        let mut constant = Figures::default();
        if ask_all(CONSTANT, device, &mut self.told, &mut constant) {
            self.identity = Some(Identity { uuid, model, more, constant });
        }
        Ok(())
    }

    fn note(&mut self, answers: bool, index: &str) {
        if self.is_lost != answers {
            return;
        }
        self.is_lost = !answers;
        let uuid = self.identity.as_ref().map_or("", |identity| identity.uuid.as_str());
        if answers {
            tracing::info!(gpu = index, uuid, "a GPU is back");
        } else {
            tracing::error!(gpu = index, uuid, "a GPU does not answer any more: it fell off the bus or needs a reset");
        }
    }
}

/// Asks these questions, and tells whether the GPU was there to the end.
fn ask_all(
    questions: &[(&'static str, Question)],
    device: &Device<'_>,
    told: &mut HashSet<&'static str>,
    figures: &mut Figures,
) -> bool {
    for (what, question) in questions {
        match question(device, figures) {
            Err(error) if is_lost(&error) => return false,
            Err(error) if !is_usual(&error) && told.insert(what) => {
                tracing::warn!(what, error = error.to_string(), "a GPU does not tell something");
            }
            _ => {}
        }
    }
    true
}

/// Not every GPU, driver and user has everything.
fn is_usual(error: &NvmlError) -> bool {
    use NvmlError::{FailedToLoadSymbol, FunctionNotFound, InvalidArg, NoPermission, NotFound, NotSupported};
    matches!(error, NotSupported | NoPermission | NotFound | InvalidArg | FunctionNotFound | FailedToLoadSymbol(_))
}
