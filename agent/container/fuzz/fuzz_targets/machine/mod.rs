//! Machines of files, from the fixture trees of the tests, and their pages.
#![allow(dead_code, reason = "each target takes what it needs")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use agent_container::{Config, Containers};
use agent_exposition::{Format, Page, Parser};
use agent_procfs::Root;

/// A machine in a temporary folder, and what is in each of its files.
pub struct Machine {
    folder: tempfile::TempDir,
    pub files: Vec<(String, Vec<u8>)>,
}

impl Machine {
    /// From `../tests/fixtures/NAME.tree`, as the tests of the crate read it.
    pub fn from_fixture(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/{name}.tree"));
        let text = fs::read_to_string(tree).unwrap();
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["#", "file", path] => {
                    current = (*path).to_owned();
                    files.insert(current.clone(), Vec::new());
                }
                ["#", "link", path, target] => {
                    std::os::unix::fs::symlink(target, with_parent(folder.path().join(path))).unwrap();
                }
                ["#", "folder", path] => fs::create_dir_all(folder.path().join(path)).unwrap(),
                ["#", ..] => {}
                _ => files.get_mut(&current).unwrap().extend(format!("{line}\n").bytes()),
            }
        }
        for (path, content) in &files {
            fs::write(with_parent(folder.path().join(path)), content).unwrap();
        }
        Self { folder, files: files.into_iter().collect() }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A configuration that watches this machine and no runtime.
    pub fn config(&self) -> Config {
        let root = Root {
            procfs: self.path("proc"),
            sysfs: self.path("sys"),
            rootfs: self.path("rootfs"),
            udev_data: self.path("udev"),
        };
        let user_runtimes = self.path("no-users");
        Config { root, user_runtimes, docker: None, podman: None, containerd: None, crio: None, ..Config::default() }
    }
}

fn with_parent(path: PathBuf) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    path
}

/// A scrape, whose page must be one.
pub fn check_page(containers: &Containers) {
    let mut page = Page::new();
    containers.collect(&mut page);
    page.write_protobuf(&mut Vec::new());
    for format in [Format::Text004, Format::OpenMetrics100] {
        let mut text = String::new();
        page.write(format, &mut text);
        for event in Parser::new(format, text.as_bytes()) {
            assert!(event.is_ok(), "what cannot be read: {event:?}");
        }
    }
}
