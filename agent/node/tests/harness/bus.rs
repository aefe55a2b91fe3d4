//! A message bus with one service behind it, both played by a script.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::names::ErrorName;
use zbus::{Connection, Guid, Message, MessageStream, OwnedVariant, Variant};

/// What the service knows. A test may change it between scrapes.
#[derive(Default)]
pub struct Script {
    /// By path, interface and name.
    pub properties: BTreeMap<(String, String, String), Variant<'static>>,
    /// Answers to methods, by interface and name.
    pub methods: BTreeMap<(String, String), Answer>,
    /// What was asked for, in order: a method, or a property.
    pub asked: Vec<String>,
    /// Connections made so far.
    pub connections: usize,
    open: Vec<std::os::unix::net::UnixStream>,
}

/// Makes the reply to a call.
pub type Answer = Box<dyn Fn(&Message) -> Message + Send>;

impl Script {
    /// Sets a property.
    pub fn set(&mut self, path: &str, interface: &str, name: &str, value: impl Into<Variant<'static>>) {
        self.properties.insert((path.to_owned(), interface.to_owned(), name.to_owned()), value.into());
    }
}

/// The bus. It goes with its folder; its thread ends with the process.
pub struct Bus {
    directory: tempfile::TempDir,
    pub script: Arc<Mutex<Script>>,
}

impl Bus {
    pub fn start(script: Script) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let script = Arc::new(Mutex::new(script));
        let bus = Self { directory, script };
        bus.listen();
        bus
    }

    /// As D-Bus writes it.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.path().display())
    }

    /// Changes the script.
    pub fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends all connections.
    pub fn hang_up(&self) {
        self.change(|script| {
            script.open.drain(..).for_each(|stream| stream.shutdown(std::net::Shutdown::Both).unwrap());
        });
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("bus")
    }

    fn listen(&self) {
        let listener = UnixListener::bind(self.path()).unwrap();
        let script = Arc::clone(&self.script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let script = Arc::clone(&script);
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    // Ends when the other side goes away.
                    drop(runtime.block_on(serve(stream.unwrap(), &script)));
                });
            }
        });
    }
}

async fn serve(stream: std::os::unix::net::UnixStream, script: &Mutex<Script>) -> zbus::Result<()> {
    {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        script.connections += 1;
        script.open.push(stream.try_clone()?);
    }
    let builder = Builder::unix_stream(stream).server(Guid::generate()).p2p();
    let mut messages: MessageStream = builder.build_message_stream().await?;
    let connection = Connection::from(&messages);
    while let Some(message) = messages.next().await {
        let message = message?;
        if message.message_type() == Type::MethodCall {
            let reply = reply(&mut script.lock().unwrap_or_else(PoisonError::into_inner), &message)?;
            connection.send(&reply).await?;
        }
    }
    Ok(())
}

fn reply(script: &mut Script, call: &Message) -> zbus::Result<Message> {
    let header = call.header();
    let word = |text: Option<String>| text.unwrap_or_default();
    let path = word(header.path().map(ToString::to_string));
    let interface = word(header.interface().map(ToString::to_string));
    let method = word(header.member().map(ToString::to_string));
    match (interface.as_str(), method.as_str()) {
        ("org.freedesktop.DBus", "Hello") => Message::method_return(&header).build(&":1.7"),
        ("org.freedesktop.DBus", "NameHasOwner") => {
            let is_there = !script.methods.is_empty();
            Message::method_return(&header).build(&is_there)
        }
        ("org.freedesktop.DBus.Properties", "Get") => {
            let (of, name): (String, String) = call.body().deserialize()?;
            script.asked.push(name.clone());
            match script.properties.get(&(path, of, name)) {
                Some(value) => Message::method_return(&header).build(value),
                None => refuse(call, "org.freedesktop.DBus.Error.UnknownProperty"),
            }
        }
        ("org.freedesktop.DBus.Properties", "GetAll") => {
            let of: String = call.body().deserialize()?;
            script.asked.push(format!("all of {of}"));
            let all = script.properties.iter().filter(|((at, interface, _), _)| *at == path && *interface == of);
            let all: BTreeMap<String, OwnedVariant> =
                all.map(|((.., name), value)| (name.clone(), OwnedVariant::try_from(value.clone()).unwrap())).collect();
            Message::method_return(&header).build(&all)
        }
        _ => {
            script.asked.push(method.clone());
            match script.methods.get(&(interface, method)) {
                Some(answer) => Ok(answer(call)),
                None => refuse(call, "org.freedesktop.DBus.Error.ServiceUnknown"),
            }
        }
    }
}

fn refuse(call: &Message, name: &'static str) -> zbus::Result<Message> {
    let name = ErrorName::try_from(name).unwrap();
    Message::error(&call.header(), name).build(&"not in the script")
}
