//! A library that stands in for NVIDIA's: made by the C compiler, told what to do by a file.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A library of its own, in a folder that goes with it.
pub struct Library {
    folder: tempfile::TempDir,
}

impl Library {
    /// Makes it; `script` is what it does at first, as `fixtures/nvml.c` says.
    pub fn make(script: &str) -> Self {
        let library = Self { folder: tempfile::tempdir().unwrap() };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|at| at.join(SOURCE)).find(|at| at.exists());
        library.tell(script);
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(library.path())
            .arg(source.unwrap());
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        library
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// What it does from now on. Never half of it is read.
    pub fn tell(&self, script: &str) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, script).unwrap();
        std::fs::rename(next, self.folder.path().join("libnvidia-ml.so.1.script")).unwrap();
    }

    /// Whether it was left as it wants to be.
    pub fn was_shut_down(&self) -> bool {
        self.folder.path().join("libnvidia-ml.so.1.shutdown").exists()
    }
}

const SOURCE: &str = "agent/gpu/tests/fixtures/nvml.c";
