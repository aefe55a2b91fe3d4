//! Samples and the two bit patterns of "not a number" that mean something.

/// Milliseconds since the Unix epoch, as Prometheus counts time.
pub type TimestampMs = i64;

/// The value that marks the end of a series, bit for bit Prometheus's `StaleNaN`.
pub const STALE_NAN: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The one ordinary "not a number" that is ever stored, bit for bit Prometheus's `NormalNaN`.
pub const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Whether a value is the stale marker. Compares bits, as every NaN is unequal to itself.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN.to_bits()
}

/// One value at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When, in milliseconds since the epoch.
    pub timestamp_ms: TimestampMs,
    /// What.
    pub value: f64,
}

impl PartialEq for Sample {
    /// Bit for bit, so that a stale marker equals itself.
    fn eq(&self, other: &Self) -> bool {
        self.timestamp_ms == other.timestamp_ms && self.value.to_bits() == other.value.to_bits()
    }
}
