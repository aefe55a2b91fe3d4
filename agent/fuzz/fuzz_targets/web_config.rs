//! Any bytes as the file of `--web.config.file`: it is taken, or refused in one line.
#![no_main]

use std::sync::LazyLock;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let path = FOLDER.path().join("web.yml");
    std::fs::write(&path, bytes).unwrap();
    if let Some(error) = atalaia_agent::fuzzing::web_config(&path) {
        assert!(!error.is_empty() && !error.contains('\n'), "{error}");
    }
});
