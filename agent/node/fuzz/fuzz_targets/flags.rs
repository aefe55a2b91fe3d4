//! Any text as the value of any flag of a collector: it is taken, or refused with a reason.
#![no_main]

use std::sync::Arc;

use agent_node::collectors::COLLECTORS;
use agent_node::{Context, FlagKind, Flags};
use agent_procfs::{Root, duration};

libfuzzer_sys::fuzz_target!(|input: (u16, &str, &str)| {
    let (choice, first, second) = input;
    let _ = duration::parse(first);
    // What names a file or a bus is opened, whatever it is.
    let is_text = |name: &str| !["idsfile", "address", "directory", "library"].iter().any(|end| name.ends_with(end));
    let all = || {
        COLLECTORS
            .iter()
            .flat_map(|spec| spec.flags.iter().map(move |flag| (spec, flag)))
            .filter(|(_, flag)| flag.kind != FlagKind::Switch && is_text(flag.name))
    };
    let Some((spec, flag)) = all().nth(usize::from(choice) % all().count()) else { return };
    let mut flags = Flags::default();
    flags.push(flag.name, first);
    if flag.kind == FlagKind::Repeated {
        flags.push(flag.name, second);
    }
    if let Err(error) = (spec.build)(&Context::new(Root::default(), Arc::new(flags))) {
        assert!(!error.to_string().is_empty());
    }
});
