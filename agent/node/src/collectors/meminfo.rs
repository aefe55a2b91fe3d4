//! Memory, from `/proc/meminfo`: every field that the kernel prints.

use std::borrow::Cow;

use agent_exposition::{Kind, Page};
use agent_procfs::meminfo::{self, Field};

use crate::source::Source;
use crate::{CollectError, Collector, Outcome, Spec};

/// Registration.
pub const SPEC: Spec = Spec {
    name: "meminfo",
    help: "Memory.",
    default_on: true,
    flags: &[],
    build: |context| Ok(Box::new(Meminfo { file: Source::new(context.root.proc("meminfo")).with_short_lines() })),
};

struct Meminfo {
    file: Source,
}

impl Collector for Meminfo {
    fn collect(&mut self, page: &mut Page) -> Result<Outcome, CollectError> {
        for field in self.file.parse_lossy(meminfo::parse)? {
            let (name, help) = describe(&field);
            page.single(name, help, Kind::Gauge, field.value as f64);
        }
        Ok(Outcome::Collected)
    }
}

/// The metric's name and help: `Active(anon)` in kB is `node_memory_Active_anon_bytes`.
fn describe(field: &Field) -> (Cow<'static, str>, Cow<'static, str>) {
    if let Some((_, name, help)) =
        KNOWN.iter().find(|(key, name, _)| *key == field.name && name.ends_with("_bytes") == field.bytes)
    {
        return ((*name).into(), (*help).into());
    }
    let unit = if field.bytes { "_bytes" } else { "" };
    let name = field.name.replace('(', "_").replace(')', "");
    (format!("node_memory_{name}{unit}").into(), format!("Field {} of /proc/meminfo.", field.name).into())
}

/// The kernel's fields with their metric and help, in the order in which it prints them.
#[rustfmt::skip]
const KNOWN: &[(&str, &str, &str)] = &[
    ("MemTotal", "node_memory_MemTotal_bytes", "Memory that the kernel can use."),
    ("MemFree", "node_memory_MemFree_bytes", "Memory that nobody uses."),
    ("MemAvailable", "node_memory_MemAvailable_bytes", "Memory that programs can still get without swapping, as the kernel estimates it."),
    ("Buffers", "node_memory_Buffers_bytes", "Cache of raw block devices."),
    ("Cached", "node_memory_Cached_bytes", "Cache of files, without the swap cache."),
    ("SwapCached", "node_memory_SwapCached_bytes", "Memory that is also in swap, unchanged."),
    ("Active", "node_memory_Active_bytes", "Memory used lately."),
    ("Inactive", "node_memory_Inactive_bytes", "Memory not used lately, to be given up first."),
    ("Active(anon)", "node_memory_Active_anon_bytes", "Memory of programs used lately."),
    ("Inactive(anon)", "node_memory_Inactive_anon_bytes", "Memory of programs not used lately."),
    ("Active(file)", "node_memory_Active_file_bytes", "Cache of files used lately."),
    ("Inactive(file)", "node_memory_Inactive_file_bytes", "Cache of files not used lately."),
    ("Unevictable", "node_memory_Unevictable_bytes", "Memory that cannot be given up."),
    ("Mlocked", "node_memory_Mlocked_bytes", "Memory that programs have locked."),
    ("SwapTotal", "node_memory_SwapTotal_bytes", "Swap space."),
    ("SwapFree", "node_memory_SwapFree_bytes", "Swap space that nobody uses."),
    ("Zswap", "node_memory_Zswap_bytes", "What the compressed swap cache takes."),
    ("Zswapped", "node_memory_Zswapped_bytes", "What the compressed swap cache holds, before compression."),
    ("Dirty", "node_memory_Dirty_bytes", "Memory waiting to be written to disk."),
    ("Writeback", "node_memory_Writeback_bytes", "Memory being written to disk."),
    ("AnonPages", "node_memory_AnonPages_bytes", "Memory of programs that is no file."),
    ("Mapped", "node_memory_Mapped_bytes", "Files mapped into programs."),
    ("Shmem", "node_memory_Shmem_bytes", "Shared memory and tmpfs."),
    ("KReclaimable", "node_memory_KReclaimable_bytes", "Memory of the kernel that it can give up."),
    ("Slab", "node_memory_Slab_bytes", "Caches of kernel objects."),
    ("SReclaimable", "node_memory_SReclaimable_bytes", "Caches of kernel objects that can be given up."),
    ("SUnreclaim", "node_memory_SUnreclaim_bytes", "Caches of kernel objects that cannot be given up."),
    ("KernelStack", "node_memory_KernelStack_bytes", "Stacks of tasks in the kernel."),
    ("PageTables", "node_memory_PageTables_bytes", "Page tables."),
    ("SecPageTables", "node_memory_SecPageTables_bytes", "Page tables for virtual machines and I/O."),
    ("NFS_Unstable", "node_memory_NFS_Unstable_bytes", "Pages sent to an NFS server and not yet on its disk."),
    ("Bounce", "node_memory_Bounce_bytes", "Buffers for devices that cannot reach all memory."),
    ("WritebackTmp", "node_memory_WritebackTmp_bytes", "Buffers of FUSE for writing back."),
    ("CommitLimit", "node_memory_CommitLimit_bytes", "Memory that may be promised to programs under strict accounting."),
    ("Committed_AS", "node_memory_Committed_AS_bytes", "Memory promised to programs."),
    ("VmallocTotal", "node_memory_VmallocTotal_bytes", "Address space for vmalloc."),
    ("VmallocUsed", "node_memory_VmallocUsed_bytes", "Address space for vmalloc in use."),
    ("VmallocChunk", "node_memory_VmallocChunk_bytes", "Largest free piece of the address space for vmalloc."),
    ("Percpu", "node_memory_Percpu_bytes", "Memory that the kernel keeps per CPU."),
    ("HardwareCorrupted", "node_memory_HardwareCorrupted_bytes", "Memory that the hardware has reported as broken."),
    ("AnonHugePages", "node_memory_AnonHugePages_bytes", "Memory of programs in huge pages."),
    ("ShmemHugePages", "node_memory_ShmemHugePages_bytes", "Shared memory in huge pages."),
    ("ShmemPmdMapped", "node_memory_ShmemPmdMapped_bytes", "Shared memory in huge pages mapped as such."),
    ("FileHugePages", "node_memory_FileHugePages_bytes", "Cache of files in huge pages."),
    ("FilePmdMapped", "node_memory_FilePmdMapped_bytes", "Cache of files in huge pages mapped as such."),
    ("CmaTotal", "node_memory_CmaTotal_bytes", "Memory kept for contiguous allocations."),
    ("CmaFree", "node_memory_CmaFree_bytes", "Memory kept for contiguous allocations that nobody uses."),
    ("Balloon", "node_memory_Balloon_bytes", "Memory that the hypervisor has taken back."),
    ("Unaccepted", "node_memory_Unaccepted_bytes", "Memory that a confidential guest has not accepted yet."),
    ("HugePages_Total", "node_memory_HugePages_Total", "Huge pages set aside, in pages."),
    ("HugePages_Free", "node_memory_HugePages_Free", "Huge pages set aside that nobody uses, in pages."),
    ("HugePages_Rsvd", "node_memory_HugePages_Rsvd", "Huge pages promised but not yet used, in pages."),
    ("HugePages_Surp", "node_memory_HugePages_Surp", "Huge pages beyond those set aside, in pages."),
    ("Hugepagesize", "node_memory_Hugepagesize_bytes", "Size of a huge page."),
    ("Hugetlb", "node_memory_Hugetlb_bytes", "Memory in huge pages of all sizes."),
    ("DirectMap4k", "node_memory_DirectMap4k_bytes", "Memory that the kernel maps in pages of 4 KiB."),
    ("DirectMap2M", "node_memory_DirectMap2M_bytes", "Memory that the kernel maps in pages of 2 MiB."),
    ("DirectMap4M", "node_memory_DirectMap4M_bytes", "Memory that the kernel maps in pages of 4 MiB."),
    ("DirectMap1G", "node_memory_DirectMap1G_bytes", "Memory that the kernel maps in pages of 1 GiB."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics() {
        #[track_caller]
        fn check(name: &str, bytes: bool, want: &str) {
            assert_eq!(describe(&Field { name, value: 0, bytes }).0, want);
        }
        check("MemTotal", true, "node_memory_MemTotal_bytes");
        check("Active(anon)", true, "node_memory_Active_anon_bytes");
        check("HugePages_Free", false, "node_memory_HugePages_Free");
        check("Newcomer(file)", true, "node_memory_Newcomer_file_bytes");
        check("Newcomer", false, "node_memory_Newcomer");
    }

    #[test]
    fn the_table_follows_the_rule() {
        for (key, name, help) in KNOWN {
            let field = Field { name: key, value: 0, bytes: name.ends_with("_bytes") };
            let rule = key.replace('(', "_").replace(')', "");
            assert_eq!(*name, format!("node_memory_{rule}{}", if field.bytes { "_bytes" } else { "" }));
            assert!(help.ends_with('.'), "{help}");
        }
    }
}
