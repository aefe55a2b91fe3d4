//! The bytes of the window's files, without any I/O: what `FORMAT.md` describes.
//!
//! From the inside out: [`bits`] and [`varint`] are the primitives, [`chunk`] packs the samples of one series,
//! [`record`] is what the log and the chunk files hold, [`frame`] wraps each record in a length and a checksum.
//! Decoders take any bytes at all: they answer `None` for what they cannot read and never panic.

pub mod bits;
pub mod chunk;
pub mod frame;
pub mod record;
pub mod varint;
