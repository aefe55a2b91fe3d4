//! `dns_sd_configs`: the addresses, services, mail or name servers that the domain name system lists under a name.

mod lookup;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use collector_model::{Labels, PromDuration};
use futures_util::future::join_all;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use serde::Deserialize;
use tokio::time::timeout;

use self::lookup::Servers;
use crate::meta::target;
use crate::refresh::{Polling, Source};
use crate::{Context, DiscoveryConfig, DiscoveryError, Metrics, Provider, ProviderConfig, Spec, TargetGroup};

pub(crate) const SPEC: Spec = Spec {
    name: "dns",
    key: "dns_sd_configs",
    parse: |list| {
        let configs = Option::<Vec<DnsConfig>>::deserialize(list)?.unwrap_or_default();
        Ok(configs.into_iter().map(DiscoveryConfig::new).collect())
    },
};

/// All servers and all names that a name may be short for are asked within this time, so that a name which nobody
/// answers for costs no other its targets.
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Keys")]
struct DnsConfig {
    names: Vec<String>,
    record: RecordType,
    /// The port of targets whose record tells none.
    port: u32,
    refresh_interval: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    names: Vec<String>,
    r#type: String,
    port: u16,
    refresh_interval: PromDuration,
}

impl Default for Keys {
    fn default() -> Self {
        Self { names: Vec::new(), r#type: "SRV".to_owned(), port: 0, refresh_interval: PromDuration::from_secs(30) }
    }
}

impl TryFrom<Keys> for DnsConfig {
    type Error = DiscoveryError;

    fn try_from(keys: Keys) -> Result<Self, DiscoveryError> {
        let record = match keys.r#type.to_ascii_uppercase().as_str() {
            "SRV" => RecordType::SRV,
            "A" => RecordType::A,
            "AAAA" => RecordType::AAAA,
            "MX" => RecordType::MX,
            "NS" => RecordType::NS,
            _ => return Err(DiscoveryError::RecordType(keys.r#type)),
        };
        if keys.names.is_empty() {
            return Err(DiscoveryError::Missing("names"));
        }
        if let Some(name) = keys.names.iter().find(|name| name.is_empty() || Name::from_ascii(name).is_err()) {
            return Err(DiscoveryError::DomainName(name.clone()));
        }
        if keys.port == 0 && record != RecordType::SRV {
            return Err(DiscoveryError::NoPort(record.to_string()));
        }
        if keys.refresh_interval.0.is_zero() {
            return Err(DiscoveryError::ZeroInterval("refresh_interval"));
        }
        let (port, refresh_interval) = (keys.port.into(), keys.refresh_interval.0);
        Ok(Self { names: keys.names, record, port, refresh_interval })
    }
}

impl ProviderConfig for DnsConfig {
    fn name(&self) -> &'static str {
        SPEC.name
    }

    fn build(&self, context: &Context) -> Result<Box<dyn Provider>, DiscoveryError> {
        Ok(Box::new(Polling {
            mechanism: SPEC.name,
            peer: self.names.join(", "),
            source: Dns {
                config: self.clone(),
                metrics: context.metrics.clone(),
                resolv_conf: "/etc/resolv.conf".into(),
            },
            interval: self.refresh_interval,
            metrics: context.metrics.clone(),
        }))
    }
}

struct Dns {
    config: DnsConfig,
    metrics: Metrics,
    resolv_conf: PathBuf,
}

impl Source for Dns {
    async fn groups(&self) -> Vec<Result<TargetGroup, DiscoveryError>> {
        // Read anew each time: the servers of a machine change with its network.
        match Servers::of_file(&self.resolv_conf) {
            Ok(servers) => join_all(self.config.names.iter().map(|name| self.group(name, &servers))).await,
            Err(error) => vec![Err(error)],
        }
    }
}

impl Dns {
    async fn group(&self, name: &str, servers: &Servers) -> Result<TargetGroup, DiscoveryError> {
        let records = timeout(DEADLINE, servers.lookup(name, self.config.record)).await;
        let late = || Err(DiscoveryError::Lookup { name: name.to_owned(), source: Box::new(NetError::Timeout) });
        self.metrics.dns_lookups.inc();
        match records.unwrap_or_else(|_| late()) {
            Ok(records) => {
                let targets = records.iter().filter_map(|record| of_record(name, record, self.config.port)).collect();
                Ok(TargetGroup { source: name.to_owned(), targets, labels: Labels::empty() })
            }
            Err(error) => {
                self.metrics.dns_lookup_failures.inc();
                Err(error)
            }
        }
    }
}

/// The target that a record names; none for a record of another kind, such as an alias on the way.
fn of_record(name: &str, record: &RData, port: u32) -> Option<Labels> {
    let (host, port, told) = match record {
        RData::A(address) => (address.to_string(), port, Vec::new()),
        RData::AAAA(address) => (address.to_string(), port, Vec::new()),
        RData::SRV(service) => {
            let told =
                vec![("srv_record_target", service.target.to_ascii()), ("srv_record_port", service.port.to_string())];
            (service.target.to_ascii(), service.port.into(), told)
        }
        RData::MX(mail) => (mail.exchange.to_ascii(), port, vec![("mx_record_target", mail.exchange.to_ascii())]),
        RData::NS(server) => (server.0.to_ascii(), port, vec![("ns_record_target", server.0.to_ascii())]),
        _ => return None,
    };
    let told = [("name", name.to_owned())].into_iter().chain(told);
    let labels: Vec<_> = told.map(|(name, value)| (format!("__meta_dns_{name}"), value)).collect();
    // Without the dot of the root, which nobody writes in an address.
    Some(target(host.trim_end_matches('.'), port, &[&labels]))
}
