//! Time lost to waiting: the `*.pressure` files of version 2, on a hybrid machine too.

use agent_procfs::pressure;

use super::Reading;
use crate::catalogue::Metric;
use crate::cgroups::File;
use crate::compat::Quirk;

const FILES: &[(File, Metric, Metric)] = &[
    (File::V2CpuPressure, Metric::PressureCpuSome, Metric::PressureCpuFull),
    (File::V2MemoryPressure, Metric::PressureMemorySome, Metric::PressureMemoryFull),
    (File::V2IoPressure, Metric::PressureIoSome, Metric::PressureIoFull),
];

pub(crate) fn collect(reading: &mut Reading<'_, '_>) {
    for (file, some, full) in FILES {
        let Some(pressure) = reading.read(*file).and_then(|text| pressure::parse(text).ok()) else {
            if reading.has(Quirk::ZeroesOnV1) {
                reading.put_some(*some, Some(0));
                reading.put_some(*full, Some(0));
            }
            continue;
        };
        reading.put_micros(*some, pressure.some.map(|stall| stall.total_us));
        reading.put_micros(*full, pressure.full.map(|stall| stall.total_us));
    }
}
