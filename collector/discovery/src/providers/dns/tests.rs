//! Name servers of a test's own, and what is made of their answers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

use super::lookup::Servers;
use super::{Dns, DnsConfig};
use crate::refresh::Source;
use crate::{DiscoveryError, Metrics, meta};

/// What a server does with a question.
enum Reply {
    Records(Vec<RData>),
    Code(ResponseCode),
    Silence,
}

/// The names that a server was asked for.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server on a port of this machine.
async fn server(reply: fn(&str) -> Reply) -> (NameServerConfig, Asked) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut config = NameServerConfig::udp_and_tcp(IpAddr::V4(Ipv4Addr::LOCALHOST));
    config.connections.iter_mut().for_each(|c| c.port = socket.local_addr().unwrap().port());
    let asked = Asked::default();
    let names = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let query = question.queries[0].clone();
            let name = query.name.to_ascii();
            names.lock().unwrap().push(name.clone());
            let mut answer = Message::response(question.id, OpCode::Query);
            match reply(&name) {
                Reply::Records(records) => {
                    let record = |data| Record::from_rdata(query.name.clone(), 60, data);
                    answer.add_answers(records.into_iter().map(record));
                }
                Reply::Code(code) => answer.metadata.response_code = code,
                Reply::Silence => continue,
            }
            answer.add_query(query);
            socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
    });
    (config, asked)
}

fn servers(servers: Vec<NameServerConfig>, search: &[&str]) -> Servers {
    let search = search.iter().map(|domain| Name::from_ascii(domain).unwrap()).collect();
    let mut options = ResolverOpts::default();
    (options.timeout, options.attempts) = (Duration::from_millis(200), 1);
    Servers::of(&ResolverConfig::from_parts(None, search, servers), options).unwrap()
}

fn dns(record: RecordType) -> Dns {
    let config =
        DnsConfig { names: vec!["x".to_owned()], record, port: 9100, refresh_interval: Duration::from_secs(30) };
    Dns { config, metrics: Metrics::default(), resolv_conf: "/no/such/file".into() }
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// All that the servers of these tests know.
fn known(asked: &str) -> Reply {
    let v4 = |last| RData::A(A(Ipv4Addr::new(10, 0, 0, last)));
    Reply::Records(match asked {
        "tasks.web_app." => vec![v4(1), v4(2)],
        "alias.example." => vec![RData::CNAME(CNAME(name("real.example."))), v4(3)],
        "six.example." => vec![RData::AAAA(AAAA("fd00::1".parse().unwrap()))],
        "_http._tcp.example." => {
            vec![
                RData::SRV(SRV::new(1, 1, 8080, name("a.example."))),
                RData::SRV(SRV::new(1, 1, 8081, name("b.example."))),
            ]
        }
        "mail.example." => vec![RData::MX(MX::new(10, name("mx.example.")))],
        "zone.example." => vec![RData::NS(NS(name("ns.example.")))],
        "db.corp.example." => vec![v4(4)],
        "nothing.example." => Vec::new(),
        "broken.example." | "broken.corp.example." => return Reply::Code(ResponseCode::ServFail),
        _ => return Reply::Code(ResponseCode::NXDomain),
    })
}

#[tokio::test]
async fn each_kind_of_record_is_a_target() {
    let servers = servers(vec![server(known).await.0], &[]);
    for (record, asked, want) in [
        (
            RecordType::A,
            "tasks.web_app",
            &[r#"10.0.0.1:9100{name="tasks.web_app"}"#, r#"10.0.0.2:9100{name="tasks.web_app"}"#][..],
        ),
        (RecordType::A, "alias.example", &[r#"10.0.0.3:9100{name="alias.example"}"#]),
        (RecordType::AAAA, "six.example", &[r#"[fd00::1]:9100{name="six.example"}"#]),
        (
            RecordType::SRV,
            "_http._tcp.example",
            &[
                r#"a.example:8080{name="_http._tcp.example", srv_record_target="a.example.", srv_record_port="8080"}"#,
                r#"b.example:8081{name="_http._tcp.example", srv_record_target="b.example.", srv_record_port="8081"}"#,
            ],
        ),
        (RecordType::MX, "mail.example", &[r#"mx.example:9100{name="mail.example", mx_record_target="mx.example."}"#]),
        (RecordType::NS, "zone.example", &[r#"ns.example:9100{name="zone.example", ns_record_target="ns.example."}"#]),
        // A name without such records, and one that does not exist: known to be nothing.
        (RecordType::A, "nothing.example", &[]),
        (RecordType::A, "nobody.example", &[]),
    ] {
        let dns = dns(record);
        let group = dns.group(asked, &servers).await.unwrap();
        assert_eq!(group.source, asked);
        meta::check(&group.targets, "__meta_dns_", &want.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!((dns.metrics.dns_lookups.get(), dns.metrics.dns_lookup_failures.get()), (1, 0));
    }
}

#[tokio::test]
async fn a_short_name_is_looked_for_in_the_search_domains() {
    for (asked, want) in [
        ("db", &["db.lab.example.", "db.corp.example."][..]),
        // With a dot in it a name may be whole.
        ("db.corp", &["db.corp.", "db.corp.lab.example.", "db.corp.corp.example."]),
        ("db.", &["db."]),
    ] {
        let (config, seen) = server(known).await;
        let servers = servers(vec![config], &["lab.example", "corp.example."]);
        servers.lookup(asked, RecordType::A).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), want, "{asked}");
    }
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_has_no_answer() {
    let (good, _) = server(known).await;
    for bad in [
        server(|_| Reply::Silence).await.0,
        server(|_| Reply::Code(ResponseCode::Refused)).await.0,
        server(|_| Reply::Code(ResponseCode::ServFail)).await.0,
    ] {
        let servers = servers(vec![bad, good.clone()], &[]);
        assert_eq!(servers.lookup("tasks.web_app", RecordType::A).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn what_nobody_knows_is_not_nothing() {
    let servers = servers(vec![server(known).await.0], &["corp.example"]);
    let dns = dns(RecordType::A);
    // The first question fails, and that the second name does not exist says nothing of it.
    for asked in ["broken.example", "broken"] {
        let error = dns.group(asked, &servers).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot look up {asked}"));
    }
    assert_eq!((dns.metrics.dns_lookups.get(), dns.metrics.dns_lookup_failures.get()), (2, 2));
}

#[tokio::test]
async fn a_missing_resolv_conf_is_named() {
    let read = dns(RecordType::A).groups().await;
    assert!(matches!(&read[..], [Err(DiscoveryError::Read { path, .. })] if path.ends_with("file")), "{read:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resolv.conf");
    std::fs::write(&file, "search example\n").unwrap();
    let mut dns = dns(RecordType::A);
    dns.resolv_conf = file;
    let read = dns.groups().await;
    assert!(matches!(&read[..], [Err(DiscoveryError::NameServers { .. })]), "{read:?}");
}
