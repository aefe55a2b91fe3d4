//! From frames of a request, of any size, to an upload, in pieces of one size.

use axum::body::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::store::{Store, StoreError, Upload};

/// Bytes written at once.
const PIECE: usize = 128 << 10;

/// Takes bytes in while those before are written on a thread that may wait. Memory: two pieces.
///
/// Dropped before [`Intake::finish`], it leaves nothing behind.
pub(super) struct Intake {
    piece: Vec<u8>,
    writing: JoinHandle<Written>,
}

/// The upload, and the piece that was written, emptied, to be filled again.
type Written = Result<(Upload, Vec<u8>), StoreError>;

/// Why bytes could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum IntakeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that writes ended without an answer.
    #[error("the service failed")]
    Broken,
}

impl Intake {
    /// Begins an upload.
    pub(super) fn begin(store: &Store) -> Self {
        let store = store.clone();
        Self { piece: Vec::new(), writing: spawn_blocking(move || Ok((store.upload()?, Vec::new()))) }
    }

    /// Takes more. Waits only when the disk is slower than the network.
    pub(super) async fn take(&mut self, mut bytes: Bytes) -> Result<(), IntakeError> {
        while !bytes.is_empty() {
            let room = PIECE.saturating_sub(self.piece.len());
            self.piece.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.piece.len() >= PIECE {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// All of it is written, though it has no name yet.
    pub(super) async fn finish(mut self) -> Result<Upload, IntakeError> {
        self.write().await?;
        Ok(self.written().await?.0)
    }

    async fn write(&mut self) -> Result<(), IntakeError> {
        let (mut upload, empty) = self.written().await?;
        let mut piece = std::mem::replace(&mut self.piece, empty);
        self.writing = spawn_blocking(move || {
            upload.write(&piece)?;
            piece.clear();
            Ok((upload, piece))
        });
        Ok(())
    }

    async fn written(&mut self) -> Result<(Upload, Vec<u8>), IntakeError> {
        Ok((&mut self.writing).await.map_err(|_| IntakeError::Broken)??)
    }
}
