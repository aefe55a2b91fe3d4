//! Disks, mounts and udev's data.

#![no_main]

use agent_procfs::{bcachefs, diskstats, kstat, mdstat, mountinfo, mountstats, udev};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for disk in diskstats::parse(bytes).value {
        assert!((11..=diskstats::COLUMNS).contains(&disk.columns().len()));
    }
    for mount in mountinfo::parse(bytes).value {
        let _ = mount.is_read_only();
    }
    let _ = (bcachefs::counter(bytes), bcachefs::table(bytes).count(), bcachefs::errors(bytes).count());
    let _ = (bcachefs::io_done(bytes).count(), bcachefs::io_errors(bytes).count());
    let _ = (kstat::list(bytes), kstat::table(bytes));
    for array in mdstat::parse(bytes).value {
        assert!(!array.name.is_empty());
    }
    assert!(mountinfo::unescape(bytes).len() <= bytes.len());
    let _ = udev::parse(bytes).get("ID_MODEL");
    for mount in mountstats::parse(bytes).value {
        assert!(!mount.export.is_empty());
    }
});
