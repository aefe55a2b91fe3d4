//! The forms of the two logs, both on standard output.
//!
//! With `LOG_FORMAT=json` both write objects as every service does.

mod columns;
mod pairs;
mod queue;

pub use columns::Columns;
pub use pairs::Pairs;
pub use queue::{Ending, Queue};
