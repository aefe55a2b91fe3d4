//! Puts the parts together and lets them run.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use agent_container::{Containers, Set};
use agent_node::collectors::COLLECTORS;
use agent_node::{BuildError, Collector, Context};
use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chain;
use crate::containers::{AcceleratorCollector, ContainerCollector};
use crate::guard::{Guard, WebConfigError};
use crate::listen::ListenError;
use crate::listener::Listener;
use crate::push::{Push, PushError};
use crate::server::serve_guarded;
use crate::settings::{ACCELERATOR, CONTAINER, Limits, Settings};
use crate::web::{self, MetricsPage, Role};

/// The agent cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The web configuration cannot be used.
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
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
    guard: Option<Arc<Guard>>,
    /// Delivery, and the pages that it delivers.
    push: Option<(Push, Vec<Arc<MetricsPage>>)>,
}

/// Sockets that listen already, to be served beside the addresses of the settings.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For the node page.
    pub node: Vec<Listener>,
    /// For the container families, on a page of their own.
    pub containers: Vec<Listener>,
}

/// One listener and what it serves.
struct Site {
    listener: Listener,
    role: Role,
    router: Router,
}

/// Has an agent read its files again.
#[derive(Clone)]
pub struct Reloader {
    guard: Option<Arc<Guard>>,
}

impl Reloader {
    /// Reads the web configuration again, with what it names. All else that the agent reads, it reads at each scrape.
    ///
    /// # Errors
    /// With one line that says what is wrong. It is logged, and all is as it was.
    pub async fn reload(&self) -> Result<(), String> {
        let Some(guard) = &self.guard else {
            tracing::info!("nothing to read again: there is no web configuration, and the rest is read at each scrape");
            return Ok(());
        };
        match guard.reload().await {
            Ok(()) => {
                tracing::info!("web configuration read again");
                Ok(())
            }
            Err(error) => {
                let error = chain(&error);
                tracing::error!(error, "cannot read the web configuration again, the old one stays");
                Err(error)
            }
        }
    }
}

type Named = (&'static str, Box<dyn Collector>);

impl Agent {
    /// Listens, builds the collectors and starts watching containers. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn new(settings: Settings) -> Result<Self, AgentError> {
        Self::with_sockets(settings, Sockets::default())
    }

    /// As [`Agent::new`], with sockets that listen already.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn with_sockets(mut settings: Settings, sockets: Sockets) -> Result<Self, AgentError> {
        for path in [&settings.telemetry_path, &settings.container_path] {
            // The router would take these characters for patterns.
            if !path.starts_with('/') || path.contains(['{', '}', '*', ':']) {
                return Err(AgentError::Path { path: path.clone() });
            }
        }
        let guard = settings.web_config.clone().map(Guard::new).transpose()?.map(Arc::new);
        let node_listeners = listeners(&settings.listen, sockets.node)?;
        let passed: Vec<_> = sockets.containers.iter().map(|listener| listener.address().to_owned()).collect();
        let container_listeners = listeners(&settings.container_listen, sockets.containers)?;
        // For the landing page, which says where they are.
        settings.container_listen.extend(passed);
        let context = Context::new(settings.root.clone(), Arc::new(settings.flags.clone()));
        let mut node = build_collectors(&settings, &context)?;
        let containers = settings.containers.clone().map(Containers::new).transpose()?;
        if let Some(containers) = &containers {
            containers.start()?;
        }
        let container_collectors =
            containers.clone().map(|containers| container_collectors(containers, &settings, &context));
        let apart = !container_listeners.is_empty();
        let mut container = Vec::new();
        if apart { &mut container } else { &mut node }.extend(container_collectors.into_iter().flatten());
        let reloader = Reloader { guard: guard.clone() };
        let push = settings.push.clone().map(Push::new).transpose()?;
        let progress = push.as_ref().map(Push::progress);
        let mut pages = Vec::new();
        let mut site = |role, collectors: Vec<Named>, containers| {
            let page = MetricsPage::new(role, collectors, guard.clone(), progress.clone(), &settings);
            let page = Arc::new(page);
            pages.push(page.clone());
            let router = web::router(page, containers, reloader.clone(), &settings);
            let router = match &guard {
                Some(guard) => guard.protect(router),
                None => router,
            };
            move |listener| Site { listener, role, router: router.clone() }
        };
        let mut sites: Vec<Site> = node_listeners.into_iter().map(site(Role::Node, node, containers.clone())).collect();
        if apart {
            sites.extend(container_listeners.into_iter().map(site(Role::Containers, container, containers)));
        }
        let push = push.map(|push| (push, pages));
        Ok(Self { sites, limits: settings.limits, guard, push })
    }

    /// Where the node page is served; with port 0 asked for, these are the ports that were given.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses_of(Role::Node)
    }

    /// Where the container page is served, if it has listeners of its own.
    pub fn container_addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses_of(Role::Containers)
    }

    fn addresses_of(&self, role: Role) -> impl Iterator<Item = &str> {
        self.sites.iter().filter(move |site| site.role == role).map(|site| site.listener.address())
    }

    /// What has it read its files again while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader { guard: self.guard.clone() }
    }

    /// Answers and delivers until `stop` is ready, then lets requests under way finish and delivers what is left, for as
    /// long as the grace allows.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        let port = self.addresses().find_map(|address| Some(address.parse::<SocketAddr>().ok()?.port()));
        if let Some((push, pages)) = self.push {
            servers.spawn(push.run(pages, port, stopped.clone(), self.limits.grace));
        }
        for site in self.sites {
            tracing::info!(address = site.listener.address(), role = site.role.name(), "listening");
            let guard = self.guard.clone();
            servers.spawn(serve_guarded(site.listener, site.router, self.limits, guard, stopped.clone()));
        }
        stop.await;
        // Fails only if every server has ended, and then there is nobody to tell.
        let _ = stopping.send(true);
        servers.join_all().await;
    }
}

/// Those that listen already, and those to open.
fn listeners(addresses: &[String], passed: Vec<Listener>) -> Result<Vec<Listener>, AgentError> {
    let opened = addresses.iter().map(|address| Ok(Listener::open(address)?));
    passed.into_iter().map(Ok).chain(opened).collect()
}

fn build_collectors(settings: &Settings, context: &Context) -> Result<Vec<Named>, AgentError> {
    let wanted = COLLECTORS.iter().filter(|spec| settings.collectors.contains(spec.name));
    wanted.map(|spec| Ok((spec.name, (spec.build)(context)?))).collect()
}

/// GPUs are asked last: they are slower than all else.
fn container_collectors(containers: Containers, settings: &Settings, context: &Context) -> Vec<Named> {
    let has_set = settings.containers.as_ref().is_some_and(|config| config.sets.has(Set::Accelerator));
    let mut all: Vec<Named> = vec![(CONTAINER, Box::new(ContainerCollector(containers.clone())))];
    if has_set {
        all.push((ACCELERATOR, Box::new(AcceleratorCollector { containers, uses: context.gpus.uses() })));
    }
    all
}
