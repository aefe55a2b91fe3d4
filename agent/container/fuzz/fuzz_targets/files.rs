//! Any bytes in the place of one file of a machine's: the rest of the page is printed all the same, and can be read.
//! The first two bytes choose the file. What is new begins as the file itself: so all of them are reached.
#![no_main]

mod machine;

use std::fs;
use std::sync::LazyLock;

use agent_container::{Compat, Config, Containers, Sets};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use machine::{Machine, check_page};

static MACHINES: LazyLock<[Machine; 2]> = LazyLock::new(|| ["v1", "v2"].map(Machine::from_fixture));

fn choose(choice: usize) -> (&'static Machine, &'static (String, Vec<u8>)) {
    let machine = &MACHINES[choice % 2];
    (machine, &machine.files[choice / 2 % machine.files.len()])
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if size > 2 && seed % 8 != 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let choice = (seed / 8) as u16;
    let input = [&choice.to_le_bytes(), choose(choice.into()).1.1.as_slice()].concat();
    let size = input.len().min(max_size);
    data[..size].copy_from_slice(&input[..size]);
    size
});

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first_chunk() else { return };
    let (machine, (file, content)) = choose(u16::from_le_bytes(*choice).into());
    let path = machine.path(file);
    fs::write(&path, bytes).unwrap();
    for compat in [Compat::default(), Compat::cadvisor()] {
        let config = Config { sets: Sets::all(), compat, ..machine.config() };
        let containers = Containers::new(config).unwrap();
        containers.sample_background();
        check_page(&containers);
    }
    fs::write(path, content).unwrap();
});
