//! What a GPU is asked, and the families that the answers become.
//!
//! Not asked: the bytes over PCIe. NVML counts them in 32 bits, which wrap twice a second where a GPU is busy, and its
//! other answer looks for 20 ms and has the caller wait that long, twice. And asked once: what stays as it is, for the
//! driver takes milliseconds to say it.

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor, TemperatureThreshold};
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;

use crate::figures::Figures;

/// Adds what a GPU answers.
pub(crate) type Question = fn(&Device<'_>, &mut Figures) -> Result<(), NvmlError>;

/// What each GPU is asked once.
pub(crate) const CONSTANT: &[(&str, Question)] = &[
    ("temperature thresholds", temperature_thresholds),
    ("highest clocks", highest_clocks),
    ("the best PCIe link", best_pcie_link),
];

/// What each GPU is asked each time, one after another; one that is not answered costs itself.
pub(crate) const QUESTIONS: &[(&str, Question)] = &[
    ("memory", memory),
    ("utilization", utilization),
    ("encoder", encoder),
    ("decoder", decoder),
    ("temperature", temperature),
    ("power", power),
    ("power limit", power_limit),
    ("energy", energy),
    ("clocks", clocks),
    ("fans", fans),
    ("PCIe link", pcie_link),
    ("PCIe replays", pcie_replays),
    ("fields", fields),
    ("ECC since the driver was loaded", ecc),
    ("ECC of the board's life", ecc_of_life),
    ("throttling", throttling),
    ("performance state", performance_state),
    ("MIG", mig),
    ("compute processes", compute_processes),
    ("graphics processes", graphics_processes),
];

fn ratio(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

fn memory(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let memory = device.memory_info()?;
    figures.gauge("node_gpu_memory_total_bytes", "Memory of the GPU.", memory.total as f64);
    figures.gauge("node_gpu_memory_used_bytes", "Memory that processes hold.", memory.used as f64);
    figures.gauge("node_gpu_memory_free_bytes", "Memory that nobody holds.", memory.free as f64);
    figures.gauge("node_gpu_memory_reserved_bytes", "Memory that the driver keeps for itself.", memory.reserved as f64);
    Ok(())
}

fn utilization(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let rates = device.utilization_rates()?;
    let help = "Share of the last moments in which the GPU computed or drew.";
    figures.gauge("node_gpu_utilization_ratio", help, ratio(rates.gpu));
    let help = "Share of the last moments in which the GPU's memory was read or written.";
    figures.gauge("node_gpu_memory_controller_utilization_ratio", help, ratio(rates.memory));
    Ok(())
}

fn encoder(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let used = device.encoder_utilization()?.utilization;
    figures.gauge("node_gpu_encoder_utilization_ratio", "Use of the video encoder.", ratio(used));
    Ok(())
}

fn decoder(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let used = device.decoder_utilization()?.utilization;
    figures.gauge("node_gpu_decoder_utilization_ratio", "Use of the video decoder.", ratio(used));
    Ok(())
}

fn temperature(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let celsius = device.temperature(TemperatureSensor::Gpu)?;
    figures.gauge_of("node_gpu_temperature_celsius", "Temperature.", ("sensor", "gpu"), f64::from(celsius));
    Ok(())
}

fn temperature_thresholds(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    for (threshold, what) in
        [("shutdown", TemperatureThreshold::Shutdown), ("slowdown", TemperatureThreshold::Slowdown)]
    {
        let celsius = device.temperature_threshold(what)?;
        let help = "Temperature at which the GPU slows itself down or switches itself off.";
        figures.gauge_of("node_gpu_temperature_threshold_celsius", help, ("threshold", threshold), f64::from(celsius));
    }
    Ok(())
}

fn power(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let milliwatts = device.power_usage()?;
    figures.gauge("node_gpu_power_watts", "Power that the board draws.", f64::from(milliwatts) / 1e3);
    Ok(())
}

fn power_limit(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let milliwatts = device.enforced_power_limit()?;
    let help = "Power that the board may draw: the least of all its limits.";
    figures.gauge("node_gpu_power_limit_watts", help, f64::from(milliwatts) / 1e3);
    Ok(())
}

fn energy(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let millijoules = device.total_energy_consumption()?;
    let help = "Energy that the board has used since the driver was loaded.";
    figures.counter("node_gpu_energy_joules_total", help, millijoules as f64 / 1e3);
    Ok(())
}

const CLOCKS: [(&str, Clock); 4] =
    [("graphics", Clock::Graphics), ("memory", Clock::Memory), ("sm", Clock::SM), ("video", Clock::Video)];

fn clocks(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    for (name, clock) in CLOCKS {
        let hertz = f64::from(device.clock_info(clock)?) * 1e6;
        figures.gauge_of("node_gpu_clock_hertz", "Clock as it is now.", ("clock", name), hertz);
    }
    Ok(())
}

fn highest_clocks(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    for (name, clock) in CLOCKS {
        let hertz = f64::from(device.max_clock_info(clock)?) * 1e6;
        figures.gauge_of("node_gpu_clock_max_hertz", "The highest that the clock can be.", ("clock", name), hertz);
    }
    Ok(())
}

fn fans(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    for fan in 0..device.num_fans()? {
        let percent = device.fan_speed(fan)?;
        let help = "Speed that the fan is told to have, as a share of its highest.";
        figures.gauge_of("node_gpu_fan_speed_ratio", help, ("fan", &fan.to_string()), ratio(percent));
    }
    Ok(())
}

fn pcie_link(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let generation = f64::from(device.current_pcie_link_gen()?);
    let help = "Generation of PCIe that the link speaks now: less than it could to save power.";
    figures.gauge("node_gpu_pcie_link_generation", help, generation);
    let lanes = f64::from(device.current_pcie_link_width()?);
    figures.gauge("node_gpu_pcie_link_width", "Lanes of the link that are in use.", lanes);
    Ok(())
}

fn best_pcie_link(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let generation = f64::from(device.max_pcie_link_gen()?);
    let help = "Generation of PCIe that GPU and machine could speak.";
    figures.gauge("node_gpu_pcie_link_max_generation", help, generation);
    let lanes = f64::from(device.max_pcie_link_width()?);
    figures.gauge("node_gpu_pcie_link_max_width", "Lanes that GPU and machine have.", lanes);
    Ok(())
}

fn pcie_replays(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let replays = device.pcie_replay_counter()?;
    figures.counter("node_gpu_pcie_replays_total", "Packets that PCIe had to send again.", f64::from(replays));
    Ok(())
}

/// What only the newer interface tells, all in one call.
fn fields(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    const FIELDS: [u32; 5] = [
        field_id::NVML_FI_DEV_MEMORY_TEMP,
        field_id::NVML_FI_DEV_REMAPPED_COR,
        field_id::NVML_FI_DEV_REMAPPED_UNC,
        field_id::NVML_FI_DEV_REMAPPED_PENDING,
        field_id::NVML_FI_DEV_REMAPPED_FAILURE,
    ];
    let answers = device.field_values_for(&FIELDS.map(FieldId))?;
    for (field, answer) in FIELDS.into_iter().zip(answers) {
        let Ok(value) = answer.and_then(|answer| answer.value) else { continue };
        let number = match value {
            SampleValue::F64(value) => value,
            SampleValue::U32(value) => f64::from(value),
            SampleValue::U64(value) => value as f64,
            SampleValue::I64(value) => value as f64,
        };
        match field {
            field_id::NVML_FI_DEV_MEMORY_TEMP => {
                figures.gauge_of("node_gpu_temperature_celsius", "Temperature.", ("sensor", "memory"), number);
            }
            field_id::NVML_FI_DEV_REMAPPED_COR => remapped(figures, "corrected", number),
            field_id::NVML_FI_DEV_REMAPPED_UNC => remapped(figures, "uncorrected", number),
            field_id::NVML_FI_DEV_REMAPPED_PENDING => {
                let help = "1 if a row of the memory is to be replaced at the next reset.";
                figures.gauge("node_gpu_remapped_rows_pending", help, number);
            }
            field_id::NVML_FI_DEV_REMAPPED_FAILURE => {
                let help = "1 if a row of the memory could not be replaced: the board is to be changed.";
                figures.gauge("node_gpu_remapped_rows_failed", help, number);
            }
            _ => {}
        }
    }
    Ok(())
}

fn remapped(figures: &mut Figures, errors: &str, rows: f64) {
    let help = "Rows of the memory that were replaced by spare ones, by the kind of error.";
    figures.gauge_of("node_gpu_remapped_rows", help, ("errors", errors), rows);
}

fn ecc(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let family = ("node_gpu_ecc_errors_total", "Errors of memory since the driver was loaded.");
    ecc_errors(device, EccCounter::Volatile, family, figures)
}

fn ecc_of_life(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let family = ("node_gpu_ecc_lifetime_errors_total", "Errors of memory in the life of the board.");
    ecc_errors(device, EccCounter::Aggregate, family, figures)
}

fn ecc_errors(
    device: &Device<'_>,
    counter: EccCounter,
    (name, help): (&'static str, &'static str),
    figures: &mut Figures,
) -> Result<(), NvmlError> {
    for (kind, error) in [("corrected", MemoryError::Corrected), ("uncorrected", MemoryError::Uncorrected)] {
        let errors = device.total_ecc_errors(error, counter)?;
        figures.counter_of(name, help, ("kind", kind), errors as f64);
    }
    Ok(())
}

/// Names of the reasons that NVML knows, as its interface calls them.
const REASONS: [(&str, ThrottleReasons); 9] = [
    ("applications_clocks_setting", ThrottleReasons::APPLICATIONS_CLOCKS_SETTING),
    ("display_clock_setting", ThrottleReasons::DISPLAY_CLOCK_SETTING),
    ("gpu_idle", ThrottleReasons::GPU_IDLE),
    ("hw_power_brake_slowdown", ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN),
    ("hw_slowdown", ThrottleReasons::HW_SLOWDOWN),
    ("hw_thermal_slowdown", ThrottleReasons::HW_THERMAL_SLOWDOWN),
    ("sw_power_cap", ThrottleReasons::SW_POWER_CAP),
    ("sw_thermal_slowdown", ThrottleReasons::SW_THERMAL_SLOWDOWN),
    ("sync_boost", ThrottleReasons::SYNC_BOOST),
];

fn throttling(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let now = device.current_throttle_reasons()?;
    for (name, reason) in REASONS {
        let help = "1 if this keeps the clocks below their highest now.";
        let holds = f64::from(u8::from(now.contains(reason)));
        figures.gauge_of("node_gpu_throttle_reason", help, ("reason", name), holds);
    }
    Ok(())
}

fn performance_state(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let state = device.performance_state()?.as_c();
    // 32 is NVML's word for unknown.
    if state < 32 {
        let help = "Performance state, from 0 for the fastest to 15.";
        figures.gauge("node_gpu_performance_state", help, f64::from(state));
    }
    Ok(())
}

fn mig(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let is_divided = device.mig_mode()?.current != 0;
    let help = "1 if the GPU is divided into instances (MIG), which leaves it without figures of utilisation.";
    figures.gauge("node_gpu_mig_enabled", help, f64::from(u8::from(is_divided)));
    Ok(())
}

const PROCESSES: (&str, &str) = ("node_gpu_processes", "Processes that have the GPU open, by what for.");

fn compute_processes(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let count = device.running_compute_processes()?.len();
    figures.gauge_of(PROCESSES.0, PROCESSES.1, ("type", "compute"), count as f64);
    Ok(())
}

fn graphics_processes(device: &Device<'_>, figures: &mut Figures) -> Result<(), NvmlError> {
    let count = device.running_graphics_processes()?.len();
    figures.gauge_of(PROCESSES.0, PROCESSES.1, ("type", "graphics"), count as f64);
    Ok(())
}
