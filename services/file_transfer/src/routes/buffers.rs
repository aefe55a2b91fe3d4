//! Buffers for reading files, used over and over: fresh memory would cost as much as the reading.

use std::sync::Arc;

use axum::body::Bytes;
use parking_lot::Mutex;

/// Bytes read at once. Small enough for a core's own cache, so that the network finds there what the disk has put.
pub(super) const PIECE: usize = 64 << 10;
/// Buffers kept for the next reader.
const KEPT: usize = 16;

/// The buffers that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// One of [`PIECE`] bytes; what is in it is of no meaning.
    pub(super) fn take(&self) -> Vec<u8> {
        let kept = self.0.lock().pop();
        kept.unwrap_or_else(|| vec![0; PIECE])
    }

    /// Gives one back.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock();
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }

    /// The first bytes of a buffer, as something to send; the buffer comes back when they have been sent.
    pub(super) fn send(self: &Arc<Self>, buffer: Vec<u8>, length: usize) -> Bytes {
        let mut bytes = Bytes::from_owner(Lent { buffer, home: Arc::clone(self) });
        bytes.truncate(length);
        bytes
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.buffer));
    }
}
