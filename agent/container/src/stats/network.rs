//! Interfaces' counters: `/proc/PID/net/dev` of one process of each network namespace.
//!
//! A container that shares another namespace has no figures of its own: on the host's network they are the
//! machine's (which `/` has), and of several containers in one namespace only the one that it was made for shows
//! them. So sums over containers count nothing twice.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use agent_exposition::SharedId;
use agent_procfs::{Root, cgroup, netdev};
use rustix::fs::{Mode, OFlags};

use crate::catalogue::Metric;
use crate::cgroups::{Records, read_in};
use crate::compat::{Compat, Quirk};
use crate::runtimes::Network;
use crate::sheet::Sheet;

/// A cgroup whose network is asked for.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) labels: SharedId,
    pub(crate) pid: u32,
    /// What the runtime says; a guess without one.
    pub(crate) network: Network,
    /// The namespace; nothing when it may not be read.
    pub(crate) namespace: Option<u64>,
}

/// A process through which a namespace is seen, and whose figures they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) pid: u32,
    pub(crate) labels: SharedId,
}

/// The machine's namespace under `root_labels`, and those of the candidates that own theirs; in cAdvisor's manner those
/// of all candidates.
pub(crate) fn places(
    candidates: &[Candidate],
    root_labels: Option<SharedId>,
    root: &Root,
    compat: Compat,
) -> Vec<Place> {
    let mut places: Vec<_> = root_labels.map(|labels| Place { pid: 1, labels }).into_iter().collect();
    let place = |candidate: &Candidate| Place { pid: candidate.pid, labels: candidate.labels };
    if compat.has(Quirk::SharedNetwork) {
        places.extend(candidates.iter().map(place));
    } else {
        places.extend(owners(candidates, host_namespace(root, candidates)).into_iter().map(place));
    }
    places
}

/// Adds the interfaces of each place.
pub(crate) fn collect(places: &[Place], root: &Root, folders: &mut Folders, sheet: &mut Sheet<'_>) {
    if folders.open.len() > places.len() {
        let wanted: HashSet<u32> = places.iter().map(|place| place.pid).collect();
        folders.open.retain(|pid, _| wanted.contains(pid));
    }
    for place in places {
        put_interfaces(place.pid, place.labels, root, folders, sheet);
    }
}

/// The folders `net` of processes, kept open because the way to one is longer than what is read there. That keeps no
/// namespace alive: the kernel looks the process's up anew whenever something in its folder is opened.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    open: HashMap<u32, OwnedFd>,
    buffer: Vec<u8>,
}

/// More are opened each time.
const MOST_FOLDERS: usize = 1024;

impl Folders {
    /// A process's `net/dev`.
    fn read(&mut self, pid: u32, root: &Root) -> Option<&[u8]> {
        self.buffer.resize(self.buffer.len().max(4096), 0);
        let known = self.open.get(&pid);
        let length = known.and_then(|folder| read_in(folder, "dev", &mut self.buffer, Records::Short));
        let length = match length {
            Some(length) => length,
            // Not known yet, or another process has the number now.
            None => {
                self.open.remove(&pid);
                let folder = open(&root.procfs.join(pid.to_string()).join("net"))?;
                let length = read_in(&folder, "dev", &mut self.buffer, Records::Short)?;
                if self.open.len() < MOST_FOLDERS {
                    self.open.insert(pid, folder);
                }
                length
            }
        };
        self.buffer.get(..length)
    }
}

fn open(folder: &Path) -> Option<OwnedFd> {
    rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// That of the first process. Where its namespaces may not be read (it may have a right that this process lacks), that
/// of a container of which the runtime says that it is on the host's, or else this process's own: an agent with too few
/// rights in a namespace apart then hides only its own figures.
fn host_namespace(root: &Root, candidates: &[Candidate]) -> Option<u64> {
    let on_host = || candidates.iter().find(|c| c.network == Network::Host && c.namespace.is_some());
    namespace_of(root, "1").or_else(|| on_host()?.namespace).or_else(|| namespace_of(root, "self"))
}

fn owners(candidates: &[Candidate], host: Option<u64>) -> Vec<&Candidate> {
    let mut owners: Vec<&Candidate> = Vec::new();
    let mut by_namespace: HashMap<u64, usize> = HashMap::new();
    for candidate in candidates {
        match candidate.namespace {
            _ if candidate.network == Network::Host => {}
            // Without the namespaces the runtime's word decides.
            None if candidate.network == Network::Own => owners.push(candidate),
            None => {}
            Some(namespace) if Some(namespace) == host => {}
            Some(namespace) => match by_namespace.get(&namespace).copied() {
                None => {
                    by_namespace.insert(namespace, owners.len());
                    owners.push(candidate);
                }
                Some(at) => {
                    if let Some(owner) = owners.get_mut(at)
                        && owner.network != Network::Own
                        && candidate.network == Network::Own
                    {
                        *owner = candidate;
                    }
                }
            },
        }
    }
    owners
}

/// The network namespace of a process.
pub(crate) fn namespace_of(root: &Root, process: &str) -> Option<u64> {
    let link = std::fs::read_link(root.procfs.join(process).join("ns/net")).ok()?;
    cgroup::net_namespace(link.as_os_str().as_bytes())
}

fn put_interfaces(pid: u32, labels: SharedId, root: &Root, folders: &mut Folders, sheet: &mut Sheet<'_>) {
    let Some(text) = folders.read(pid, root) else { return };
    for device in netdev::parse(text).value {
        if is_ignored(device.name) {
            continue;
        }
        let [receive_bytes, receive_packets, receive_errors, receive_dropped, ..] = device.receive;
        let [transmit_bytes, transmit_packets, transmit_errors, transmit_dropped, ..] = device.transmit;
        let figures = [
            (Metric::NetReceiveBytes, receive_bytes),
            (Metric::NetReceivePackets, receive_packets),
            (Metric::NetReceiveErrors, receive_errors),
            (Metric::NetReceiveDropped, receive_dropped),
            (Metric::NetTransmitBytes, transmit_bytes),
            (Metric::NetTransmitPackets, transmit_packets),
            (Metric::NetTransmitErrors, transmit_errors),
            (Metric::NetTransmitDropped, transmit_dropped),
        ];
        for (metric, value) in figures {
            sheet.put(metric, labels, &[("interface", device.name)], value as f64);
        }
    }
}

/// Loopback, and the host's ends of containers' links, which those containers show themselves.
fn is_ignored(interface: &str) -> bool {
    ["lo", "veth", "docker", "nerdctl"]
        .iter()
        .any(|prefix| interface.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}

#[cfg(test)]
mod tests {
    use agent_exposition::Page;

    use super::*;

    #[track_caller]
    fn check(candidates: &[(u32, Network, Option<u64>)], host: Option<u64>, want: &[u32]) {
        let labels = Page::new().shared([("id", "/x")]);
        let candidates: Vec<_> = candidates
            .iter()
            .map(|(pid, network, namespace)| Candidate { labels, pid: *pid, network: *network, namespace: *namespace })
            .collect();
        assert_eq!(owners(&candidates, host).iter().map(|c| c.pid).collect::<Vec<_>>(), want);
    }

    #[test]
    fn each_namespace_is_counted_once() {
        use Network::{Host, Other, Own};
        check(&[(10, Own, Some(1)), (11, Own, Some(2))], Some(9), &[10, 11]);
        check(&[(10, Host, Some(9)), (11, Own, Some(2))], Some(9), &[11]);
        check(&[(10, Own, Some(9))], Some(9), &[]);
        check(&[(10, Host, Some(9)), (11, Own, Some(2))], None, &[11]);
        check(&[(10, Other, Some(1)), (11, Own, Some(1)), (12, Other, Some(1))], Some(9), &[11]);
        check(&[(10, Other, Some(1)), (12, Other, Some(1))], Some(9), &[10]);
    }

    #[test]
    fn without_namespaces_the_runtime_decides() {
        use Network::{Host, Other, Own};
        check(&[(10, Own, None), (11, Host, None), (12, Other, None)], None, &[10]);
    }

    #[test]
    fn a_number_that_another_process_was_given_leads_to_that_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root { procfs: folder.path().to_owned(), ..Root::default() };
        let net = folder.path().join("7/net");
        let mut folders = Folders::default();
        let mut read = || folders.read(7, &root).map(|text| String::from_utf8_lossy(text).into_owned());
        assert_eq!(read(), None);
        std::fs::create_dir_all(&net).unwrap();
        std::fs::write(net.join("dev"), "first").unwrap();
        assert_eq!(read().as_deref(), Some("first"));
        std::fs::write(net.join("dev"), "later").unwrap();
        assert_eq!(read().as_deref(), Some("later"));
        std::fs::remove_dir_all(folder.path().join("7")).unwrap();
        assert_eq!(read(), None);
        std::fs::create_dir_all(&net).unwrap();
        std::fs::write(net.join("dev"), "other").unwrap();
        assert_eq!(read().as_deref(), Some("other"));
    }

    #[test]
    fn interfaces() {
        for name in ["lo", "veth1a2b", "docker0", "docker_gwbridge", "nerdctl0", "VETHx"] {
            assert!(is_ignored(name), "{name}");
        }
        for name in ["eth0", "br-0a1b", "wlan0", "l", "flannel.1"] {
            assert!(!is_ignored(name), "{name}");
        }
    }
}
