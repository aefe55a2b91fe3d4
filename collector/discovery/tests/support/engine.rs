//! An engine that answers what a test wants, over a Unix socket, HTTP or HTTPS.

use std::collections::HashMap;
use std::future::pending;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use futures_util::stream::{self, StreamExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::broadcast;

/// What an engine gives for a path.
#[derive(Clone)]
pub enum Answer {
    /// A list, or whatever else with status 200.
    Text(String),
    /// A refusal in the engine's form.
    Refusal(u16, &'static str),
    /// Spaces without end.
    Endless,
    /// The beginning of a list, and then the end of the connection.
    BreaksOff,
    /// Nothing, ever.
    Silence,
}

/// What a request looked like.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub filters: Option<serde_json::Value>,
    pub headers: HeaderMap,
}

/// The engine; it ends with the test's runtime.
#[derive(Clone)]
pub struct Engine {
    state: Arc<Mutex<Answers>>,
    events: broadcast::Sender<()>,
}

struct Answers {
    version: Option<&'static str>,
    answers: HashMap<String, Answer>,
    asked: Vec<Asked>,
}

impl Engine {
    fn new() -> Self {
        let answers = Answers { version: Some("1.41"), answers: HashMap::new(), asked: Vec::new() };
        Self { state: Arc::new(Mutex::new(answers)), events: broadcast::Sender::new(1024) }
    }

    /// One on a socket in a folder, and the folder's keeper.
    pub fn on_socket() -> (Self, PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let engine = Self::new();
        engine.serve(UnixListener::bind(&path).unwrap());
        (engine, path, folder)
    }

    /// One on a port of this machine.
    pub async fn on_port() -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let engine = Self::new();
        engine.serve(listener);
        (engine, port)
    }

    /// One behind TLS, for the name `localhost`, and its certificate.
    pub async fn behind_tls() -> (Self, u16, String) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let engine = Self::new();
        engine.serve(Tls { listener, acceptor: Arc::new(config).into() });
        (engine, port, cert.pem())
    }

    fn serve<L: Listener>(&self, listener: L)
    where
        L::Addr: std::fmt::Debug,
    {
        let app = axum::Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
    }

    /// What it says its version is, if anything.
    pub fn version(&self, version: Option<&'static str>) {
        self.state.lock().unwrap().version = version;
    }

    /// Sets the answer for a path without its version.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.state.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    /// Sets the list for a path without its version.
    pub fn list(&self, path: &str, list: &str) {
        self.answer(path, Answer::Text(list.to_owned()));
    }

    /// Tells of an event.
    pub fn event(&self) {
        let _ = self.events.send(());
    }

    /// How many follow its events.
    pub fn listeners(&self) -> usize {
        self.events.receiver_count()
    }

    /// What it was asked, but for its version and its events.
    pub fn asked(&self) -> Vec<Asked> {
        let all = self.state.lock().unwrap().asked.clone();
        all.into_iter().filter(|asked| !asked.path.ends_with("/_ping") && !asked.path.ends_with("/events")).collect()
    }

    /// The paths of that, in order.
    pub fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }
}

async fn answer(State(engine): State<Engine>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let filters = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "filters");
    let path = request.uri().path().to_owned();
    let (answer, version) = {
        let mut state = engine.state.lock().unwrap();
        let filters = filters.map(|(_, value)| serde_json::from_str(&value).unwrap());
        state.asked.push(Asked { path: path.clone(), filters, headers: request.headers().clone() });
        let version = state.version;
        let prefix = version.map(|version| format!("/v{version}")).unwrap_or_default();
        (state.answers.get(path.strip_prefix(&prefix).unwrap_or(&path)).cloned(), version)
    };
    if path.ends_with("/_ping") {
        return version.map_or("OK".into_response(), |version| ([("api-version", version)], "OK").into_response());
    }
    if path.ends_with("/events") && answer.is_none() {
        let events = stream::unfold(engine.events.subscribe(), |mut events| async move {
            events.recv().await.ok()?;
            Some((Ok::<_, std::io::Error>(Bytes::from("{\"Type\": \"service\", \"Action\": \"update\"}\n")), events))
        });
        return Body::from_stream(events).into_response();
    }
    match answer {
        Some(Answer::Text(text)) => text.into_response(),
        Some(Answer::Refusal(status, message)) => {
            let body = serde_json::json!({ "message": message }).to_string();
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Some(Answer::Endless) => {
            let spaces = Bytes::from(vec![b' '; 1 << 20]);
            Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(spaces.clone()))).into_response()
        }
        Some(Answer::BreaksOff) => {
            let begun = stream::iter([Ok(Bytes::from("[{\"ID\": "))]);
            let end = stream::once(async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("broken"))
            });
            Body::from_stream(begun.chain(end)).into_response()
        }
        Some(Answer::Silence) => pending().await,
        None => (StatusCode::NOT_FOUND, "{\"message\": \"page not found\"}").into_response(),
    }
}

/// A listener whose connections begin with a handshake.
struct Tls {
    listener: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl Listener for Tls {
    type Io = tokio_rustls::server::TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
