//! GPUs as a library tells of them that stands in for NVIDIA's: all figures, gaps, losses, a driver that comes late.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod fake;

use std::path::Path;

use agent_exposition::{Format, Page};
use agent_gpu::{Boards, Gpus, Process};
use agent_procfs::Root;
use fake::Library;

fn text(boards: &mut Boards) -> Result<Option<String>, agent_gpu::Error> {
    let mut page = Page::new();
    Ok(boards.add(&mut page)?.then(|| {
        let mut text = String::new();
        page.write(Format::Text004, &mut text);
        text
    }))
}

fn gpus(library: &Library) -> Gpus {
    Gpus::new(Some(library.path()), &Root::default())
}

/// `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn two_gpus_tell_what_they_can() {
    let library = Library::make("use 0 10 1000 40\nuse 0 11 1000 0\ndraw 1 12 500\n");
    let page = text(&mut gpus(&library).boards()).unwrap().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/boards.prom");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        std::fs::write(&golden, &page).unwrap();
    }
    assert_eq!(page, std::fs::read_to_string(golden).unwrap());
    // What the second does not support is no sample.
    for absent in ["fan_speed", "ecc", "energy", "remapped", "temperature_threshold", "mig_enabled"] {
        let of_second = |line: &str| line.contains(absent) && line.contains("gpu=\"1\"");
        assert!(page.contains(&format!("node_gpu_{absent}")) && !page.lines().any(of_second), "{absent}");
    }
}

#[test]
fn a_gpu_that_is_lost_costs_itself_and_comes_back() {
    let library = Library::make("");
    let mut boards = gpus(&library).boards();
    let of = |page: &str, gpu: &str| page.lines().filter(|line| line.contains(&format!("gpu=\"{gpu}\""))).count();
    let whole = text(&mut boards).unwrap().unwrap();
    library.tell("lost 1\n");
    let page = text(&mut boards).unwrap().unwrap();
    assert_eq!(of(&page, "0"), of(&whole, "0"));
    let lost: Vec<_> = page.lines().filter(|line| line.contains("gpu=\"1\"")).collect();
    let [info, up] = lost.as_slice() else { panic!("{lost:?}") };
    assert!(info.starts_with("node_gpu_info{") && info.contains("uuid=\"GPU-1111\""), "{info}");
    assert!(up.starts_with("node_gpu_up{") && up.contains("uuid=\"GPU-1111\"") && up.ends_with(" 0"), "{up}");
    library.tell("");
    assert_eq!(text(&mut boards).unwrap().unwrap(), whole);
    // One that was lost before the agent began has a number and no name.
    library.tell("lost 0\n");
    let page = text(&mut gpus(&library).boards()).unwrap().unwrap();
    assert!(page.contains("node_gpu_up{gpu=\"0\"} 0\n"), "{page}");
}

#[test]
fn who_uses_them() {
    let library = Library::make("use 0 10 1000 40\nuse 0 11 3000 0\ndraw 0 11 3000\ndraw 1 12 500\n");
    let boards = gpus(&library).uses().read().unwrap();
    let process = |pid, memory, duty| Process { pid, memory: Some(memory), duty };
    assert_eq!(boards[0].processes, [process(10, 1000, 40), process(11, 3000, 0)]);
    assert_eq!((boards[0].minor, boards[0].memory_total, boards[0].tells_duty), (Some(2), Some(80 << 30), true));
    assert_eq!(boards[1].processes, [process(12, 500, 0)]);
    assert_eq!((boards[1].model.as_str(), boards[1].tells_duty), ("NVIDIA T400 \"small\"", false));
    library.tell("lost 0\ndraw 1 12 500\n");
    let boards = gpus(&library).uses().read().unwrap();
    assert_eq!(boards.iter().map(|board| board.uuid.as_str()).collect::<Vec<_>>(), ["GPU-1111"]);
}

#[test]
fn nobody_uses_them() {
    let boards = gpus(&Library::make("")).uses().read().unwrap();
    assert!(boards.iter().all(|board| board.processes.is_empty()));
    assert!(boards[0].tells_duty, "nobody's use is not a use that is not told");
}

#[test]
fn a_library_without_a_driver_is_nothing_and_is_not_asked_again_at_once() {
    let library = Library::make("no-driver\n");
    let gpus = gpus(&library);
    assert_eq!(text(&mut gpus.boards()).unwrap(), None);
    library.tell("");
    assert_eq!(text(&mut gpus.boards()).unwrap(), None);
    gpus.forget_failures();
    assert!(text(&mut gpus.boards()).unwrap().is_some());
    assert_eq!(gpus.uses().read().unwrap().len(), 2);
}

#[test]
fn a_library_that_was_named_must_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libnvidia-ml.so.1");
    std::fs::write(&path, "no library").unwrap();
    let error = text(&mut Gpus::new(Some(path), &Root::default()).boards()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("libnvidia-ml.so.1"), "{source}");
}

#[test]
fn the_library_is_left_when_the_last_reader_goes() {
    let library = Library::make("");
    let gpus = gpus(&library);
    let (mut boards, mut uses) = (gpus.boards(), gpus.uses());
    assert!(text(&mut boards).unwrap().is_some() && uses.read().is_ok());
    drop((gpus, boards));
    assert!(!library.was_shut_down());
    drop(uses);
    assert!(library.was_shut_down());
}
