//! `--web.config.file`, by real clients, beside the real node_exporter with the same files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod running;

use std::process::Command;

use provisioning_parts::{Process, Prometheus, eventually, free_port, program, prom_query};
use running::web::{Authority, Curl, PASSWORD, USERS, folder_with_certificates, replace, tls};
use running::{Agent, BINARY, command};

const CLIENT: &[&str] = &["--cert", "client.crt", "--key", "client.key"];
const STRANGER: &[&str] = &["--cert", "stranger.crt", "--key", "stranger.key"];
const ALICE: &[&str] = &["-u", "alice:abc"];

/// Both with one file, and what asks them.
struct Pair {
    folder: tempfile::TempDir,
    ours: Agent,
    theirs: Process,
    their_port: u16,
    curl: Curl,
}

impl Pair {
    fn start(config: &str) -> Self {
        let folder = folder_with_certificates();
        let file = folder.path().join("web.yml");
        std::fs::write(&file, config).unwrap();
        let flag = format!("--web.config.file={}", file.display());
        let ours = Agent::start(&[&flag, "--no-collector.container"]);
        let their_port = free_port();
        let listen = format!("--web.listen-address=127.0.0.1:{their_port}");
        let mut theirs = Process::start(program("prometheus-node-exporter"), &[&listen, &flag]);
        theirs.await_log("TLS state", |log| log.contains("TLS is").then_some(()));
        let curl = Curl(folder.path().to_owned());
        eventually(20, "node_exporter listens", || {
            std::net::TcpStream::connect(("127.0.0.1", their_port)).map_err(|error| error.to_string())
        });
        Self { folder, ours, theirs, their_port, curl }
    }

    /// Node_exporter reads the file for each handshake and each request, the agent at once when it is told to.
    fn reload(&mut self, config: &str) {
        replace(&self.folder.path().join("web.yml"), config);
        let count = |log: &str| log.lines().filter(|line| line.contains("web configuration read again")).count();
        let before = count(&self.ours.process.log());
        self.ours.process.signal(rustix::process::Signal::HUP);
        self.ours.process.await_log("reload", |log| (count(log) > before).then_some(()));
    }

    /// Checks that both answer alike, and as wanted; `None` is a session that does not come about.
    #[track_caller]
    fn check(&self, scheme: &str, args: &[&[&str]], want: Option<u16>) {
        let ours = self.ours.address.rsplit_once(':').unwrap().1.parse().unwrap();
        let ask = |port: u16| self.curl.status(&format!("{scheme}://localhost:{port}/metrics"), &args.concat());
        let (ours, theirs) = (ask(ours), ask(self.their_port));
        assert_eq!((ours.clone().ok(), theirs.clone().ok()), (want, want), "{args:?}: {ours:?} {theirs:?}");
    }
}

#[test]
fn clients_and_users_are_told_apart_as_node_exporter_does() {
    let mut pair = Pair::start(&(tls("") + USERS));
    pair.check("https", &[], Some(401));
    pair.check("https", &[ALICE], Some(200));
    pair.check("https", &[&["-u", "alice:wrong"]], Some(401));
    pair.check("https", &[&["-u", "bob:abc"]], Some(401));
    pair.check("https", &[&["-u", ":"]], Some(401));
    pair.check("https", &[&["--oauth2-bearer", "YWxpY2U6YWJj"]], Some(401));
    pair.check("https", &[ALICE, &["-X", "POST"]], Some(200));
    pair.check("http", &[ALICE], Some(400));
    for (kind, none, stranger) in [
        ("NoClientCert", true, true),
        ("RequestClientCert", true, true),
        ("RequireAnyClientCert", false, true),
        ("RequireClientCert", false, true),
        ("VerifyClientCertIfGiven", true, false),
        ("RequireAndVerifyClientCert", false, false),
    ] {
        let authority = if kind == "NoClientCert" { "" } else { ", client_ca_file: ca.crt" };
        pair.reload(&tls(&format!(", client_auth_type: {kind}{authority}")));
        let passes = |passes: bool| passes.then_some(200);
        for version in ["1.2", "1.3"] {
            let version = &["--tls-max", version][..];
            pair.check("https", &[version], passes(none));
            pair.check("https", &[version, STRANGER], passes(stranger));
            pair.check("https", &[version, CLIENT], Some(200));
        }
    }
    for (section, version, want) in [
        (", min_version: TLS13", "1.2", None),
        (", min_version: TLS13", "1.3", Some(200)),
        (", max_version: TLS12", "1.2", Some(200)),
        // What is agreed on then is 1.2.
        (", max_version: TLS12", "1.3", Some(200)),
        (", cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384], max_version: TLS12", "1.2", Some(200)),
        (", cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384], max_version: TLS12", "1.2", None),
        (", curve_preferences: [CurveP384]", "1.3", Some(200)),
    ] {
        pair.reload(&tls(section));
        pair.check("https", &[&["--tls-max", version]], want);
    }
    pair.reload(&tls(", curve_preferences: [CurveP384]"));
    pair.check("https", &[&["--curves", "X25519"]], None);
    pair.check("https", &[&["--curves", "secp384r1"]], Some(200));
    assert!(pair.theirs.exit_status().is_none());
}

#[test]
fn users_alone_are_asked_for_in_the_clear() {
    let mut pair = Pair::start(USERS);
    pair.check("http", &[], Some(401));
    pair.check("http", &[ALICE], Some(200));
    pair.check("https", &[ALICE], None);
    pair.reload("");
    pair.check("http", &[], Some(200));
}

#[test]
fn all_is_guarded_on_every_listener() {
    let folder = folder_with_certificates();
    let file = folder.path().join("web.yml");
    let headers = "http_server_config: {http2: true, headers: {X-Frame-Options: deny, X-XSS-Protection: ''}}\n";
    std::fs::write(&file, tls("") + USERS + headers).unwrap();
    let flag = format!("--web.config.file={}", file.display());
    let agent = Agent::start(&[&flag, "--web.container-listen-address=127.0.0.1:0", "--web.enable-lifecycle"]);
    let curl = Curl(folder.path().to_owned());
    for address in [&agent.address, agent.containers.as_ref().unwrap()] {
        let port = address.rsplit_once(':').unwrap().1;
        for path in ["/", "/metrics", "/healthz", "/-/ready", "/-/reload", "/info/x", "/nowhere"] {
            let url = format!("https://localhost:{port}{path}");
            let answer = curl.answer(&url, &[]).to_ascii_lowercase();
            assert!(answer.starts_with("http/1.1 401 "), "{url}: {answer}");
            assert!(answer.contains("\r\nwww-authenticate: basic\r\n"), "{url}: {answer}");
            assert!(answer.contains("\r\nx-frame-options: deny\r\n") && !answer.contains("x-xss"), "{url}: {answer}");
            assert_ne!(curl.status(&url, ALICE), Ok(401), "{url}");
        }
        assert_eq!(curl.status(&format!("https://localhost:{port}/healthz"), ALICE), Ok(200));
    }
    let port = agent.address.rsplit_once(':').unwrap().1;
    let page = curl.answer(&format!("https://localhost:{port}/metrics"), ALICE);
    assert!(page.contains("\natalaia_web_refused_total{reason=\"unauthorized\"} 14\n"), "{page}");
    assert!(page.contains("\natalaia_web_config_last_reload_successful 1\n"), "{page}");
    let log = agent.process.log();
    assert!(!log.contains("$2a$") && !log.contains(PASSWORD), "{log}");
}

#[test]
fn names_of_clients_are_checked() {
    let folder = folder_with_certificates();
    Authority::new("known by nobody").sign(folder.path(), "named", &["other.example", "10.1.2.3"]);
    let file = folder.path().join("web.yml");
    let config = ", client_auth_type: RequireAnyClientCert, client_allowed_sans: [scraper.example, 10.1.2.3]";
    std::fs::write(&file, tls(config)).unwrap();
    let agent = Agent::start(&[&format!("--web.config.file={}", file.display())]);
    let url = format!("https://localhost:{}/healthz", agent.address.rsplit_once(':').unwrap().1);
    let curl = Curl(folder.path().to_owned());
    assert!(curl.status(&url, &[]).is_err());
    assert_eq!(curl.status(&url, CLIENT), Ok(200));
    assert_eq!(curl.status(&url, &["--cert", "named.crt", "--key", "named.key"]), Ok(200));
    assert!(curl.status(&url, &["--cert", "server.crt", "--key", "server.key"]).is_err());
}

#[test]
fn openssl_sees_what_is_offered() {
    let folder = folder_with_certificates();
    let file = folder.path().join("web.yml");
    std::fs::write(&file, tls(", client_auth_type: RequestClientCert")).unwrap();
    let agent = Agent::start(&[&format!("--web.config.file={}", file.display())]);
    let see = |args: &[&str]| {
        let fixed = ["s_client", "-connect", &agent.address, "-CAfile", "ca.crt", "-servername", "localhost"];
        let mut openssl = Command::new(program("openssl"));
        let output = openssl.args(fixed).args(args).current_dir(folder.path()).stdin(std::process::Stdio::null());
        let output = output.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let seen = see(&["-alpn", "h2,http/1.1"]);
    for want in ["Verify return code: 0 (ok)", "ALPN protocol: http/1.1", "TLSv1.3", "Requested Signature Algorithms"] {
        assert!(seen.contains(want), "{want}: {seen}");
    }
    let old = see(&["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    assert!(old.contains(":error:") && old.contains("Cipher is (NONE)"), "{old}");
}

#[test]
fn more_requests_than_the_rate_are_sent_away() {
    let folder = folder_with_certificates();
    let file = folder.path().join("web.yml");
    std::fs::write(&file, "rate_limit: {interval: 1h, burst: 2}\n").unwrap();
    let agent = Agent::start(&[&format!("--web.config.file={}", file.display())]);
    assert_eq!([(); 3].map(|()| agent.get("/healthz").status), [200, 200, 429]);
    let flags = [&format!("--web.listen-address={}", agent.address), &format!("--web.config.file={}", file.display())];
    let health = command(&["health", flags[0], flags[1]]).output().unwrap();
    assert!(health.status.success(), "{}", String::from_utf8_lossy(&health.stderr));
}

#[test]
fn the_health_check_needs_no_user_and_no_key() {
    for (section, versions) in [
        (tls("") + USERS, ""),
        (tls(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt") + USERS, "1.3"),
        (tls(", client_auth_type: RequireAnyClientCert, max_version: TLS12"), "1.2"),
        (USERS.to_owned(), ""),
    ] {
        let folder = folder_with_certificates();
        let file = folder.path().join("web.yml");
        std::fs::write(&file, &section).unwrap();
        let config = format!("--web.config.file={}", file.display());
        let mut agent = Agent::start(&[&config]);
        let address = format!("--web.listen-address={}", agent.address);
        let ask = || command(&["health", &address, &config]).output().unwrap();
        let output = ask();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{versions} {section}: {said}");
        agent.process.terminate();
        assert!(!ask().status.success(), "{section}");
    }
}

#[test]
fn a_real_prometheus_scrapes_what_is_guarded() {
    let folder = folder_with_certificates();
    let file = folder.path().join("web.yml");
    let config = tls(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt") + USERS;
    std::fs::write(&file, config).unwrap();
    let agent = Agent::start(&[&format!("--web.config.file={}", file.display())]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let prometheus = Prometheus::start(
        &format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: node\n  scheme: https\n  \
             basic_auth: {{username: alice, password: {PASSWORD}}}\n  \
             tls_config: {{ca_file: {}, cert_file: {}, key_file: {}, server_name: localhost}}\n  \
             static_configs: [{{targets: ['{}']}}]\n",
            path("ca.crt"),
            path("client.crt"),
            path("client.key"),
            agent.address,
        ),
        &[],
    );
    eventually(20, "the page is scraped twice", || {
        let rows = prom_query(&prometheus.address, "count_over_time(up[1m]) >= 2 and up == 1")?;
        if rows.len() == 1 { Ok(()) } else { Err(format!("{rows:?} {:?}", prometheus.troubles())) }
    });
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start() {
    let folder = folder_with_certificates();
    let file = folder.path().join("web.yml");
    std::fs::write(folder.path().join("broken.crt"), "nothing of the kind").unwrap();
    for (config, want) in [
        (tls(", min_version: TLS10"), "web.yml:1: tls_server_config.min_version: TLS10: "),
        (tls(", cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]"), "\\\"TLS_RSA_WITH_AES_128_CBC_SHA\\\" is too weak"),
        ("tls_server_config: {cert_file: server.crt}".to_owned(), "TLS needs a private key: set key_file"),
        ("tls_server_config: {cert_file: broken.crt, key_file: server.key}".to_owned(), "holds no certificate in PEM"),
        ("tls_server_config: {cert_file: client.crt, key_file: server.key}".to_owned(), "certificate and key cannot"),
        ("tls_server_config: {cert_file: absent.crt, key_file: server.key}".to_owned(), "absent.crt: No such file"),
        (tls(", client_ca_file: ca.crt"), "web.yml: tls_server_config.client_auth_type: there are authorities"),
        ("basic_auth_users: {alice: topsecret}".to_owned(), "web.yml:1: basic_auth_users.alice: not a bcrypt hash"),
        ("basic_auth_users: topsecret".to_owned(), "web.yml:1: basic_auth_users: invalid type: text, expected names"),
        (
            "tls_server_config: {key: [topsecret]}".to_owned(),
            "web.yml:1: tls_server_config.key: invalid type: sequence",
        ),
        ("rate_limit: {interval: 1s}".to_owned(), "rate_limit.burst: 0 would refuse every request"),
        ("\nbasic_auth_user: {}".to_owned(), "web.yml:2: unknown field `basic_auth_user`"),
    ] {
        std::fs::write(&file, &config).unwrap();
        let flags = [&format!("--web.config.file={}", file.display()), "--web.listen-address=127.0.0.1:0"];
        let output = Command::new(BINARY).args(flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{config}: {said}");
        assert!(said.contains(want) && said.lines().count() == 1, "{config}: {said}");
        assert!(!said.contains("topsecret"), "{config}: {said}");
    }
}
