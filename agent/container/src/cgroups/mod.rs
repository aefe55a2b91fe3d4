//! Which cgroups there are, and their files.
//!
//! Version 1 has a tree of directories for each controller, version 2 a single one, and a hybrid machine has
//! both. A cgroup here is one path in all of those trees.

mod files;
mod layout;
mod limits;
mod tree;
mod visibility;
mod walk;
mod watch;

pub(crate) use files::{Desk, File, Named, Records, read_in, try_read_in};
pub(crate) use layout::{Controller, Layout, Version};
pub(crate) use limits::Limits;
pub(crate) use tree::{Cgroup, Key, Tree, relative};
pub(crate) use visibility::ids_are_foreign;
