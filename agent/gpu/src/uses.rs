//! Who uses the GPUs: the processes with a context on each, their memory and their share of its time.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nvml_wrapper::Device;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;

use crate::library::{Gpus, is_lost};
use crate::{Board, Error, Process};

/// Over how much time a process's share is told: the driver averages what it saw since the time that it is given. As
/// long as in cAdvisor.
const WINDOW: Duration = Duration::from_secs(10);

/// Who uses the GPUs.
#[derive(Debug)]
pub struct Uses {
    gpus: Gpus,
    /// Which GPUs, by UUID, tell their use by process. While nobody uses one it is not asked again: the answer takes
    /// longer than all others.
    tells_duty: HashMap<String, bool>,
}

impl Uses {
    pub(crate) fn new(gpus: Gpus) -> Self {
        Self { gpus, tells_duty: HashMap::new() }
    }

    /// All GPUs that answer, with the processes that use them.
    ///
    /// # Errors
    /// When the library is there and does not answer at all. One GPU that does not is left out.
    pub fn read(&mut self) -> Result<Vec<Board>, Error> {
        let Some(library) = self.gpus.library()? else { return Ok(Vec::new()) };
        let nvml = &library.nvml;
        let count = nvml.device_count().map_err(|error| self.gpus.close(error))?;
        let tells_duty = &mut self.tells_duty;
        let boards = (0..count).filter_map(|index| board(&nvml.device_by_index(index).ok()?, tells_duty).ok());
        Ok(boards.collect())
    }
}

fn board(device: &Device<'_>, known: &mut HashMap<String, bool>) -> Result<Board, NvmlError> {
    let (uuid, model) = (device.uuid()?, device.name()?);
    let memory_total = optional(device.memory_info())?.map(|memory| memory.total);
    let mut processes: BTreeMap<u32, Process> = BTreeMap::new();
    let compute = optional(device.running_compute_processes())?.unwrap_or_default();
    let graphics = optional(device.running_graphics_processes())?.unwrap_or_default();
    // One that does both is in both lists, with all its memory in each.
    for process in compute.into_iter().chain(graphics) {
        let memory = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        };
        processes.insert(process.pid, Process { pid: process.pid, memory, duty: 0 });
    }
    let tells_duty = match known.get(&uuid).copied() {
        Some(before) if processes.is_empty() || !before => before,
        _ => {
            let tells_duty = add_duty(device, &mut processes)?;
            known.insert(uuid.clone(), tells_duty);
            tells_duty
        }
    };
    let minor = optional(device.minor_number())?;
    Ok(Board { model, uuid, minor, memory_total, tells_duty, processes: processes.into_values().collect() })
}

/// Adds each process's share of the time, and tells whether the GPU tells it.
fn add_duty(device: &Device<'_>, processes: &mut BTreeMap<u32, Process>) -> Result<bool, NvmlError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(WINDOW);
    let since = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    let samples = match device.process_utilization_stats(since) {
        // Nobody has used it since.
        Err(NvmlError::NotFound) => return Ok(true),
        samples => optional(samples)?,
    };
    let Some(samples) = samples else { return Ok(false) };
    let mut newest: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
    for sample in samples {
        let place = newest.entry(sample.pid).or_default();
        if sample.timestamp >= place.0 {
            *place = (sample.timestamp, sample.sm_util);
        }
    }
    for (pid, (_, duty)) in newest {
        if let Some(process) = processes.get_mut(&pid) {
            process.duty = duty.min(100);
        }
    }
    Ok(true)
}

/// `None` for what the GPU does not tell; an error when it is gone.
fn optional<T>(answer: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_lost(&error) => Err(error),
        Err(_) => Ok(None),
    }
}
