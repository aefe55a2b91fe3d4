//! Doors for the fuzz targets in `fuzz/`; not part of the crate's interface.

use std::path::Path;
use std::sync::Arc;

use crate::queue::disk::Folder;
use crate::queue::{self, record};

/// Reads bytes as records, as they are and with their checksums put right, which would keep nearly all input out.
pub fn read_records(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok((_, length)) = record::read(rest) {
        rest = rest.get(length..).unwrap_or_default();
    }
    let _ = record::read(&record::framed(bytes));
}

/// Opens a queue whose first segment holds these bytes behind a good header, and reads it to its end.
pub fn read_segment(folder: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let disk = Folder::create(folder)?;
    std::fs::write(folder.join("0000000000.seg"), [&record::HEADER, bytes].concat())?;
    let (queue, _writer) = queue::open(Arc::new(disk), 1 << 20)?;
    let mut reader = queue.reader();
    while let Some(block) = reader.next()? {
        queue.acknowledge(block.mark);
    }
    assert_eq!(queue.size().waiting, 0, "everything was read or counted as lost");
    Ok(())
}
