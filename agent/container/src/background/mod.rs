//! What cannot be read at the moment of a scrape: the load, which is an average over time, and disk use, which takes
//! long. One thread each for all containers; both are idle while nobody scrapes, and each keeps a bound on the
//! share of a CPU that it takes.

pub(crate) mod disk;
pub(crate) mod load;
mod pace;

pub(crate) use pace::{Cpu, Signal};
