//! Any bytes as a file of the window: decoders may refuse them, not panic, loop or allocate without bound.
#![no_main]

use collector_tsdb::encoding::chunk::Samples;
use collector_tsdb::encoding::frame::{self, Front};
use collector_tsdb::encoding::record::{self, Record};
use libfuzzer_sys::fuzz_target;

fn read(payload: &[u8]) {
    match record::read(payload) {
        Some(Record::Samples(samples)) => assert!(samples.count() <= payload.len()),
        Some(Record::Chunk(chunk)) => {
            let samples = Samples::new(chunk.packed, chunk.count, chunk.first_ms);
            assert!(samples.count() <= usize::from(chunk.count));
        }
        Some(Record::Series { id, labels }) => {
            // What is accepted is written back as the same series.
            let mut again = Vec::new();
            record::put_series(&mut again, id, &labels);
            assert_eq!(record::read(&again), Some(Record::Series { id, labels }));
        }
        Some(Record::Era | Record::CheckpointEnd) | None => {}
    }
}

fuzz_target!(|bytes: &[u8]| {
    // The checksum would keep nearly all input out, so the records are read with and without a frame.
    read(bytes);
    let mut rest = bytes;
    while let Front::Payload(payload) = frame::front(rest) {
        read(payload);
        rest = rest.get(frame::FRAME_HEADER_LEN + payload.len()..).unwrap_or_default();
    }
});
