//! An engine that speaks as much of Docker's API as is asked of it, and misbehaves as it is told.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;

/// What to answer to a path.
#[derive(Clone)]
pub enum Reply {
    Json(String),
    Status(u16),
    /// Bytes that are no HTTP.
    Garbage,
    /// Nothing, for ever.
    Silence,
    /// This, when told so.
    Later(Arc<Notify>, String),
    /// A body that begins like this and goes on with that, without end.
    Endless(&'static str, String),
}

/// The engine's state, shared with its connections.
#[derive(Default)]
pub struct State {
    replies: Mutex<HashMap<String, Reply>>,
    asked: Mutex<Vec<String>>,
    streams: AtomicUsize,
    /// The oldest and the newest minor version that it has.
    versions: Mutex<(u32, u32)>,
}

/// A running engine; dropping it closes its socket and all connections.
pub struct Engine {
    pub state: Arc<State>,
    events: broadcast::Sender<String>,
    accept: JoinHandle<()>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    socket: PathBuf,
}

impl Engine {
    /// Listens on `docker.sock` in a folder.
    pub fn start(folder: &Path) -> Self {
        Self::at(&folder.join("docker.sock"))
    }

    /// Listens on a socket.
    pub fn at(socket: &Path) -> Self {
        let socket = socket.to_owned();
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(State::default());
        let (events, _) = broadcast::channel(1024);
        let connections = Arc::new(Mutex::new(Vec::new()));
        let accept = tokio::spawn({
            let (state, events, connections) = (state.clone(), events.clone(), connections.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let connection = tokio::spawn(serve(stream, state.clone(), events.subscribe()));
                    connections.lock().push(connection);
                }
            }
        });
        let engine = Self { state, events, accept, connections, socket };
        engine.version("20.10.24", 12, 41);
        engine.containers(&[]);
        engine
    }

    pub fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// It is of this version, and has the interface from one minor version to the other.
    pub fn version(&self, version: &str, oldest: u32, newest: u32) {
        *self.state.versions.lock() = (oldest, newest);
        let answer = format!(r#"{{"Version":"{version}","ApiVersion":"1.{newest}","MinAPIVersion":"1.{oldest}"}}"#);
        self.reply("/version", Reply::Json(answer));
    }

    pub fn reply(&self, path: &str, reply: Reply) {
        self.state.replies.lock().insert(path.to_owned(), reply);
    }

    /// What the list shows: ids and names; each can be asked about too.
    pub fn containers(&self, all: &[(&str, &str)]) {
        let list: Vec<_> = all
            .iter()
            .map(|(id, name)| {
                self.inspectable(id, name);
                format!(
                    r#"{{"Id":"{id}","Names":["/{name}"],"Image":"shop/{name}:1","Created":1700000000,
                    "Labels":{{"tier":"front"}},"State":"running","Status":"Up 2 seconds"}}"#
                )
            })
            .collect();
        self.reply("/containers/json", Reply::Json(format!("[{}]", list.join(","))));
    }

    pub fn inspectable(&self, id: &str, name: &str) {
        let answer = format!(
            r#"{{"Id":"{id}","Name":"/{name}","Created":"2023-11-14T22:13:20Z",
            "State":{{"Running":true,"Pid":4242,"StartedAt":"2023-11-14T22:13:25Z"}},
            "Config":{{"Image":"shop/{name}:1","Labels":{{"tier":"front"}}}},"HostConfig":{{"NetworkMode":"default"}}}}"#
        );
        self.reply(&format!("/containers/{id}/json"), Reply::Json(answer));
    }

    /// Sends an event to all who listen.
    pub fn event(&self, action: &str, id: &str) {
        let event = format!(r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}"}},"time":1700000100}}"#);
        let _ = self.events.send(format!("{event}\n"));
    }

    /// As [`event`](Self::event), now and with an exit code.
    pub fn death(&self, id: &str, exit_code: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let actor = format!(r#"{{"ID":"{id}","Attributes":{{"exitCode":"{exit_code}"}}}}"#);
        let _ = self.events.send(format!(r#"{{"Type":"container","Action":"die","Actor":{actor},"time":{now}}}"#));
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.state.asked.lock().iter().filter(|asked| *asked == path).count()
    }

    /// How many event streams were opened.
    pub fn streams(&self) -> usize {
        self.state.streams.load(Ordering::SeqCst)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.accept.abort();
        for connection in self.connections.lock().drain(..) {
            connection.abort();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn serve(mut stream: UnixStream, state: Arc<State>, mut events: broadcast::Receiver<String>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(length @ 1..) => request.extend(chunk.get(..length).unwrap_or_default()),
            _ => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let target = request.split(' ').nth(1).unwrap();
    let path = target.split('?').next().unwrap();
    // As the real one, it refuses what it does not have.
    let (version, path) = match path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')) {
        Some((minor, path)) => (Some(minor.parse::<u32>().unwrap()), format!("/{path}")),
        None => (None, path.to_owned()),
    };
    let (oldest, newest) = *state.versions.lock();
    state.asked.lock().push(path.clone());
    let planned = state.replies.lock().get(&path).cloned();
    let reply = match planned {
        _ if version.is_some_and(|version| version < oldest || version > newest) => Reply::Status(400),
        Some(reply) => reply,
        None if path == "/events" => {
            state.streams.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(HEAD.as_bytes()).await;
            while let Ok(event) = events.recv().await {
                if chunk(&mut stream, &event).await.is_err() {
                    return;
                }
            }
            return;
        }
        None => Reply::Status(404),
    };
    let _ = answer(&mut stream, reply).await;
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";

async fn answer(stream: &mut UnixStream, reply: Reply) -> std::io::Result<()> {
    let reply = match reply {
        Reply::Later(when, body) => {
            when.notified().await;
            Reply::Json(body)
        }
        reply => reply,
    };
    match reply {
        Reply::Json(body) => {
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await
        }
        Reply::Status(status) => {
            let body = r#"{"message":"no"}"#;
            let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await
        }
        Reply::Garbage => stream.write_all(b"\x00\xff\x13 what do you want\n").await,
        Reply::Later(..) | Reply::Silence => std::future::pending().await,
        Reply::Endless(start, rest) => {
            stream.write_all(HEAD.as_bytes()).await?;
            chunk(stream, start).await?;
            loop {
                chunk(stream, &rest).await?;
            }
        }
    }
}

async fn chunk(stream: &mut UnixStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await
}
