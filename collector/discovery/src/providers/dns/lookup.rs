//! Questions to name servers, with answers that can be trusted to be all there is.
//!
//! The resolver's own way through servers and search domains takes the last answer for the answer: with one server that
//! failed before, nobody could tell "there are no records" from "nobody knows".

use std::path::Path;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;

use crate::DiscoveryError;

/// The name servers of a `resolv.conf`, each with a resolver of its own, and its search list.
pub(super) struct Servers {
    servers: Vec<TokioResolver>,
    search: Vec<Name>,
    ndots: usize,
}

/// What a server says of a name.
enum Answer {
    /// These are its records, if any.
    Records(Vec<RData>),
    /// There is no such name.
    NoName,
}

impl Servers {
    pub(super) fn of_file(path: &Path) -> Result<Self, DiscoveryError> {
        let text = std::fs::read(path).map_err(|source| DiscoveryError::Read { path: path.to_owned(), source })?;
        let (config, options) = parse_resolv_conf(text)
            .map_err(|source| DiscoveryError::NameServers { path: path.to_owned(), reason: source.to_string() })?;
        Self::of(&config, options)
    }

    pub(super) fn of(config: &ResolverConfig, mut options: ResolverOpts) -> Result<Self, DiscoveryError> {
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        // Many records do not fit into the answer of a server that is not told that a longer one is welcome.
        options.edns0 = true;
        let servers: Result<Vec<_>, _> = config.name_servers.iter().map(|server| resolver(server, &options)).collect();
        let servers =
            servers.map_err(|source| DiscoveryError::Lookup { name: ".".to_owned(), source: Box::new(source) })?;
        Ok(Self { servers, search: config.search.clone(), ndots: options.ndots })
    }

    /// The records of a name. None at all when every server that was asked for every name that it may be short for
    /// knows of none; an error when one of these questions got no answer and the others found nothing.
    pub(super) async fn lookup(&self, name: &str, record: RecordType) -> Result<Vec<RData>, DiscoveryError> {
        let failed = |source| DiscoveryError::Lookup { name: name.to_owned(), source: Box::new(source) };
        let mut failure = None;
        for full in self.full_names(Name::from_ascii(name).map_err(|error| failed(error.into()))?) {
            match self.ask(&full, record).await {
                Ok(Answer::Records(records)) => return Ok(records),
                Ok(Answer::NoName) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(Vec::new()), |error| Err(failed(error)))
    }

    /// What a name may be short for, in the order of asking: one with many dots is tried as it is first.
    fn full_names(&self, name: Name) -> Vec<Name> {
        let mut whole = name.clone();
        whole.set_fqdn(true);
        if name.is_fqdn() {
            return vec![whole];
        }
        let mut names: Vec<Name> =
            self.search.iter().filter_map(|domain| name.clone().append_domain(domain).ok()).collect();
        for full in &mut names {
            full.set_fqdn(true);
        }
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        names.insert(if dots >= self.ndots { 0 } else { names.len() }, whole);
        names
    }

    /// The first answer that a server gives; an error where none does.
    async fn ask(&self, name: &Name, record: RecordType) -> Result<Answer, NetError> {
        let mut failure = NetError::NoConnections;
        for server in &self.servers {
            match server.lookup(name.clone(), record).await {
                Ok(found) => {
                    let records = found.answers().iter().map(|answer| answer.data.clone());
                    return Ok(Answer::Records(records.collect()));
                }
                Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
                    ResponseCode::NoError => return Ok(Answer::Records(Vec::new())),
                    ResponseCode::NXDomain => return Ok(Answer::NoName),
                    _ => failure = NetError::Dns(DnsError::NoRecordsFound(none)),
                },
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

fn resolver(server: &NameServerConfig, options: &ResolverOpts) -> Result<TokioResolver, NetError> {
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server.clone()]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options.clone()).build()
}
