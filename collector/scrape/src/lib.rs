//! Scraping: the manager runs a pool of targets for each job, and a loop for each target that turns its pages into
//! samples.

mod config;

pub use config::{
    ByteSize, ConfigError, EscapingScheme, GlobalConfig, ScrapeConfig, ScrapeJob, ScrapeProtocol, ValidationScheme,
};
