//! The client against real servers: what arrives there, and what must not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::any;
use collector_http::{Authorization, BasicAuth, ClientConfig, HeaderConfig, HttpClient, Secret, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;

/// What a server saw: path and headers of each request.
type Seen = Arc<Mutex<Vec<(String, HeaderMap)>>>;

/// A server that notes each request and answers `/to?URL` with a redirect there.
async fn server() -> (SocketAddr, Seen) {
    async fn answer(State(seen): State<Seen>, request: Request) -> impl IntoResponse {
        seen.lock().unwrap().push((request.uri().path().to_owned(), request.headers().clone()));
        match request.uri().query() {
            Some(to) => (StatusCode::FOUND, [("location", to.to_owned())]),
            None => (StatusCode::OK, [("location", String::new())]),
        }
    }
    let seen = Seen::default();
    let app = Router::new().fallback(any(answer)).with_state(Arc::clone(&seen));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, seen)
}

fn basic(password: &str) -> ClientConfig {
    let basic = BasicAuth { username: "me".to_owned(), password: Some(Secret::new(password)), ..BasicAuth::default() };
    ClientConfig { basic_auth: Some(basic), ..ClientConfig::default() }
}

async fn get(config: &ClientConfig, url: &str) -> Result<StatusCode, String> {
    let client = HttpClient::build(config, "atalaia/test").unwrap();
    let request = client.get(url).unwrap().timeout(Duration::from_secs(10));
    match request.send().await {
        Ok(response) => Ok(response.status()),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            Err(text)
        }
    }
}

fn last(seen: &Seen, header: &str) -> Option<String> {
    let seen = seen.lock().unwrap();
    seen.last().unwrap().1.get(header).map(|v| v.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn sends_basic_auth_user_agent_and_headers() {
    let (address, seen) = server().await;
    let mut config = basic("secret");
    let header = HeaderConfig { values: vec!["a".to_owned()], secrets: vec![Secret::new("b")], files: vec![] };
    config.http_headers.insert("X-Scope".to_owned(), header);
    assert_eq!(get(&config, &format!("http://{address}/")).await.unwrap(), 200);
    assert_eq!(last(&seen, "authorization").unwrap(), "Basic bWU6c2VjcmV0");
    assert_eq!(last(&seen, "user-agent").unwrap(), "atalaia/test");
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].1.get_all("x-scope").iter().collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn reads_a_rotated_secret_with_the_next_request() {
    let (address, seen) = server().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "one\n").unwrap();
    let authorization = Authorization { credentials_file: Some(file.clone()), ..Authorization::default() };
    let config = ClientConfig { authorization: Some(authorization), ..ClientConfig::default() };
    let client = HttpClient::build(&config, "atalaia/test").unwrap();
    let url = format!("http://{address}/");
    client.get(&url).unwrap().send().await.unwrap();
    assert_eq!(last(&seen, "authorization").unwrap(), "Bearer one");
    std::fs::write(&file, "two").unwrap();
    client.get(&url).unwrap().send().await.unwrap();
    assert_eq!(last(&seen, "authorization").unwrap(), "Bearer two");
    std::fs::remove_file(&file).unwrap();
    let error = client.get(&url).unwrap_err().to_string();
    assert_eq!(error, format!("cannot read {}", file.display()));
}

#[tokio::test]
async fn follows_redirects_with_credentials_at_home_only() {
    let (home, at_home) = server().await;
    let (away, at_away) = server().await;
    let config = basic("secret");
    assert_eq!(get(&config, &format!("http://{home}/?/next")).await.unwrap(), 200);
    assert_eq!(at_home.lock().unwrap().last().unwrap().0, "/next");
    assert!(last(&at_home, "authorization").is_some());

    assert_eq!(get(&config, &format!("http://{home}/?http://{away}/there")).await.unwrap(), 200);
    assert_eq!(at_away.lock().unwrap().last().unwrap().0, "/there");
    assert_eq!(last(&at_away, "authorization"), None);
}

#[tokio::test]
async fn another_host_cannot_call_for_credentials_by_redirecting_on() {
    let (home, _) = server().await;
    let (away, at_away) = server().await;
    let error = get(&basic("secret"), &format!("http://{home}/?http://{away}/1?/2")).await.unwrap_err();
    assert!(error.contains("redirected on by another host"), "{error}");
    assert!(at_away.lock().unwrap().iter().all(|(_, headers)| !headers.contains_key("authorization")));

    let url = format!("http://user:pass@{home}/?http://{away}/1?/2");
    assert!(get(&ClientConfig::default(), &url).await.is_err());
    assert!(at_away.lock().unwrap().iter().all(|(_, headers)| !headers.contains_key("authorization")));

    // Nothing to protect, nothing refused.
    assert_eq!(get(&ClientConfig::default(), &format!("http://{home}/?http://{away}/1?/2")).await.unwrap(), 200);
}

#[tokio::test]
async fn configured_headers_do_not_leave_their_host() {
    let (home, _) = server().await;
    let (away, at_away) = server().await;
    let mut config = ClientConfig::default();
    let header = HeaderConfig { secrets: vec![Secret::new("key")], ..HeaderConfig::default() };
    config.http_headers.insert("X-Api-Key".to_owned(), header);
    let error = get(&config, &format!("http://{home}/?http://{away}/")).await.unwrap_err();
    assert!(error.contains("where http_headers must not go"), "{error}");
    assert!(at_away.lock().unwrap().is_empty());
}

#[tokio::test]
async fn stays_where_it_is_when_told_to_and_gives_up_on_a_loop() {
    let (home, seen) = server().await;
    let config = ClientConfig { follow_redirects: false, ..ClientConfig::default() };
    assert_eq!(get(&config, &format!("http://{home}/?/next")).await.unwrap(), 302);
    assert_eq!(seen.lock().unwrap().len(), 1);

    // The server echoes the query as the new place, which has a query again for as long as it nests.
    let nested = format!("http://{home}/{}", "?/".repeat(30));
    let error = get(&ClientConfig::default(), &nested).await.unwrap_err();
    assert!(error.contains("too many redirects"), "{error}");
}

#[tokio::test]
async fn a_client_for_posts_never_turns_one_into_a_get() {
    let (home, seen) = server().await;
    let client = HttpClient::build_for_posts(&ClientConfig::default(), "atalaia/test").unwrap();
    let answer = client.post(format!("http://{home}/?/next")).unwrap().body("precious").send().await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn goes_through_a_proxy_except_where_told_not_to() {
    let (proxy, at_proxy) = server().await;
    let (home, at_home) = server().await;
    let config = ClientConfig {
        proxy_url: Some(format!("http://u:p@{proxy}")),
        no_proxy: Some("127.0.0.1".to_owned()),
        ..ClientConfig::default()
    };
    assert_eq!(get(&config, "http://metrics.invalid/page").await.unwrap(), 200);
    assert_eq!(last(&at_proxy, "host").unwrap(), "metrics.invalid");
    assert_eq!(last(&at_proxy, "proxy-authorization").unwrap(), "Basic dTpw");
    assert_eq!(get(&config, &format!("http://{home}/")).await.unwrap(), 200);
    assert_eq!(at_home.lock().unwrap().len(), 1);
}

/// A certificate authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for a name and its key, in PEM.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

fn server_tls(authority: &Authority, name: &str, clients: bool) -> rustls::ServerConfig {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig, crypto};

    let provider = Arc::new(crypto::ring::default_provider());
    let (certificate, key) = authority.sign(name);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        true => builder.with_client_cert_verifier(verifier.build().unwrap()),
        false => builder.with_no_client_auth(),
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
}

/// A TLS server that answers every connection with one empty 200.
async fn tls_server(config: rustls::ServerConfig) -> SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut request = [0; 4096];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut request).await? == request.len() {}
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
                stream.shutdown().await
            });
        }
    });
    address
}

fn tls(tls: TlsConfig) -> ClientConfig {
    ClientConfig { tls_config: Some(tls), ..ClientConfig::default() }
}

#[tokio::test]
async fn trusts_the_named_authority_only() {
    let authority = Authority::new();
    let url = format!("https://{}/", tls_server(server_tls(&authority, "127.0.0.1", false)).await);
    let named = TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() };
    assert_eq!(get(&tls(named), &url).await.unwrap(), 200);
    let other = TlsConfig { ca: Some(Authority::new().pem()), ..TlsConfig::default() };
    let error = get(&tls(other), &url).await.unwrap_err();
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert!(get(&ClientConfig::default(), &url).await.is_err());
    let blind = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    assert_eq!(get(&tls(blind), &url).await.unwrap(), 200);
}

#[tokio::test]
async fn checks_the_configured_server_name() {
    let authority = Authority::new();
    let url = format!("https://{}/", tls_server(server_tls(&authority, "metrics.example", false)).await);
    let named = TlsConfig { ca: Some(authority.pem()), ..TlsConfig::default() };
    assert!(get(&tls(named.clone()), &url).await.is_err());
    let named = TlsConfig { server_name: Some("metrics.example".to_owned()), ..named };
    assert_eq!(get(&tls(named), &url).await.unwrap(), 200);
}

#[tokio::test]
async fn shows_a_client_certificate_and_reads_it_again_when_replaced() {
    let authority = Authority::new();
    let url = format!("https://{}/", tls_server(server_tls(&authority, "127.0.0.1", true)).await);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let write = |(certificate, key): (String, String), seconds: u64| {
        let stamp = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (file, text) in [("cert.pem", certificate), ("key.pem", key)] {
            std::fs::write(path(file), text).unwrap();
            std::fs::File::options().write(true).open(path(file)).unwrap().set_modified(stamp).unwrap();
        }
    };
    write(Authority::new().sign("client"), 1);
    let config = tls(TlsConfig {
        ca: Some(authority.pem()),
        cert_file: Some(path("cert.pem")),
        key_file: Some(path("key.pem")),
        ..TlsConfig::default()
    });
    let client = HttpClient::build(&config, "atalaia/test").unwrap();
    assert!(client.get(&url).unwrap().send().await.is_err(), "a stranger's certificate");
    write(authority.sign("client"), 2);
    assert_eq!(client.get(&url).unwrap().send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn speaks_only_the_configured_versions() {
    let authority = Authority::new();
    let url = format!("https://{}/", tls_server(server_tls(&authority, "127.0.0.1", false)).await);
    for (min, max) in [("TLS12", "TLS12"), ("TLS13", "TLS13"), ("TLS10", "TLS13")] {
        let config = tls(TlsConfig {
            ca: Some(authority.pem()),
            min_version: Some(min.to_owned()),
            max_version: Some(max.to_owned()),
            ..TlsConfig::default()
        });
        assert_eq!(get(&config, &url).await.unwrap(), 200, "{min} to {max}");
    }
}

#[track_caller]
fn refused(config: TlsConfig, want: &str) {
    let error = HttpClient::build(&tls(config), "atalaia/test").unwrap_err();
    assert_eq!(error.to_string(), want);
}

#[test]
fn says_which_tls_file_is_at_fault() {
    let missing = Path::new("/nonexistent/ca.pem");
    refused(TlsConfig { ca_file: Some(missing.to_owned()), ..TlsConfig::default() }, "cannot read /nonexistent/ca.pem");
    refused(TlsConfig { ca: Some("x".to_owned()), ..TlsConfig::default() }, "no certificate in PEM form in ca");
    let (certificate, _) = Authority::new().sign("a");
    let config = TlsConfig { cert: Some(certificate), key: Some(Secret::new("x")), ..TlsConfig::default() };
    refused(config, "no private key in PEM form in key");
}

#[tokio::test]
async fn a_socket_is_where_everything_goes() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let app = Router::new().route("/to", any(|| async { (StatusCode::FOUND, [("location", "http://elsewhere/")]) }));
    let app = app.fallback(any(|headers: HeaderMap| async move { headers["user-agent"].as_bytes().to_vec() }));
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let client = HttpClient::build_over_socket(&socket, "atalaia/test").unwrap();
    let send = |url| client.get(url).unwrap().timeout(Duration::from_secs(10)).send();
    assert_eq!(send("http://no.such.host/any").await.unwrap().text().await.unwrap(), "atalaia/test");
    assert_eq!(send("http://no.such.host/to").await.unwrap().status(), StatusCode::FOUND);
}
