//! Looks host names up without the C library: in `/etc/hosts`, then at the name servers of `/etc/resolv.conf`.
//!
//! A static binary in an empty image cannot use the system's own look-up, which loads libraries at run time. As in
//! the peers that are built without a C library, `/etc/nsswitch.conf` is therefore not followed, here or elsewhere:
//! a name means the same to every build.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};
use reqwest::dns::{self, Addrs, Resolve, Resolving};

use crate::client::{Stamp, stamps};

/// The look-up of one client. It reads its two files again when they change, and it keeps no answers: a client holds
/// on to its connections, so look-ups are few, and a container that comes back under its name has a new address
/// long before the ten minutes are over that Docker's name server promises.
#[derive(Clone)]
pub(crate) struct Names {
    /// `/etc/hosts` and `/etc/resolv.conf`, in this order.
    files: [PathBuf; 2],
    current: Arc<Mutex<Option<Current>>>,
}

/// What the two files say, and what told that they said it.
struct Current {
    stamps: Vec<Stamp>,
    sources: Arc<Sources>,
}

struct Sources {
    hosts: Hosts,
    servers: TokioResolver,
}

impl Default for Names {
    fn default() -> Self {
        Self::of_files(["/etc/hosts".into(), "/etc/resolv.conf".into()])
    }
}

impl Names {
    fn of_files(files: [PathBuf; 2]) -> Self {
        Self { files, current: Arc::default() }
    }

    fn sources(&self) -> Result<Arc<Sources>, NetError> {
        let stamps = stamps(&self.files);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = current.as_ref().filter(|current| current.stamps == stamps) {
            return Ok(Arc::clone(&current.sources));
        }
        let [hosts, servers] = &self.files;
        // A file that is missing or cannot be read holds no names, as for the C library.
        let mut known = Hosts::default();
        if let Ok(file) = std::fs::File::open(hosts) {
            let _ = known.read_hosts_conf(file);
        }
        let text = std::fs::read(servers).unwrap_or_default();
        let (config, options) = hickory_resolver::system_conf::parse_resolv_conf(text).unwrap_or_else(|_| own_server());
        let sources = Arc::new(Sources { hosts: known, servers: resolver(config, options)? });
        *current = Some(Current { stamps, sources: Arc::clone(&sources) });
        Ok(sources)
    }
}

/// What a `resolv.conf` without name servers means: one on this machine.
fn own_server() -> (ResolverConfig, ResolverOpts) {
    let server = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
    (ResolverConfig::from_parts(None, Vec::new(), vec![server]), ResolverOpts::default())
}

fn resolver(config: ResolverConfig, mut options: ResolverOpts) -> Result<TokioResolver, NetError> {
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // The first server is asked first, as everywhere else; the next one only when it does not answer.
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.num_concurrent_reqs = 1;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()
}

impl Sources {
    /// The addresses of a host. What `/etc/hosts` says of it in either family is all that counts.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NetError> {
        // Not by `FromStr`, which refuses the underscores that names of containers and swarm services may have. A
        // host of a URL is in ASCII already.
        let name = Name::from_ascii(host)?;
        let mut found = Vec::new();
        for family in [RecordType::A, RecordType::AAAA] {
            let lookup = self.hosts.lookup_static_host(&Query::query(name.clone(), family));
            let records = lookup.iter().flat_map(|lookup| lookup.answers());
            found.extend(records.filter_map(|record| record.data.ip_addr()));
        }
        if found.is_empty() {
            found.extend(self.servers.lookup_ip(name).await?.iter());
        }
        Ok(found)
    }
}

impl Resolve for Names {
    fn resolve(&self, host: dns::Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = names.sources()?.addresses(host.as_str()).await?;
            Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    /// A name server that knows every name as 10.0.0.N, N being the number of the question for an IPv4 address, for
    /// ten minutes, and knows no IPv6 address.
    async fn server() -> u16 {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked = AtomicU8::new(0);
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (_, peer) = socket.recv_from(&mut buffer).await.unwrap();
                // The question: labels up to the empty one, then type and class.
                let end = 12 + buffer[12..].iter().position(|&b| b == 0).unwrap() + 5;
                let wants_v4 = buffer[end - 3] == 1;
                let mut answer = buffer[..end].to_vec();
                answer[2..4].copy_from_slice(&[0x81, 0x80]);
                answer[4..12].copy_from_slice(&[0, 1, 0, u8::from(wants_v4), 0, 0, 0, 0]);
                if wants_v4 {
                    let n = asked.fetch_add(1, Ordering::Relaxed) + 1;
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 2, 0x58, 0, 4, 10, 0, 0, n]);
                }
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
        port
    }

    fn asking(port: u16, hosts: &str) -> Sources {
        let (mut config, options) = own_server();
        for connection in config.name_servers.iter_mut().flat_map(|s| &mut s.connections) {
            connection.port = port;
        }
        let mut known = Hosts::default();
        known.read_hosts_conf(hosts.as_bytes()).unwrap();
        Sources { hosts: known, servers: resolver(config, options).unwrap() }
    }

    #[track_caller]
    fn check(found: &[IpAddr], want: &[&str]) {
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
    }

    /// Docker's own server says ten minutes, and a container that is made anew has another address at once. Names of
    /// swarm services carry underscores.
    #[tokio::test]
    async fn answers_are_not_kept() {
        let sources = asking(server().await, "");
        check(&sources.addresses("vm_persistence_service").await.unwrap(), &["10.0.0.1"]);
        check(&sources.addresses("vm_persistence_service").await.unwrap(), &["10.0.0.2"]);
    }

    #[tokio::test]
    async fn hosts_come_first() {
        let sources = asking(server().await, "192.0.2.7 db db.example # the database\n::1 six\n");
        check(&sources.addresses("db").await.unwrap(), &["192.0.2.7"]);
        check(&sources.addresses("DB.example").await.unwrap(), &["192.0.2.7"]);
        check(&sources.addresses("six").await.unwrap(), &["::1"]);
        check(&sources.addresses("other").await.unwrap(), &["10.0.0.1"]);
    }

    /// Where no file tells of it, as in an empty image.
    #[tokio::test]
    async fn localhost_is_known() {
        check(&asking(1, "").addresses("localhost").await.unwrap(), &["127.0.0.1", "::1"]);
    }

    #[tokio::test]
    async fn changed_files_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let files = [folder.path().join("hosts"), folder.path().join("resolv.conf")];
        let names = Names::of_files(files.clone());
        let before = names.sources().unwrap();
        assert!(Arc::ptr_eq(&before, &names.sources().unwrap()));
        for address in ["192.0.2.1", "192.0.2.22"] {
            std::fs::write(&files[0], format!("{address} here\n")).unwrap();
            let found: Vec<_> = names.resolve("here".parse().unwrap()).await.unwrap().collect();
            assert_eq!(found, [SocketAddr::new(address.parse().unwrap(), 0)]);
        }
        let before = names.sources().unwrap();
        std::fs::write(&files[1], "nameserver 127.0.0.53\n").unwrap();
        assert!(!Arc::ptr_eq(&before, &names.sources().unwrap()));
    }
}
