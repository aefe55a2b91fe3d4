//! Disks, mounts and udev's data.

#![no_main]

use agent_procfs::{diskstats, mountinfo, mountstats, udev};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for disk in diskstats::parse(bytes).value {
        assert!((11..=diskstats::COLUMNS).contains(&disk.columns().len()));
    }
    for mount in mountinfo::parse(bytes).value {
        let _ = mount.is_read_only();
    }
    assert!(mountinfo::unescape(bytes).len() <= bytes.len());
    let _ = udev::parse(bytes).get("ID_MODEL");
    for mount in mountstats::parse(bytes).value {
        assert!(!mount.export.is_empty());
    }
});
