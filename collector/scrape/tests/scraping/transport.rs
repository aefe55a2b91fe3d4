//! What is sent, and over what.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::response::Redirect;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::harness::{Answer, World, app, job, page, report, samples, target};

fn header(target: &crate::harness::Target, name: &str) -> Option<String> {
    let seen = target.seen.lock();
    seen.last().and_then(|s| s.headers.get(name)).map(|v| v.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_request_says_what_prometheus_says() {
    let keys = "metrics_path: /probe, params: {module: [http_2xx], target: ['a b']}, scrape_timeout: 1500ms";
    let (world, target) = World::scraping(keys, vec![page("a 1\n")]).await;
    world.batch(0).await;
    assert_eq!(target.seen.lock()[0].uri, "/probe?module=http_2xx&target=a+b");
    assert_eq!(
        header(&target, "accept").unwrap(),
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,\
         text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    );
    assert_eq!(header(&target, "accept-encoding").unwrap(), "gzip");
    assert_eq!(header(&target, "user-agent").unwrap(), "Atalaia/test");
    assert_eq!(header(&target, "x-prometheus-scrape-timeout-seconds").unwrap(), "1.5");
    assert_eq!(header(&target, "authorization"), None);
}

#[tokio::test]
async fn protocols_and_compression_are_configurable() {
    let keys =
        "enable_compression: false, scrape_protocols: [PrometheusText0.0.4], http_headers: {X-Scope: {values: [t]}}";
    let (world, target) = World::scraping(keys, vec![page("a 1\n")]).await;
    world.batch(0).await;
    assert_eq!(header(&target, "accept").unwrap(), "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
    assert_eq!(header(&target, "accept-encoding").unwrap(), "identity");
    assert_eq!(header(&target, "x-scope").unwrap(), "t");
}

#[tokio::test]
async fn credentials_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "from-file\n").unwrap();
    for (keys, want) in [
        ("basic_auth: {username: u, password: p}".to_owned(), "Basic dTpw"),
        ("authorization: {credentials: secret}".to_owned(), "Bearer secret"),
        ("bearer_token: old".to_owned(), "Bearer old"),
        (format!("bearer_token_file: {}", file.display()), "Bearer from-file"),
    ] {
        let (world, target) = World::scraping(&keys, vec![page("a 1\n")]).await;
        world.batch(0).await;
        assert_eq!(header(&target, "authorization").as_deref(), Some(want), "{keys}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_fails_the_scrape_alone() {
    let (world, _target) = World::scraping("bearer_token_file: /nonexistent/token", vec![page("a 1\n")]).await;
    assert_eq!(report(&world.batch(0).await)[0], 0.0);
    let error = world.last_error().await;
    assert!(error.starts_with("cannot prepare the request: cannot read /nonexistent/token: "), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_unless_told_otherwise() {
    let home = target(vec![page("a 1\n")]).await;
    let to = format!("http://{}/metrics", home.address);
    let app = axum::Router::new().fallback(get(move || async move { Redirect::temporary(&to) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let world = World::new();
    world.apply(&[&job("", address)]);
    assert_eq!(samples(&world.batch(0).await), [r#"a{instance="i", job="j"} 1"#]);
    let world = World::new();
    world.apply(&[&job("follow_redirects: false", address)]);
    assert_eq!(report(&world.batch(0).await)[0], 0.0);
    assert_eq!(world.last_error().await, "server returned HTTP status 307 Temporary Redirect");
}

/// A server with a certificate for 127.0.0.1; gives its address and its authority's certificate in PEM.
async fn tls_target(answers: Vec<Answer>) -> (SocketAddr, String) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (app, _seen) = app(answers);
    tokio::spawn(axum::serve(Tls { listener, acceptor }, app).into_future());
    (address, authority.pem())
}

struct Tls {
    listener: tokio::net::TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, peer) = self.listener.accept().await.unwrap();
            // A client that does not trust the certificate leaves; that is what one test is about.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[tokio::test]
async fn tls_targets_are_scraped_when_their_authority_is_known() {
    let (address, ca) = tls_target(vec![page("a 1\n")]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca).unwrap();
    let keys = format!("scheme: https, tls_config: {{ca_file: {}}}", file.display());
    let world = World::new();
    world.apply(&[&job(&keys, address)]);
    assert_eq!(samples(&world.batch(0).await), [r#"a{instance="i", job="j"} 1"#]);

    let world = World::new();
    world.apply(&[&job("scheme: https", address)]);
    assert_eq!(report(&world.batch(0).await)[0], 0.0);
    let error = world.last_error().await;
    assert!(error.contains("certificate"), "{error}");
}
