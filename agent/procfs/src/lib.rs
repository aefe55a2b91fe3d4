//! What the kernel says: pure parsers for /proc, /sys and cgroup files, and the one [`Root`] that reads them.
//!
//! Parsers take bytes and give types that mostly borrow from them; only `root.rs` and `perf_event.rs` touch the machine. A parser knows
//! no path: [`Malformed::at`] adds it. In a file of independent lines a bad one costs itself ([`Lossy`]).

pub mod arp;
pub mod bcachefs;
pub mod buddyinfo;
pub mod cgroup;
pub mod conntrack;
pub mod controllers;
pub mod counter_lines;
pub mod cpu_list;
pub mod cpuinfo;
pub mod diskstats;
pub mod duration;
pub mod file_nr;
pub mod interrupts;
pub mod ip_vs;
pub mod kstat;
pub mod lnstat;
pub mod loadavg;
pub mod mdstat;
pub mod meminfo;
mod mount_lists;
pub mod mountinfo;
pub mod mountstats;
pub mod netdev;
pub mod netlink;
pub mod netstat;
pub mod nl80211;
pub mod numa;
pub mod os_release;
pub mod perf_event;
pub mod pid_details;
pub mod pid_stat;
pub mod pressure;
pub mod process;
pub mod qdisc;
mod root;
pub mod route;
pub mod rtnetlink;
pub mod scan;
pub mod schedstat;
pub mod slabinfo;
pub mod sockstat;
pub mod softnet;
pub mod stat;
pub mod swaps;
pub mod tcp;
pub mod udev;
pub mod udp;
pub mod vmstat;
pub mod vulnerability;
pub mod zoneinfo;

pub use mount_lists::MountLists;
pub use root::{ATTRIBUTE, AttributeFile, CachedFile, Error, Root, SHORT_LINE, is_end_of_lines};
pub use scan::{Lossy, Malformed};
