//! Any bytes in the place of one file of the fixture tree: its collectors fail, or give a page that can be read.
//! The first two bytes choose the file. What is new begins as the file itself: so all of them are reached.
#![no_main]

#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use agent_exposition::{Format, Parser};
use harness::readers::readers;
use harness::{CHOSEN, build, root_at};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");

/// The names of fields stay as long as a process runs, a bounded number of them; here collectors are built again and
/// again.
// SAFETY: the sanitizer asks for this name, and takes text that lives for ever.
#[unsafe(no_mangle)]
extern "C" fn __lsan_default_suppressions() -> *const std::ffi::c_char {
    c"leak:agent/node/src/fields.rs".as_ptr()
}

/// A copy of the fixtures, and what is in each of its files.
struct Copy {
    directory: tempfile::TempDir,
    files: Vec<(PathBuf, Vec<u8>)>,
}

static COPY: LazyLock<Copy> = LazyLock::new(|| {
    let mut copy = Copy { directory: tempfile::tempdir().unwrap(), files: Vec::new() };
    copy.fill(Path::new(""));
    copy.files.sort();
    copy
});

impl Copy {
    fn fill(&mut self, folder: &Path) {
        for entry in fs::read_dir(Path::new(FIXTURES).join(folder)).unwrap() {
            let entry = entry.unwrap();
            let (path, kind) = (folder.join(entry.file_name()), entry.file_type().unwrap());
            let to = self.directory.path().join(&path);
            if kind.is_dir() {
                fs::create_dir(to).unwrap();
                self.fill(&path);
            } else if kind.is_symlink() {
                std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), to).unwrap();
            } else {
                let content = fs::read(entry.path()).unwrap();
                fs::write(to, &content).unwrap();
                self.files.push((path, content));
            }
        }
    }
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if size > 2 && seed % 8 != 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let index = seed as usize / 8 % COPY.files.len();
    let input = [&u16::try_from(index).unwrap().to_le_bytes(), COPY.files[index].1.as_slice()].concat();
    let size = input.len().min(max_size);
    data[..size].copy_from_slice(&input[..size]);
    size
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first_chunk() else { return };
    let (file, content) = &COPY.files[usize::from(u16::from_le_bytes(*choice)) % COPY.files.len()];
    let path = COPY.directory.path().join(file);
    fs::write(&path, bytes).unwrap();
    let textfile = COPY.directory.path().join("textfile");
    let flags = [
        ("collector.cpu.info", "true"),
        ("collector.arp.netlink", "false"),
        ("collector.netdev.label-ifalias", "true"),
        ("collector.netdev.netlink", "false"),
        ("collector.pcidevice.names", "true"),
        ("collector.tcpstat.netlink", "false"),
        ("collector.textfile.directory", textfile.to_str().unwrap()),
    ];
    let root = root_at(COPY.directory.path());
    let readers = readers(file.to_str().unwrap());
    for mut built in build(&root, &[flags.as_slice(), CHOSEN].concat(), |name| readers.contains(&name)) {
        let run = built.run(1);
        for event in Parser::new(Format::Text004, run.text.as_bytes()) {
            assert!(event.is_ok(), "{} prints what cannot be read: {event:?}", run.name);
        }
    }
    fs::write(path, content).unwrap();
});
