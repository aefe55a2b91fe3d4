//! A service on the system's message bus (D-Bus), over one connection that is kept between scrapes.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use zbus::connection::Builder;
use zbus::{Connection, Message, OwnedVariant};

use crate::CollectError;

/// Where a bus, or a service itself, listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// The system's bus, at its usual place or at that of `DBUS_SYSTEM_BUS_ADDRESS`.
    System,
    /// A bus, by an address as D-Bus writes it.
    At(String),
    /// A service that listens itself and is no bus.
    Direct(String),
}

/// A connection to a service. Nothing runs between two talks: what comes in meanwhile waits in the socket.
#[derive(Debug)]
pub(crate) struct Bus {
    address: Address,
    service: &'static str,
    runtime: Option<Runtime>,
    connection: Option<Connection>,
}

impl Bus {
    /// Touches nothing until it is talked to.
    pub(crate) fn new(address: Address, service: &'static str) -> Self {
        Self { address, service, runtime: None, connection: None }
    }

    /// Runs `talk` with the service. `None` when there is no bus, or no such service on it. A connection that has
    /// died since the last talk is made anew, and `talk` begins again.
    ///
    /// # Errors
    /// [`CollectError::Bus`] when the talk fails or is not over by the deadline; the next one then begins with a new
    /// connection.
    pub(crate) fn talk<T>(
        &mut self,
        deadline: Instant,
        talk: impl AsyncFn(&Service) -> zbus::Result<T>,
    ) -> Result<Option<T>, CollectError> {
        let (address, name, kept) = (&self.address, self.service, self.connection.take());
        let runtime = match &mut self.runtime {
            Some(runtime) => runtime,
            empty => empty.insert(runtime().map_err(|error| CollectError::Bus(zbus::Error::from(error)))?),
        };
        let is_bus = !matches!(address, Address::Direct(_));
        let attempt = async |service: Service| {
            let is_there = !is_bus || service.has_owner().await?;
            let answer = if is_there { Some(talk(&service).await?) } else { None };
            Ok((answer, service.connection))
        };
        let result = runtime.block_on(async {
            let all = async {
                if let Some(connection) = kept.filter(|connection| !connection.is_closed()) {
                    match attempt(Service { connection, name }).await {
                        Err(error) if is_broken(&error) => {}
                        result => return result,
                    }
                }
                attempt(Service { connection: connect(address).await?, name }).await
            };
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let late = |_| zbus::Error::from(io::Error::from(io::ErrorKind::TimedOut));
            tokio::time::timeout(left, all).await.map_err(late).flatten()
        });
        match result {
            Ok((answer, connection)) => {
                self.connection = Some(connection);
                Ok(answer)
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(CollectError::Bus(error)),
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // The connection's tasks end with their runtime, which must not be waited for: this may run inside another.
        self.connection = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn connect(address: &Address) -> zbus::Result<Connection> {
    let builder = match address {
        Address::System => Builder::system(),
        Address::At(address) => Builder::address(address.as_str()),
        Address::Direct(address) => Builder::address(address.as_str()).p2p(),
    };
    builder.build().await
}

/// Whether the connection is of no more use.
fn is_broken(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::InputOutput(_) | zbus::Error::Connection(..))
}

/// Whether this machine simply has no such bus or service.
fn is_absent(error: &zbus::Error) -> bool {
    use zbus::fdo::Error::{NameHasNoOwner, ServiceUnknown};
    match error {
        zbus::Error::Connection(cause, _) => cause.kind() == io::ErrorKind::NotFound,
        zbus::Error::FDO(error) => matches!(**error, ServiceUnknown(_) | NameHasNoOwner(_)),
        _ => false,
    }
}

/// Whether the service is there and does not want to, or does not know what it is asked for.
fn is_refused(error: &zbus::Error) -> bool {
    use zbus::fdo::Error::{Disconnected, NoReply, Timeout};
    match error {
        zbus::Error::MethodError(..) => true,
        zbus::Error::FDO(cause) => !is_absent(error) && !matches!(**cause, Disconnected(_) | NoReply(_) | Timeout(_)),
        _ => false,
    }
}

/// The service, during a talk.
pub(crate) struct Service {
    connection: Connection,
    name: &'static str,
}

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

impl Service {
    /// Whether anyone answers under that name. A bus may otherwise start the service for a question, and an agent
    /// starts nothing.
    async fn has_owner(&self) -> zbus::Result<bool> {
        const BUS: &str = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        let answer = self.connection.call_method(Some(BUS), path, Some(BUS), "NameHasOwner", &self.name).await?;
        answer.body().deserialize()
    }

    /// Calls a method without arguments.
    pub(crate) async fn call(&self, path: &str, interface: &str, method: &str) -> zbus::Result<Message> {
        self.connection.call_method(Some(self.name), path, Some(interface), method, &()).await
    }

    /// A property; `None` when the object, or the property, is not there or not for everyone.
    pub(crate) async fn get(&self, path: &str, interface: &str, name: &str) -> zbus::Result<Option<OwnedVariant>> {
        let arguments = (interface, name);
        let answer = self.connection.call_method(Some(self.name), path, Some(PROPERTIES), "Get", &arguments).await;
        match answer {
            Ok(message) => message.body().deserialize().map(Some),
            Err(error) if is_refused(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All properties of an interface; none when the object is not there or not for everyone.
    pub(crate) async fn get_all(&self, path: &str, interface: &str) -> zbus::Result<HashMap<String, OwnedVariant>> {
        let answer = self.connection.call_method(Some(self.name), path, Some(PROPERTIES), "GetAll", &interface).await;
        match answer {
            Ok(message) => message.body().deserialize(),
            Err(error) if is_refused(&error) => Ok(HashMap::new()),
            Err(error) => Err(error),
        }
    }
}

/// A property that is text.
pub(crate) fn text(value: &OwnedVariant) -> Option<String> {
    value.downcast_ref::<&str>().ok().map(str::to_owned)
}
