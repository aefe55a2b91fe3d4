//! Scraping: the manager runs a pool of targets for each job, and a loop for each target that turns its pages into
//! samples.

mod cache;
mod config;
mod fetch;
mod interval_length;
mod manager;
mod mapping;
mod metadata;
mod metrics;
mod page;
mod pool;
mod report;
mod schedule;
mod settings;
mod status;
mod target;
mod target_loop;

pub use config::{
    ByteSize, ConfigError, EscapingScheme, GlobalConfig, ScrapeConfig, ScrapeJob, ScrapeProtocol, ValidationScheme,
};
pub use manager::{ApplyError, ScrapeManager};
pub use settings::Options;
pub use status::{ActiveTarget, DroppedTarget, Health, TargetMetadata, Targets};
