//! What cannot be read at the moment of a scrape: the load, which is an average over time, and what takes long: disk
//! use, and what must be looked up process by process. One thread each for all containers, and only for the sets that
//! are on; all are idle while nobody scrapes, and each keeps a bound on the share of a CPU that it takes.

pub(crate) mod board;
pub(crate) mod disk;
pub(crate) mod load;
pub(crate) mod monitoring;
mod pace;
pub(crate) mod perf;
pub(crate) mod referenced;
mod tally;
pub(crate) mod tasks;

pub(crate) use pace::{Budget, Cpu, Signal};
