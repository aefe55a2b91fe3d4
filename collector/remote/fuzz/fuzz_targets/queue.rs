//! Any bytes as a segment of a queue: opening and reading it must end, and lose nothing uncounted.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("atalaia-fuzz-queue-{}", std::process::id())));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    collector_remote::fuzzing::read_records(bytes);
    collector_remote::fuzzing::read_segment(&FOLDER, bytes).expect("the disk works");
    std::fs::remove_dir_all(&*FOLDER).expect("the folder is there");
});
