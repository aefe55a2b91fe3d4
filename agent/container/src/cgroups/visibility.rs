//! Whether the ids in `cgroup.procs` and `tasks` mean anything to this process.

use agent_procfs::Root;

/// Whether this process is in another PID namespace than the /proc that it reads, as in a container without the machine's
/// PID namespace. Cgroup files give ids of the reader's own namespace, and leave out, or write as 0, whoever is not in
/// it: a list of the machine's processes then looks empty, which must not be told as no processes. /proc itself gives
/// those of the namespace that it was mounted in.
pub(crate) fn ids_are_foreign(root: &Root) -> bool {
    let link = std::fs::read_link(root.proc("self")).ok();
    let by_proc = link.as_deref().and_then(|link| link.to_str()?.parse::<u32>().ok());
    by_proc.is_some_and(|id| id != std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_what_proc_calls_this_process() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { procfs: folder.path().to_owned(), ..Root::default() };
        assert!(!ids_are_foreign(&root), "nobody says so");
        let link = folder.path().join("self");
        let own = std::process::id();
        for (id, want) in [(own, false), (own + 1, true)] {
            std::os::unix::fs::symlink(id.to_string(), &link).unwrap();
            assert_eq!(ids_are_foreign(&root), want);
            std::fs::remove_file(&link).unwrap();
        }
        assert!(!ids_are_foreign(&Root::default()), "the machine's own");
    }
}
