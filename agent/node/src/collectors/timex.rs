//! How well the kernel's clock keeps time, from `adjtimex(2)`.

use agent_exposition::{Kind, Page};

use crate::kernel_clock::KernelClock;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "timex",
    help: "How well the kernel's clock keeps time.",
    default_on: true,
    flags: &[],
    build: |_| Ok(Box::new(Timex)),
};

struct Timex;

impl Collector for Timex {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        match KernelClock::read() {
            Ok(clock) => add(page, &clock),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(Outcome::Nothing),
            Err(error) => return Err(CollectError::Call { name: "adjtimex", source: error }),
        }
        Ok(Outcome::Collected)
    }
}

fn add(page: &mut Page, clock: &KernelClock) {
    const MICROSECONDS: f64 = 1e6;
    /// The kernel counts parts per million with 16 bits after the point.
    const FRACTION: f64 = 1e6 * 65536.0;
    let timex = &clock.timex;
    let seconds = if timex.status & libc::STA_NANO == 0 { MICROSECONDS } else { 1e9 };
    let mut gauge = |name, help, value| page.single(name, help, Kind::Gauge, value);
    let help = "How far the clock is off that it follows.";
    gauge("node_timex_offset_seconds", help, timex.offset as f64 / seconds);
    let help = "How much faster than by itself the clock is made to run, as a factor.";
    gauge("node_timex_frequency_adjustment_ratio", help, 1.0 + timex.freq as f64 / FRACTION);
    let help = "Most that the clock can be off.";
    gauge("node_timex_maxerror_seconds", help, timex.maxerror as f64 / MICROSECONDS);
    let help = "How much the clock is thought to be off.";
    gauge("node_timex_estimated_error_seconds", help, timex.esterror as f64 / MICROSECONDS);
    gauge("node_timex_status", "State of the clock, bit by bit.", timex.status.into());
    gauge("node_timex_loop_time_constant", "Time constant of the phase-locked loop.", timex.constant as f64);
    gauge("node_timex_tick_seconds", "Length of a tick.", timex.tick as f64 / MICROSECONDS);
    let help = "How far the frequency is off that of the pulse per second, as a ratio.";
    gauge("node_timex_pps_frequency_hertz", help, timex.ppsfreq as f64 / FRACTION);
    gauge("node_timex_pps_jitter_seconds", "Jitter of the pulse per second.", timex.jitter as f64 / seconds);
    let help = "Length of the calibration by the pulse per second, as a power of two.";
    gauge("node_timex_pps_shift_seconds", help, timex.shift.into());
    let help = "How much the frequency by the pulse per second changes, as a ratio.";
    gauge("node_timex_pps_stability_hertz", help, timex.stabil as f64 / FRACTION);
    gauge("node_timex_tai_offset_seconds", "How far atomic time is ahead of UTC.", timex.tai.into());
    let help = "1 if the clock is synchronised.";
    gauge("node_timex_sync_status", help, f64::from(u8::from(clock.is_synchronised)));
    let mut counter = |name, help, value: libc::c_long| page.single(name, help, Kind::Counter, value as f64);
    let help = "Pulses that came too early or too late.";
    counter("node_timex_pps_jitter_total", help, timex.jitcnt);
    counter("node_timex_pps_calibration_total", "Calibrations by the pulse per second.", timex.calcnt);
    counter("node_timex_pps_error_total", "Calibrations that failed.", timex.errcnt);
    let help = "Calibrations that changed the frequency too much.";
    counter("node_timex_pps_stability_exceeded_total", help, timex.stbcnt);
}
