//! Keeps memory small: one heap, and what nothing needs any more is given back.
//!
//! What the start leaves behind (flags, regular expressions in the making, the first lists of the runtimes) is freed, but
//! stays with the allocator; and the kernel maps the program's code in pieces of 64 KiB around whatever ran once. Both
//! would count as the agent's memory for as long as it lives.

use std::time::Duration;

use tokio::time::{Instant, interval_at};

/// By then the start is over, and most agents have been scraped.
const FIRST_AFTER: Duration = Duration::from_secs(10);
/// What is freed later, as when containers are gone, waits no longer than this.
const EVERY: Duration = Duration::from_secs(600);

/// Has all threads take their memory from one heap. glibc gives each of them one of its own, in which others find nothing of
/// what it has freed; ours seldom want memory at the same time. To be called before there are threads.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "nothing that we have wraps mallopt(3)"))]
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes numbers, and sets one in the allocator's state, under the allocator's lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives back what is freed, now and then, and the code of the start once.
pub async fn keep_small() {
    let mut turns = interval_at(Instant::now() + FIRST_AFTER, EVERY);
    turns.tick().await;
    unmap_code();
    loop {
        trim_heap();
        turns.tick().await;
    }
}

/// Returns the allocator's free pages to the kernel. Other allocators than glibc's do so by themselves, or cannot be told.
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "nothing that we have wraps malloc_trim(3)"))]
fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes no pointer, locks the allocator's state itself, and leaves blocks that are in use as they are.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Takes the program's code out of this process's memory. It stays in the page cache, and what runs is mapped again, in the
/// instant in which it is needed.
#[expect(unsafe_code, reason = "madvise(2) is told addresses")]
fn unmap_code() {
    for (start, length) in code_of(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default(), &program()) {
        let start = std::ptr::with_exposed_provenance_mut::<libc::c_void>(start);
        // SAFETY: the kernel has just said that the program's file is mapped there to be read and run, not to be written.
        // Such pages are the file's own bytes, and are read from it again when they are touched: nothing is lost. Nothing
        // unmaps a program's own code.
        unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
    }
}

fn program() -> String {
    std::fs::read_link("/proc/self/exe").unwrap_or_default().to_string_lossy().into_owned()
}

/// Start and length of what of a file is mapped to be run.
fn code_of(maps: &str, file: &str) -> Vec<(usize, usize)> {
    let code = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        // `r-xp 00299000 fe:00 131 /path`: rights, offset, device, inode, and the path behind blanks.
        let (rights, rest) = rest.split_once(' ')?;
        let path = rest.splitn(4, ' ').nth(3)?.trim_start();
        if rights != "r-xp" || file.is_empty() || path != file {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        Some((start, end.checked_sub(start)?))
    });
    code.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_among_the_maps() {
        let maps = "\
            55d0c0a00000-55d0c0c99000 r--p 00000000 fe:00 131                        /opt/the agent\n\
            55d0c0c99000-55d0c1560000 r-xp 00299000 fe:00 131                        /opt/the agent\n\
            55d0c1560000-55d0c15e0000 rwxp 00b5f000 fe:00 131                        /opt/the agent\n\
            7f0000000000-7f0000001000 r-xp 00000000 fe:00 140                        /lib/libc.so.6\n\
            7ffc34ffe000-7ffc35000000 r-xp 00000000 00:00 0                          [vdso]\n\
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
        assert_eq!(code_of(maps, "/opt/the agent"), [(0x55d0_c0c9_9000, 0x8c_7000)]);
        assert_eq!(code_of(maps, ""), []);
        assert_eq!(code_of("garbage\n-\n\n1-0 r-xp 0 0 0 x\n", "x"), []);
    }

    #[test]
    fn this_program_goes_on_without_its_code() {
        assert!(!code_of(&std::fs::read_to_string("/proc/self/maps").unwrap(), &program()).is_empty());
        let kept: Vec<_> = (0..1000).map(|n| vec![n; 100]).collect();
        unmap_code();
        trim_heap();
        assert!(kept.iter().enumerate().all(|(n, block)| *block == vec![n; 100]));
    }
}
