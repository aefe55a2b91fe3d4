//! Puts the parts together and lets them run.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use agent_container::Containers;
use agent_node::collectors::COLLECTORS;
use agent_node::{BuildError, Collector, Context};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::containers::ContainerCollector;
use crate::listen::{ListenError, listen};
use crate::push::{Push, PushError};
use crate::server::serve;
use crate::settings::{CONTAINER, Limits, Settings};
use crate::web::{self, MetricsPage, Role};

/// The agent cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A listener cannot be used by the runtime.
    #[error("cannot watch the listener on {address}")]
    Runtime {
        /// As configured.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A path is none that can be served.
    #[error("path {path:?} does not begin with a slash, or holds one of {{ }} * :")]
    Path {
        /// As configured.
        path: String,
    },
    /// A collector's flag is wrong.
    #[error(transparent)]
    Collector(#[from] BuildError),
    /// The container side cannot start.
    #[error(transparent)]
    Containers(#[from] agent_container::Error),
    /// Delivery cannot start.
    #[error(transparent)]
    Push(#[from] PushError),
}

/// An agent that listens and does not answer yet.
pub struct Agent {
    sites: Vec<Site>,
    limits: Limits,
    /// Delivery, and the pages that it delivers.
    push: Option<(Push, Vec<Arc<MetricsPage>>)>,
}

/// One listener and what it serves.
struct Site {
    listener: TcpListener,
    address: SocketAddr,
    role: Role,
    router: Router,
}

type Named = (&'static str, Box<dyn Collector>);

impl Agent {
    /// Listens, builds the collectors and starts watching containers. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn new(settings: Settings) -> Result<Self, AgentError> {
        for path in [&settings.telemetry_path, &settings.container_path] {
            // The router would take these characters for patterns.
            if !path.starts_with('/') || path.contains(['{', '}', '*', ':']) {
                return Err(AgentError::Path { path: path.clone() });
            }
        }
        let node_listeners = listeners(&settings.listen)?;
        let container_listeners = listeners(&settings.container_listen)?;
        let mut node = build_collectors(&settings)?;
        let containers = settings.containers.clone().map(Containers::new).transpose()?;
        if let Some(containers) = &containers {
            containers.start()?;
        }
        let container_collector = containers.clone().map(|c| (CONTAINER, Box::new(ContainerCollector(c)) as _));
        let apart = !container_listeners.is_empty();
        let mut container = Vec::new();
        if apart { &mut container } else { &mut node }.extend(container_collector);
        let push = settings.push.clone().map(Push::new).transpose()?;
        let progress = push.as_ref().map(Push::progress);
        let page =
            |role, collectors: Vec<Named>| Arc::new(MetricsPage::new(role, collectors, &settings, progress.clone()));
        let node_page = page(Role::Node, node);
        let mut pages = vec![node_page.clone()];
        let node_router = web::router(node_page, containers.clone(), &settings);
        let mut sites = sites(node_listeners, Role::Node, &node_router)?;
        if apart {
            let page = page(Role::Containers, container);
            pages.push(page.clone());
            let router = web::router(page, containers, &settings);
            sites.extend(self::sites(container_listeners, Role::Containers, &router)?);
        }
        Ok(Self { sites, limits: settings.limits, push: push.map(|push| (push, pages)) })
    }

    /// Where the node page is served; with port 0 asked for, these are the ports that were given.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sites.iter().filter(|site| site.role == Role::Node).map(|site| site.address)
    }

    /// Where the container page is served, if it has listeners of its own.
    pub fn container_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sites.iter().filter(|site| site.role == Role::Containers).map(|site| site.address)
    }

    /// Answers and delivers until `stop` is ready, then lets requests under way finish and delivers what is left, for as
    /// long as the grace allows.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        let port = self.addresses().next().map_or(0, |address| address.port());
        if let Some((push, pages)) = self.push {
            servers.spawn(push.run(pages, port, stopped.clone(), self.limits.grace));
        }
        for site in self.sites {
            tracing::info!(address = %site.address, role = site.role.name(), "listening");
            servers.spawn(serve(site.listener, site.router, self.limits, stopped.clone()));
        }
        stop.await;
        // Fails only if every server has ended, and then there is nobody to tell.
        let _ = stopping.send(true);
        servers.join_all().await;
    }
}

fn listeners(addresses: &[String]) -> Result<Vec<TcpListener>, AgentError> {
    let open = |address: &String| {
        let runtime_error = |source| AgentError::Runtime { address: address.clone(), source };
        TcpListener::from_std(listen(address)?).map_err(runtime_error)
    };
    addresses.iter().map(open).collect()
}

fn sites(listeners: Vec<TcpListener>, role: Role, router: &Router) -> Result<Vec<Site>, AgentError> {
    let site = |listener: TcpListener| {
        let address =
            listener.local_addr().map_err(|source| AgentError::Runtime { address: role.name().to_owned(), source })?;
        Ok(Site { listener, address, role, router: router.clone() })
    };
    listeners.into_iter().map(site).collect()
}

fn build_collectors(settings: &Settings) -> Result<Vec<Named>, AgentError> {
    let context = Context::new(settings.root.clone(), Arc::new(settings.flags.clone()));
    let wanted = COLLECTORS.iter().filter(|spec| settings.collectors.contains(spec.name));
    wanted.map(|spec| Ok((spec.name, (spec.build)(&context)?))).collect()
}
