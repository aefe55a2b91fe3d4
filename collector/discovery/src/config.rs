//! The registry's types: what a provider brings, and an entry of a configuration.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use crate::providers::PROVIDERS;
use crate::{DiscoveryError, Metrics, Updates};

/// What the registry knows about a provider.
pub struct Spec {
    /// Its name, which is its file's too.
    pub name: &'static str,
    /// The key under a scrape configuration, such as `file_sd_configs`.
    pub key: &'static str,
    /// Reads the list under that key. Relative paths stay as written until
    /// [`DiscoveryConfig::resolve_paths`].
    pub parse: fn(&mut dyn erased_serde::Deserializer<'_>) -> Result<Vec<DiscoveryConfig>, erased_serde::Error>,
}

/// The provider that a key belongs to.
pub fn spec_of(key: &str) -> Option<&'static Spec> {
    PROVIDERS.iter().copied().find(|spec| spec.key == key)
}

/// All keys that [`spec_of`] knows, for messages.
pub fn config_keys() -> impl Iterator<Item = &'static str> {
    PROVIDERS.iter().map(|spec| spec.key)
}

/// What providers share.
#[derive(Clone, Debug)]
pub struct Context {
    /// Counters.
    pub metrics: Metrics,
    /// What providers that speak HTTP call themselves.
    pub user_agent: String,
}

/// A provider at work; it ends when it is dropped, or when nothing can change any more.
pub type ProviderRun = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Finds targets and keeps them current.
///
/// A provider reports full groups keyed by their source: what it sends replaces the group of that source, an empty
/// group means that the group is gone. On an error it sends nothing, logs and counts, because old targets are
/// better than none. It reports once soon after it begins, even when it has found nothing. Every wait on a peer has
/// a deadline.
pub trait Provider: Send {
    /// Runs until it is dropped, or returns when its targets can never change.
    fn run(self: Box<Self>, updates: Updates) -> ProviderRun;
}

/// One entry of a provider's list, checked.
pub trait ProviderConfig: fmt::Debug + Send + Sync + 'static {
    /// The provider's name, as in its [`Spec`].
    fn name(&self) -> &'static str;

    /// Makes paths absolute: relative ones are relative to the configuration file's directory.
    fn resolve_paths(&mut self, _directory: &Path) {}

    /// Prepares a provider.
    ///
    /// # Errors
    /// When what the entry refers to cannot be used, such as an unreadable key file.
    fn build(&self, context: &Context) -> Result<Box<dyn Provider>, DiscoveryError>;
}

/// Adds comparing and cloning to a [`ProviderConfig`] of unknown type.
trait AnyConfig: ProviderConfig {
    fn equals(&self, other: &dyn Any) -> bool;
    fn as_any(&self) -> &dyn Any;
    fn duplicate(&self) -> Box<dyn AnyConfig>;
}

impl<T: ProviderConfig + PartialEq + Clone> AnyConfig for T {
    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<T>().is_some_and(|other| self == other)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn duplicate(&self) -> Box<dyn AnyConfig> {
        Box::new(self.clone())
    }
}

/// One entry of any provider's list. Clones are cheap; entries that say the same are equal.
#[derive(Clone)]
pub struct DiscoveryConfig(Arc<dyn AnyConfig>);

impl DiscoveryConfig {
    /// An entry.
    pub fn new(config: impl ProviderConfig + PartialEq + Clone) -> Self {
        Self(Arc::new(config))
    }

    /// The provider's name.
    pub fn name(&self) -> &'static str {
        self.0.name()
    }

    /// Makes paths absolute: relative ones are relative to the configuration file's directory.
    pub fn resolve_paths(&mut self, directory: &Path) {
        let mut config = self.0.duplicate();
        config.resolve_paths(directory);
        self.0 = Arc::from(config);
    }

    /// Prepares the provider.
    ///
    /// # Errors
    /// As [`ProviderConfig::build`].
    pub fn build(&self, context: &Context) -> Result<Box<dyn Provider>, DiscoveryError> {
        self.0.build(context)
    }
}

impl PartialEq for DiscoveryConfig {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(other.0.as_any())
    }
}

impl Eq for DiscoveryConfig {}

impl fmt::Debug for DiscoveryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
